"""Command lines: any option of any command, with allowed and other values, and settings files."""

import json
import shutil
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import click
import numpy as np
from fuzz_parts.bundles import GOLDEN
from fuzz_parts.places import Places
from PIL import Image

_COMMANDS = ("plan",) * 6 + ("expand",) * 3 + ("settings", "inspect", "verify", "report") * 2
_SLOW = ("compress", "evaluate", "prune")
_SLOWER = 0.1
"""Share of the commands that train."""

_TEXTS = ("", " ", "x", "é", "\x1b[31m", "-1", "None", "a" * 3000, "[red]x[/red]", "\udcff", "../x")
_INTEGERS = ("0", "-1", "1.5", "", "x", "1e3", "٣", "0x10", " 2 ", "1_0", str(2**63), "9" * 400)
_FLOATS = ("nan", "inf", "-inf", "-1", "", "x", "1e400", "0,5", "-0.0", "1e-320")

_BY_NAME: dict[str, tuple[str, ...]] = {
    "device": (
        "cpu",
        "cpu",
        "auto",
        "cuda",
        "cuda:99",
        "mps",
        "meta",
        "xla",
        "nonsense",
        "",
        "cpu:1",
    ),
    "recipe": ("smoke", "fast", "best", "paper", "nonsense", ""),
    "protocol": ("short", "paper", "x"),
    "networks": ("convnet", "resnet18", "nonsense", "torchvision:x", "timm:x", ":", ""),
    "max_memory": ("1GB", "1", "0", "-1", "1.5GiB", "x", "", "1e9", "99999999TB", "nan"),
    "rows": ("none", "floats", "bytes,floats", "floats,floats", ",", "", "x", "none,floats"),
}
"""Values of options that are text, by the parameter's name."""

_VALUES = (
    "0",
    "1",
    "2",
    "-1",
    "0.5",
    "x",
    "",
    "nan",
    "true",
    "[]",
    "[1]",
    "{}",
    "null",
    '"x"',
    "1e400",
)

_SMALL = {
    "compress": ["--recipe=smoke"],
    "evaluate": ["--epochs=1", "--repeats=1", "--width=4", "--rows=none"],
    "prune": [],
    "verify": [],
}
"""Options that keep commands short; they come first, so that others may replace them."""


def make(draw: Random, places: Places) -> list[str]:
    """Write data, a bundle and a settings file, and return a command line that names them."""
    name = draw.choice(_SLOW if draw.random() < _SLOWER else _COMMANDS)
    data, bundle = _write_data(draw, places.given), places.given / "a.hmn"
    shutil.copy(draw.choice(sorted(GOLDEN.glob("*.hmn"))), bundle)
    _write_outputs(places.out)
    line = [name, *_SMALL.get(name, ())]
    command = _command(name)
    options = [p for p in command.params if isinstance(p, click.Option)]
    required = [option for option in options if option.required]
    others = [option for option in options if not option.required and option.name != "help"]
    chosen = draw.sample(others, min(len(others), draw.choice((0, 1, 2, 4))))
    missing = draw.random() < 0.05
    for option in [*([] if missing else required), *chosen]:
        line += _option(draw, name, option, places)
    for argument in command.params:
        if isinstance(argument, click.Argument) and draw.random() < 0.95:
            line.append(_argument(draw, argument, data, bundle))
    if draw.random() < 0.03:
        line.append(draw.choice(("--nonsense", "-Q", "extra", "--", "--siz=8", "--help")))
    return line


@cache
def _command(name: str) -> click.Command:
    from hmnpack.cli.group import main

    command = main.get_command(click.Context(main), name)
    assert command is not None
    return command


def _argument(draw: Random, argument: click.Argument, data: Path, bundle: Path) -> str:
    usual = data if argument.name == "data" else bundle
    if draw.random() < 0.85:
        return str(usual)
    others = (
        str(bundle),
        str(data),
        "digits",
        "nonsense",
        "",
        ".",
        "/dev/null",
        "\udcff",
        "no/such",
    )
    return draw.choice(others)


def _option(draw: Random, command: str, option: click.Option, places: Places) -> list[str]:
    long = next((name for name in option.opts if name.startswith("--")), option.opts[0])
    if option.is_flag:
        return [long]
    return [f"{long}={_value(draw, command, option, places)}"]


