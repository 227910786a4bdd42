"""The `hmnpack` command: its subcommands by name, imported when asked for, and its exit codes."""

import errno
import importlib
import io
import os
import sys
import traceback
from difflib import get_close_matches
from typing import Any, NoReturn

import click

from hmnpack.cli.speaker import is_main_rank, say_once
from hmnpack.errors import HmnError, is_out_of_memory
from hmnpack.version import __version__

INTERRUPTED = 130
DEFECT = 1


COMMANDS = {
    "compress": "Condense a data set into one small file.",
    "inspect": "Show what a file holds, and what it cost.",
    "expand": "Write a file's images to disk.",
    "evaluate": "Train networks on a file's images and test them.",
    "verify": "Check files, and with data the scores in them.",
    "report": "Write one web page that shows a file.",
    "prune": "Drop a file's least useful images.",
    "plan": "Show what would be stored, without training.",
    "settings": "List every setting, as a file for --config.",
}
"""Each command and the line that `hmnpack --help` shows, in the order in which they are used.

The module ``cmd_<name>`` holds a command as ``<name>_command``, so that it does not hide the
function of hmnpack that has its name.
"""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only to run it.

    Importing all of them would cost seconds (torch) before the first line of `--help`.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all subcommands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a subcommand; None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"hmnpack.cli.cmd_{cmd_name}")
        command = getattr(module, f"{cmd_name}_command")
        assert isinstance(command, click.Command)  # noqa: S101  (an invariant of the table)
        for option in command.params:
            option.envvar = option.envvar or _variable(cmd_name, option)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand that was asked for; where there is none, name one that is alike."""
        near = get_close_matches(args[0], COMMANDS, n=1)
        if args[0] not in COMMANDS and near and not ctx.resilient_parsing:  # that is completion
            ctx.fail(f"No such command {args[0]!r}, did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the subcommand."""
        if not args:
            return super().parse_args(ctx, args)  # shows the help
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            _refuse(error, ctx)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        """Run a subcommand; say in one line what went wrong, and leave with its exit code."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Hours of work are not lost for a character that a terminal does not have.
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            say_once("hmnpack: interrupted")
            ctx.exit(INTERRUPTED)
        except click.ClickException as error:
            _refuse(error, ctx)
        except (click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # `hmnpack inspect f.hmn | head`: click leaves quietly
            if os.environ.get("HMNPACK_DEBUG") == "1":
                traceback.print_exc()
            say_once(f"hmnpack: {one_line(explain(error))}")
            ctx.exit(error.exit_code if isinstance(error, HmnError) else DEFECT)


def _refuse(error: click.ClickException, ctx: click.Context) -> NoReturn:
    """Say in one line how a command was misused, and leave."""
    if is_main_rank():  # all ranks were given the same words
        known = getattr(error, "ctx", None)
        asked = f"{ctx.command_path} {ctx.invoked_subcommand or ''}".strip()
        command = known.command_path if known else asked
        text = one_line(error.format_message().rstrip("."))
        click.echo(f"hmnpack: {text}; see {command} --help", err=True)
    ctx.exit(error.exit_code)


def _variable(command: str, option: click.Parameter) -> str | None:
    """Return the variable of an option, by what is typed and not by what the code calls it."""
    long = [name for name in option.opts if name.startswith("--")]
    return f"HMNPACK_{command}_{long[0][2:]}".upper().replace("-", "_") if long else None


def explain(error: Exception) -> str:
    """Return what a user should read about an error: what is wrong, and what to do."""
    if isinstance(error, HmnError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    if is_out_of_memory(error):
        said = f" ({str(error).splitlines()[0]})" if str(error) else ""
        return f"out of memory{said}; try smaller batches (--batch, --set match.real_batch=32)"
    return (
        f"{type(error).__name__}: {error} (a defect of hmnpack: please report it with the command "
        "and the traceback that HMNPACK_DEBUG=1 prints)"
    )


def one_line(text: str) -> str:
    """Return a text without line breaks and without anything that could steer a terminal."""
    flat = " ".join(text.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in flat)


@click.group(
    cls=LazyGroup,
    context_settings={"auto_envvar_prefix": "HMNPACK", "help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 a defect, 2 bad settings, 3 bad data, 4 a bad file, 5 paused "
    "(run again, compress with --resume), 6 a score does not hold, 7 an optional package is "
    "missing, 130 interrupted.",
)
@click.version_option(
    __version__,
    prog_name="hmnpack",
    message="%(prog)s %(version)s",
    allow_from_autoenv=False,  # HMNPACK_VERSION may be anything's, and would end every command
)
def main() -> None:
    """Pack a labelled image data set into one small file, and unpack it into training images.

    Every option can be given as a variable: HMNPACK_COMPRESS_RECIPE=fast is --recipe fast.
    """
