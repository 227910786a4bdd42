"""Conversion of arguments and options."""

import json

import click
import pytest

from hmnpack.cli.group import main
from hmnpack.cli.parameters import ByteSize, PathName
from hmnpack.errors import BadSettings, OutputExists, Paused


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ("1", 1),
        ("4096", 4096),
        ("10B", 10),
        ("2k", 2000),
        ("512MB", 512_000_000),
        ("512 mb", 512_000_000),
        ("1.5G", 1_500_000_000),
        ("4GB", 4_000_000_000),
        ("1TB", 10**12),
        ("3KiB", 3072),
        ("0.5GiB", 2**29),
        (77, 77),
    ],
)
def test_byte_size_units(arguments, count):
    assert ByteSize().convert(arguments, None, None) == count


@pytest.mark.parametrize(
    "arguments", ["", "GB", "0", "0.4", "-1", "4GBB", "4 G B", "1e9", "nan", "inf", "9" * 400]
)
def test_invalid_byte_size_raises(arguments):
    with pytest.raises(BadSettings, match="is not a size; write 4GB, 512MB or a number of bytes"):
        ByteSize().convert(arguments, None, None)


def test_invalid_byte_size_is_one_line(run, tmp_path):
    words = ("compress", "digits", "--ipc", 1, "-o", tmp_path / "x.hmn", "--max-memory", "much")
    done = run(*words)
    assert done.exit_code == 2
    assert done.stderr == (
        "hmnpack: --max-memory 'much' is not a size; write 4GB, 512MB or a number of bytes\n"
    )


@pytest.mark.parametrize(("words", "expected"), [((), None), (("--max-memory", "2MB"), 2_000_000)])
def test_max_memory_reaches_the_run(run, tmp_path, monkeypatch, words, expected):
    from hmnpack.condensing import compress as compressor

    seen = []

    def compress(*args, options, **more):
        seen.append(options.max_memory)
        raise Paused("enough")

    monkeypatch.setattr(compressor, "compress", compress)
    assert run("compress", "x", "--ipc", 9, "-o", tmp_path / "x.hmn", "-q", *words).exit_code == 5
    assert seen == [expected]


def test_every_option_has_an_environment_variable():
    context = click.Context(main, auto_envvar_prefix="HMNPACK")
    seen = set()
    for name in main.list_commands(context):
        for option in main.get_command(context, name).params:
            if isinstance(option, click.Option) and option.name != "help":
                long = next(text for text in option.opts if text.startswith("--"))
                variable = f"HMNPACK_{name}{long[1:]}".upper().replace("-", "_")
                assert option.envvar == variable
                seen.add(variable)
    assert {"HMNPACK_EXPAND_FORMAT", "HMNPACK_INSPECT_JSON", "HMNPACK_PLAN_SET"} <= seen


def test_no_command_takes_an_empty_path():
    context = click.Context(main)
    for name in main.list_commands(context):
        for one in main.get_command(context, name).params:
            if isinstance(one.type, click.Path):
                assert isinstance(one.type, PathName)
                with pytest.raises(click.BadParameter, match="the path is empty"):
                    one.type.convert("", one, context)


@pytest.mark.parametrize("output", [".", "..", "./", "/"])
@pytest.mark.parametrize("command", [("compress", "digits", "--ipc", 1)])
def test_an_output_without_a_name_is_a_folder(run, command, output, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*command, "-o", output)
    assert (done.exit_code, list(tmp_path.iterdir())) == (OutputExists.exit_code, [])
    assert "is a folder; name a file in it" in done.stderr


def test_environment_variable_sets_its_option(run, monkeypatch):
    monkeypatch.setenv(
        "HMNPACK_PLAN_SET", "container.instance_channels=1 container.decoder_channels=[2]"
    )
    monkeypatch.setenv("HMNPACK_PLAN_JSON", "1")
    shown = run("plan", "digits", "--ipc", 1, "--recipe", "smoke")
    assert shown.exit_code == 0, shown.output
    container = json.loads(shown.stdout)["container"]
    assert (container["instance_channels"], container["decoder_channels"]) == (1, [2])


@pytest.mark.slow
def test_chosen_classes_are_condensed_and_shown(run, tmp_path):
    out, words = tmp_path / "a.hmn", ("--ipc", 4, "--recipe", "smoke", "-q")
    wrong = run("compress", "digits", *words, "-o", out, "--classes", "7,x")
    assert wrong.exit_code == 2 and "unknown class 'x'; did you mean 0 or 1" in wrong.stderr
    assert run("compress", "digits", *words, "-o", out, "--classes", "7, 2").exit_code == 0
    shown = run("inspect", out).stdout
    assert "2: 7, 2" in shown and shown.count("7, 2") == 2
    assert run("report", out, "-o", tmp_path / "a.html").exit_code == 0
    assert "Classes chosen" in (tmp_path / "a.html").read_text()
