"""Recipes, config files and `--set`, and their precedence."""

from functools import reduce

import pytest

from hmnpack.errors import BadSettings
from hmnpack.registry import RECIPES
from hmnpack.schema.container import ImageShape
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.nested import setting_names
from hmnpack.schema.recipes import DataShape
from hmnpack.settings import CompressSettings, evaluate_config, prune_config

CIFAR100 = DataShape(
    name="cifar100", classes=100, image=ImageShape(channels=3, height=32, width=32)
)


def settings(*assignments, recipe=None, file=None, data=None, **options):
    return CompressSettings(recipe, file, assignments, options).config(data)


def test_default_recipe_is_fast():
    assert settings() == RECIPES["fast"]


def test_default_recipe_depends_on_the_device(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('recipe = "smoke"\n')
    assert CompressSettings(None, None, (), {}).config(default="best") == RECIPES["best"]
    assert CompressSettings(None, file, (), {}).config(default="best") == RECIPES["smoke"]
    assert CompressSettings("fast", file, (), {}).config(default="best").recipe == "fast"


def test_value_is_json_or_text():
    config = settings("match.steps=7", "container.norm=none", 'match.augment=["flip"]')
    assert (config.match.steps, config.container.norm) == (7, "none")
    assert config.match.augment == ("flip",)
    assert settings("prune.beta=null").prune.beta is None


def test_group_as_json():
    config = settings('match={"steps": 7, "lr": 0.5}')
    assert (config.match.steps, config.match.lr) == (7, 0.5)
    assert config.match.views == RECIPES["fast"].match.views


@pytest.mark.parametrize("value", ["false", '""', "3", "[]"])
def test_recipe_in_a_file_must_be_a_name(tmp_path, value):
    file = tmp_path / "mine.toml"
    file.write_text(f"recipe = {value}\n")
    with pytest.raises(BadSettings, match=r"setting recipe = .*: must be the name of a recipe"):
        CompressSettings(None, file, (), {})


def test_precedence_of_options_assignments_file_and_recipe(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('recipe = "smoke"\nseed = 1\nholdout = 0.5\n[match]\nsteps = 11\nlr = 0.5\n')
    config = settings("seed=2", "match.steps=12", file=file, seed=3)
    assert config.recipe == "smoke"
    assert config.warmup == RECIPES["smoke"].warmup
    assert (config.seed, config.match.steps) == (3, 12)
    assert (config.match.lr, config.holdout) == (0.5, 0.5)


def test_recipe_option_overrides_the_file(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('recipe = "smoke"\n')
    assert settings(file=file, recipe="fast").recipe == "fast"


def test_user_settings_override_the_dataset_specific_recipe(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('recipe = "paper"\nseed = 5\n[gradient]\ninner_steps = 7\n')
    config = settings("gradient.distance=mse", file=file, data=CIFAR100, holdout=0.5)
    assert config.gradient.lr == 0.02
    assert (config.gradient.distance, config.gradient.inner_steps) == ("mse", 7)
    assert (config.seed, config.holdout) == (5, 0.5)
    assert settings(file=file).gradient.lr == 0.01


def test_config_file_is_read_once(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("seed = 5\n")
    chosen = CompressSettings(None, file, (), {})
    file.unlink()
    assert chosen.config(CIFAR100).seed == 5


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("match.stesp=1", "match.steps"),
        ("mach.steps=1", "match.steps"),
        ("steps=1", "match.steps"),
        ("match=1", "match.objective"),
        ("match.steps", "KEY=VALUE"),
        ("=1", "KEY=VALUE"),
        ("match.steps=many", "match.steps"),
        ("match.lr=-1", "greater than 0"),
        ("match.lr=NaN", "match.lr"),
        ("container.norm=last", "container.norm"),
        ("seed.x=1", "seed"),
    ],
)
def test_invalid_assignment_suggests_a_setting(assignment, expected):
    with pytest.raises(BadSettings, match=expected) as caught:
        settings(assignment)
    assert "\n" not in str(caught.value)


def test_unknown_recipe_suggests_a_similar_name():
    with pytest.raises(BadSettings, match="smoke"):
        settings(recipe="smok")


@pytest.mark.parametrize("text", ["match = [", "[match]\nstesp = 1\n", "\xff"])
def test_invalid_config_file_raises(tmp_path, text):
    file = tmp_path / "run.toml"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(BadSettings):
        settings(file=file)


@pytest.mark.parametrize(
    "line",
    [
        "match.steps = true",
        'match.steps = "5"',
        "match.steps = 7.5",
        "match.lr = true",
        "match.views = true",
        "container.decoder_channels = [5, true]",
    ],
)
def test_values_are_not_coerced(tmp_path, line):
    file = tmp_path / "run.toml"
    file.write_text(line)
    with pytest.raises(BadSettings, match=f"setting {line.split()[0]}.* = .*: Input should be"):
        settings(file=file)


@pytest.mark.parametrize("name", ["match.steps", "pool.network.name"])
def test_date_is_not_a_valid_value(tmp_path, name):
    file = tmp_path / "run.toml"
    file.write_text(f"{name} = 2024-01-31")
    with pytest.raises(BadSettings, match="2024-01-31 is a date"):
        settings(file=file)


def test_integer_with_an_exponent(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("match.steps = 1e4\nmatch.lr = 1\n")
    config = settings("match.views=2e2", file=file)
    assert (config.match.steps, config.match.views, config.match.lr) == (10_000, 200, 1.0)


def test_config_files_of_evaluate_and_prune(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("repeats = 7\n[train]\nlr = 0.5\nepochs = 9\n")
    config = evaluate_config(["train.epochs=4"], {}, file=file)
    assert (config.repeats, config.train.lr, config.train.epochs) == (7, 0.5, 4)
    file.write_text('strategy = "hard"\nseeds = 2\n')
    pruning = prune_config([], {"strategy": "easy"}, file)
    assert (pruning.strategy, pruning.seeds) == ("easy", 2)


def test_missing_config_file_is_named(tmp_path):
    with pytest.raises(BadSettings, match=r"absent\.toml"):
        settings(file=tmp_path / "absent.toml")


def test_every_setting_accepts_its_own_value():
    for path in setting_names(RECIPES["fast"]):
        value = reduce(getattr, path.split("."), RECIPES["fast"])
        assert settings(**{path: value}) == RECIPES["fast"]


def test_kind_of_container_has_its_own_settings(tmp_path):
    given = ["container.factor=3", "container.kind=multi-formation"]  # in any order
    container = settings(*given).container
    assert (container.kind, container.factor, container.dtype) == ("multi-formation", 3, "I8")
    file = tmp_path / "mine.toml"
    file.write_text('[container]\nkind = "multi-formation"\nfactor = 1\n')
    assert settings(file=file).container.factor == 1
    assert settings("container.kind=hmn", "container.norm=none", file=None).container.norm == "none"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("container.factor=2", "'container.factor'; it belongs to container.kind=multi-formation"),
        ("container.kind=idc", "unknown container.kind 'idc'; did you mean"),
        ("container.kind=[]", r"unknown container.kind '\[\]'; did you mean"),
    ],
)
def test_setting_of_another_kind_of_container(given, said):
    with pytest.raises(BadSettings, match=said):
        settings(given)
    with pytest.raises(BadSettings, match=r"container\.norm'; it belongs to .*kind=hmn"):
        settings("container.kind=multi-formation", "container.norm=none")


def test_settings_of_an_evaluation():
    config = evaluate_config(["train.lr=0.5"], {"train.epochs": 3, "network.width": None})
    assert (config.train.epochs, config.train.lr, config.network.width) == (3, 0.5, 128)
    with pytest.raises(BadSettings, match=r"train\.epochs"):
        evaluate_config(["train.epoch=3"], {})


def test_evaluation_starts_from_the_protocol():
    start = EvaluateConfig(repeats=10, min_steps=0)
    config = evaluate_config(["repeats=4", 'rows=["count"]'], {"repeats": 5, "rows": None}, start)
    assert (config.repeats, config.min_steps, config.rows) == (5, 0, ("count",))


@pytest.mark.parametrize("name", ["pool.min_steps", "match.synthetic_batch"])
def test_integer_too_large_for_the_format(name):
    with pytest.raises(BadSettings, match=rf"{name} = 1\d+: the largest integer in a file is 9,22"):
        CompressSettings(None, None, [f"{name}=1e20"], {}).config()


def test_recipe_is_not_a_setting():
    with pytest.raises(BadSettings, match="cannot be changed by --set; use --recipe"):
        settings("recipe=paper")


def test_null_resets_a_value(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("[container]\ninstance_channels = 3\n")
    assert settings(file=path).container.instance_channels == 3
    assert (
        settings("container.instance_channels=null", file=path).container.instance_channels is None
    )


class TestProtocol:
    def test_protocol_is_set_only_by_its_option(self, tmp_path):
        file = tmp_path / "mine.toml"
        file.write_text('protocol = "paper"\nrepeats = 2\n')
        paper = EvaluateConfig(protocol="paper")
        assert evaluate_config([], {}, paper, file) == EvaluateConfig(protocol="paper", repeats=2)
        for given in (([], {}, EvaluateConfig(), file), (["protocol=paper"], {})):
            with pytest.raises(BadSettings, match=r"cannot be changed by .*; use --protocol"):
                evaluate_config(*given)


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_config_file_with_a_byte_order_mark(tmp_path, end):
    file = tmp_path / "mine.toml"
    file.write_bytes("\ufeffseed = 4 # naïve{}[match]{}steps = 3{}".format(*[end] * 3).encode())
    assert (settings(file=file).seed, settings(file=file).match.steps) == (4, 3)


def test_evaluate_and_prune_read_a_byte_order_mark(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_bytes(b"\xef\xbb\xbf[train]\r\nepochs = 3\r\n")
    assert evaluate_config((), {}, file=file).train.epochs == 3
    assert prune_config((), {}, file).train.epochs == 3
