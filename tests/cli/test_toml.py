"""Settings written as TOML are documented and round-trip."""

import tomllib

import pytest

from hmnpack.cli.toml import toml_of
from hmnpack.registry import RECIPES
from hmnpack.schema.config import PruneConfig
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.nested import setting_names
from hmnpack.settings import CompressSettings, merged

OTHER = ("--set", "container.kind=multi-formation")


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_recipe_round_trips_through_its_file(run, tmp_path, recipe):
    done = run("settings", "--recipe", recipe)
    assert done.exit_code == 0, done.output
    file = tmp_path / "mine.toml"
    file.write_text(done.stdout)
    assert CompressSettings(None, file, (), {}).config() == RECIPES[recipe]


@pytest.mark.parametrize(
    ("of", "given", "expected"),
    [
        ("compress", (), RECIPES["fast"]),
        ("compress", OTHER, merged(RECIPES["fast"], {"container.kind": "multi-formation"})),
        ("evaluate", (), EvaluateConfig()),
        ("prune", (), PruneConfig()),
    ],
)
def test_every_setting_is_listed(run, of, given, expected):
    text = run("settings", "--of", of, *given).stdout
    named, group = set(), ""
    for line in text.splitlines():
        if line.startswith("["):
            group = line.strip("[]") + "."
        elif " = " in line and not line.startswith("#"):
            named.add(group + line.partition(" = ")[0])
        elif line.endswith(" is not set"):
            named.add(group + line[2:].partition(" is not set")[0])
    assert named == set(setting_names(expected))


def test_listed_values_are_overridden(run, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(run("settings", *OTHER, "--set", "match.steps=7").stdout)
    config = CompressSettings(None, file, (), {}).config()
    assert (config.container.kind, config.match.steps) == ("multi-formation", 7)
    assert "repeats = 9" in run("settings", "--of", "evaluate", "--set", "repeats=9").stdout


def test_comment_has_description_and_bounds(run):
    lines = run("settings").stdout.splitlines()
    place = lines.index('activation = "gelu"')
    assert lines[place - 1] == "# Activation function between decoder layers. (relu, gelu)"
    assert (
        "# Fraction of each training class held out for validation. (at least 0, at most 0.9)"
        in lines
    )
    assert max(map(len, lines)) <= 100


def test_output_is_valid_toml():
    config = EvaluateConfig(rows=("floats",), jpeg_quality=30)
    document = tomllib.loads(toml_of(config))
    assert (document["rows"], document["jpeg_quality"]) == (["floats"], 30)
    assert document["train"]["lr"] == config.train.lr


def test_recipe_option_is_only_for_compress(run):
    done = run("settings", "--of", "prune", "--recipe", "fast")
    assert done.exit_code == 2
    assert "leave out --recipe fast" in done.stderr
