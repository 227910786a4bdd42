"""The frozen surface: adding or removing a command or an option must be deliberate."""

import pytest

from hmnpack.cli.group import COMMANDS, main

SOURCE = {
    *("--size", "--skip-bad", "--data-dir", "--cache-dir", "--image-column", "--label-column"),
    *("--test-split", "--train-list", "--test-list", "--classes"),
}
RUN = {"--device", "--quiet", "-q"}
CONDENSE = (
    {"DATA", "--ipc", "-o", "--output", "--recipe", "--seed", "--set", "--config"}
    | {"--holdout", "--max-minutes", "--resume", "--force", "--log", "--tensorboard", "--probes"}
    | {"--max-memory", "--scale"}
    | SOURCE
    | RUN
)
SURFACE = {
    "compress": {"--minutes"} | CONDENSE,
    "append": {"FILE"} | CONDENSE,
    "inspect": {"FILE", "--verify", "--json"},
    "expand": {"FILE", "-o", "--out", "--output", "--format", "--per-class", "--force"},
    "evaluate": {"FILE", "--data", "--net", "--width", "--epochs", "--batch", "--repeats"}
    | {"--seed", "--no-baselines", "--set", "--config", "--record", "--save", "--force", "--json"}
    | {"--protocol", "--rows", "--jpeg-quality", "--held-out", "--at-once", "--work"}
    | SOURCE
    | RUN,
    "audit": {"FILE", "--data", "--net", "--width", "--epochs", "--batch", "--repeats", "--seed"}
    | {"--set", "--config", "--save", "--force", "--json", "--protocol", "--held-out", "--at-once"}
    | {"--no-pictures"}
    | SOURCE
    | RUN,
    "verify": {"FILE...", "--data", "--score", "--networks", "--seed"} | SOURCE | RUN,
    "report": {"FILE", "-o", "--output", "--log", "--result", "--audit", "--force"},
    "prune": {"FILE", "--to-ipc", "-o", "--output", "--data", "--strategy", "--beta", "--seed"}
    | {"--set", "--config", "--force", "--at-once", "--work"}
    | SOURCE
    | RUN,
    "merge": {"FILE...", "-o", "--output", "--force"},
    "split": {"FILE", "--classes", "-o", "--output", "--rest", "--force"},
    "push": {"FILE", "OWNER/NAME", "--license", "--private", "--dry-run", "--force"},
    "pull": {"OWNER/NAME[/FILE.hmn]", "-o", "--output", "--force"},
    "plan": {"DATA", "--ipc", "--recipe", "--scale", "--set", "--config", "--json", "--minutes"}
    | SOURCE
    | RUN,
    "settings": {"--of", "--recipe", "--set"},
}


def surface(name):
    command = main.get_command(main.make_context("hmnpack", [], resilient_parsing=True), name)
    found = set()
    for param in command.params:
        found |= (
            set(param.opts) if param.param_type_name == "option" else {param.human_readable_name}
        )
    return found


def test_commands_are_unchanged():
    assert list(COMMANDS) == list(SURFACE)


@pytest.mark.parametrize("name", SURFACE)
def test_options_are_unchanged(name):
    assert surface(name) == SURFACE[name]


@pytest.mark.parametrize("name", SURFACE)
def test_every_option_has_a_help_text(name):
    command = main.get_command(main.make_context("hmnpack", [], resilient_parsing=True), name)
    undocumented = [p.name for p in command.params if p.param_type_name == "option" and not p.help]
    assert undocumented == []


@pytest.mark.parametrize("name", SURFACE)
def test_short_help_equals_the_line_of_the_root_help(name):
    command = main.get_command(main.make_context("hmnpack", [], resilient_parsing=True), name)
    assert command.get_short_help_str(100) == COMMANDS[name]
