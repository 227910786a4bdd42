"""`hmnpack settings`: print the settings of a command as a documented TOML file."""

from typing import TYPE_CHECKING

import click

from hmnpack.cli.options import set_option
from hmnpack.cli.parameters import RecipeName
from hmnpack.errors import BadSettings

if TYPE_CHECKING:
    from hmnpack.schema.base import Frozen

_HEAD = {
    "compress": "# Settings of hmnpack compress: recipe {.recipe}, with its values for CIFAR-10 at "
    "1 ipc.\n",
    "evaluate": "# Settings of hmnpack evaluate: protocol short.\n",
    "prune": "# Settings of hmnpack prune.\n",
}
_KEEP = "# Keep only the lines you change: they override the recipe or protocol.\n"


@click.command("settings", short_help="Print all settings as a file for --config.")
@click.option(
    "--of",
    "command",
    type=click.Choice(list(_HEAD)),
    default="compress",
    show_default=True,
    help="Command whose settings to list.",
)
@click.option(
    "--recipe", type=RecipeName(), help="Recipe to take values from; compress only [default: fast]."
)
@set_option("container.kind=multi-formation", "hmnpack settings")
def settings_command(command: str, recipe: str | None, assignments: tuple[str, ...]) -> None:
    """Print all settings of a command as a file for --config.

    The output is TOML; a comment above each setting explains it. For compress, the values are
    those of a recipe for CIFAR-10 at 1 ipc. Keep only the lines you change: they override the
    recipe, whose values may differ for other datasets and budgets. To change a single setting, use
    --set match.steps=100.
    """
    from hmnpack.cli.toml import toml_of

    found = _settings(command, recipe, assignments)
    click.echo(_HEAD[command].format(found) + _KEEP)
    click.echo(toml_of(found), nl=False)


def _settings(command: str, recipe: str | None, assignments: tuple[str, ...]) -> "Frozen":
    from hmnpack.settings import CompressSettings, evaluate_config, prune_config

    if command == "compress":
        return CompressSettings(recipe, None, assignments, {}).config()
    if recipe:
        raise BadSettings(f"only compress has recipes; leave out --recipe {recipe}")
    find = evaluate_config if command == "evaluate" else prune_config
    return find(assignments, {})