def _value(draw: Random, command: str, option: click.Option, places: Places) -> str:
    """Return a value; one in four is of a wrong kind."""
    kind, name = option.type, str(option.name)
    wrong = draw.random() < 0.25
    if name in _BY_NAME:
        return draw.choice(_BY_NAME[name])
    if name == "assignments":
        return _assignment(draw, command)
    if name == "config_file":
        return str(_config(draw, command, places.given))
    if name == "data":
        return str(places.given / "photos")
    if isinstance(kind, click.Choice):
        return "x" if wrong else str(draw.choice(list(kind.choices)))
    if isinstance(kind, click.types.IntParamType):
        return draw.choice(_INTEGERS) if wrong else draw.choice(("1", "2", "3", "8"))
    if isinstance(kind, click.types.FloatParamType):
        return draw.choice(_FLOATS) if wrong else draw.choice(("0", "0.1", "0.5", "0.9"))
    if isinstance(kind, click.Path):
        return _path(draw, command, name, places)
    return draw.choice(_TEXTS)


def _path(draw: Random, command: str, name: str, places: Places) -> str:
    if name in ("data_dir", "cache_dir", "work"):
        return str(draw.choice((places.cache / "own", places.cache, places.given / "a.hmn")))
    endings = {"expand": ("", "", ".png", ".tar", ".parquet"), "report": (".html", ".html", "")}
    names = ("new", "new", "new", "old", "folder", "link", "no/such/new", "é\n", "a" * 300)
    ending = draw.choice(endings.get(command, (".hmn", ".hmn", ".json", "")))
    return str(places.out / (draw.choice(names) + ending))


@cache
def _settings(command: str) -> tuple[str, ...]:
    """Return the dotted names of a command's settings."""
    from hmnpack.schema.config import PruneConfig
    from hmnpack.schema.evaluation import EvaluateConfig
    from hmnpack.settings import recipe_of

    models = {"evaluate": EvaluateConfig, "prune": lambda: PruneConfig(strategy="double-end")}
    model = models.get(command, lambda: recipe_of("smoke"))()
    return tuple(_flat(model.model_dump(mode="json")))


def _flat(values: dict[str, Any], above: str = "") -> list[str]:
    found = []
    for name, value in values.items():
        found += _flat(value, f"{above}{name}.") if isinstance(value, dict) else [above + name]
    return found


def _assignment(draw: Random, command: str) -> str:
    name = draw.choice((*_settings(command), "nonsense", "match", "match.", ".", "a.b.c", ""))
    return draw.choice((f"{name}={draw.choice(_VALUES)}",) * 9 + (name, "=", f"{name}=="))


def _config(draw: Random, command: str, folder: Path) -> Path:
    """Write a settings file: whole, changed in some lines, or broken."""
    tables: dict[str, list[str]] = {}
    for name in draw.sample(_settings(command), 3):
        table, _, key = name.rpartition(".")
        tables.setdefault(table, []).append(f"{key} = {draw.choice(_VALUES)}")
    blocks = [f"[{table}]\n" * bool(table) + "\n".join(lines) for table, lines in tables.items()]
    draw.shuffle(blocks)
    text = "\n".join(blocks) + draw.choice(("\n", "\nx = 1\n", "\n[", "\n[match]\n", "\ud800"))
    path = folder / draw.choice(("s.toml", "s.toml", "settings"))
    data = text.encode(errors="replace") if draw.random() < 0.9 else draw.randbytes(40)
    path.write_bytes(data)
    return draw.choice((path, path, path, folder, folder / "none.toml"))


def _write_data(draw: Random, folder: Path) -> Path:
    generator = np.random.default_rng(draw.getrandbits(64))
    for split in ("train", "test")[: draw.choice((1, 2, 2, 2))]:
        for name in ("ant", "b[e]e"):
            below = folder / "photos" / split / name
            below.mkdir(parents=True)
            for index in range(4):
                pixels = generator.integers(256, size=(8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(below / f"{index}.png")
    return folder / "photos"


def _write_outputs(folder: Path) -> None:
    """Write what outputs may meet: files, a folder that is not empty, a link."""
    for ending in ("", ".hmn", ".png", ".html", ".json", ".parquet", ".tar"):
        (folder / f"old{ending}").write_text("mine")
        (folder / f"link{ending}").symlink_to("old.hmn")
        (folder / f"folder{ending}").mkdir()
        (folder / f"folder{ending}" / "mine.txt").write_text("mine")


def faults_of(line: list[str], code: int | None, out: str) -> list[str]:
    """Return what is wrong with the output of a line that was accepted."""
    if code != 0 or "--json" not in line or "--help" in line:
        return []
    try:
        json.loads(out, parse_constant=int)
    except ValueError as error:
        return [f"not JSON: {error}: {out[:200]!r}"]
    return []
