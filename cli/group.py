"""The `hmnpack` command: lazily imported subcommands, one-line errors and exit codes."""

import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

import click

from hmnpack.cli.signals import INTERRUPTED, ending
from hmnpack.cli.speaker import echo_once
from hmnpack.cli.streams import drop_stdout, flush_stdout, make_stderr_lossy
from hmnpack.errors import HmnError, is_out_of_memory, one_line
from hmnpack.runtime.notes import is_main_rank
from hmnpack.version import __version__

DEFECT = 1

COMMANDS = {
    "compress": "Condense a dataset into one small file.",
    "append": "Condense new classes into an existing file.",
    "inspect": "Show what a file contains and how it was made.",
    "expand": "Write a file's images to disk.",
    "evaluate": "Train networks on a file's images and test them.",
    "audit": "Measure how much a file gives away about its data.",
    "verify": "Check files and, given data, their recorded scores.",
    "report": "Write a web page about a file or a folder of files.",
    "prune": "Drop a file's least useful images.",
    "merge": "Store files that share a decoder in one file.",
    "split": "Store some of a file's classes in a file of their own.",
    "push": "Publish a file on the Hugging Face Hub, with a card.",
    "pull": "Get a file from the Hugging Face Hub.",
    "plan": "Show what would be stored, and the cost of a run.",
    "settings": "Print all settings as a file for --config.",
}
"""Subcommands, in order of use, with their lines in `hmnpack --help`.

The module ``cmd_<name>`` defines the command as ``<name>_command``, so that it does not shadow the
hmnpack function of the same name.
"""


class LazyGroup(click.Group):
    """A click group that imports a subcommand only when it is needed.

    Importing all of them would load torch, which delays `--help` by seconds.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all subcommands, in the order of ``COMMANDS``."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a subcommand, or None if the name is unknown."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"hmnpack.cli.cmd_{cmd_name}")
        command = getattr(module, f"{cmd_name}_command")
        assert isinstance(command, click.Command)  # noqa: S101  (an invariant of COMMANDS)
        for option in command.params:
            option.envvar = option.envvar or _envvar_name(cmd_name, option)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the requested subcommand; suggest a similar name if it is unknown."""
        near = get_close_matches(args[0], COMMANDS, n=1)
        if args[0] not in COMMANDS and near and not ctx.resilient_parsing:  # set during completion
            ctx.fail(f"No such command {args[0]!r}, did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options before the subcommand."""
        if not args:
            return super().parse_args(ctx, args)  # prints the help
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            _exit_with_usage_error(error, ctx)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        """Run a subcommand; print an error as one line and exit with its code."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A character that the terminal cannot encode must not discard hours of work.
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            with ending.working():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            _exit_interrupted(ctx)
        except click.ClickException as error:
            _exit_with_usage_error(error, ctx)
        except (click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if isinstance(error, BrokenPipeError):
                raise  # `hmnpack inspect f.hmn | head`: click exits quietly
            if ending.interrupted:
                _exit_interrupted(ctx)
            if os.environ.get("HMNPACK_DEBUG") == "1":
                traceback.print_exc()
            echo_once(f"hmnpack: {one_line(explain(error))}")
            ctx.exit(error.exit_code if isinstance(error, HmnError) else DEFECT)


def _exit_interrupted(ctx: click.Context) -> NoReturn:
    echo_once("hmnpack: interrupted")
    ctx.exit(INTERRUPTED)


def _exit_with_usage_error(error: click.ClickException, ctx: click.Context) -> NoReturn:
    """Print a usage error as one line, with a pointer to the help, and exit."""
    if is_main_rank():  # all ranks have the same arguments
        error_ctx = getattr(error, "ctx", None)
        invoked = f"{ctx.command_path} {ctx.invoked_subcommand or ''}".strip()
        command = error_ctx.command_path if error_ctx else invoked
        text = one_line(error.format_message().rstrip("."))
        click.echo(f"hmnpack: {text}; see {command} --help", err=True)
    ctx.exit(error.exit_code)


def _envvar_name(command: str, option: click.Parameter) -> str | None:
    """Return the environment variable of an option, from its long name, not its parameter name."""
    long = [name for name in option.opts if name.startswith("--")]
    return f"HMNPACK_{command}_{long[0][2:]}".upper().replace("-", "_") if long else None


def explain(error: Exception) -> str:
    """Return an error message for the user: what is wrong and what to do."""
    if isinstance(error, HmnError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    if is_out_of_memory(error):
        detail = f" ({str(error).splitlines()[0]})" if str(error) else ""
        return (
            f"out of memory{detail}; try smaller batches (--batch, "
            "--set match.real_batch=32) or images (--size)"
        )
    return (
        f"{type(error).__name__}: {error} (a bug in hmnpack: please report it with the command "
        "and the traceback that HMNPACK_DEBUG=1 prints)"
    )


@click.group(
    cls=LazyGroup,
    context_settings={"auto_envvar_prefix": "HMNPACK", "help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 success, 1 bug or machine failure, 2 invalid usage or settings, "
    "3 invalid data, 4 invalid file, 5 paused (rerun the command; compress and append with "
    "--resume), 6 score not reproduced, 7 missing optional package, 8 push not accepted, "
    "130 interrupted.",
)
@click.version_option(
    __version__,
    prog_name="hmnpack",
    message="%(prog)s %(version)s",
    allow_from_autoenv=False,  # HMNPACK_VERSION may be set by other software
)
def main() -> None:
    """Compress a labelled image dataset into one small file of synthetic training images.

    Each option can also be set by an environment variable: HMNPACK_COMPRESS_RECIPE=fast sets
    `compress --recipe fast`.
    """


def run(args: Sequence[str] | None, prog_name: str | None) -> int:
    """Run a command and return its exit code; streams that fail are no traceback."""
    make_stderr_lossy()
    try:
        main(args, prog_name)
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    except OSError as error:  # of help; click exits if the reader of a pipe has ended
        code = _unprintable(error)
    try:
        flush_stdout()
    except OSError as error:
        drop_stdout()
        code = code or _unprintable(error)
    return code


def _unprintable(error: OSError) -> int:
    """Report that standard output cannot be written, and return the exit code."""
    if not isinstance(error, BrokenPipeError):
        echo_once(f"hmnpack: standard output: {one_line(explain(error))}")
    return DEFECT
