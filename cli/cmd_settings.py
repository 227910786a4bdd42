"""`hmnpack settings`: every setting of a command, with its value and its meaning."""

from typing import TYPE_CHECKING

import click

from hmnpack.cli.options import RecipeName
from hmnpack.errors import BadSettings

if TYPE_CHECKING:
    from hmnpack.schema.base import Frozen

_HEAD = {
    "compress": "# Settings of hmnpack compress: those of recipe {.recipe}, as it is for CIFAR-10."
    "\n",
    "evaluate": "# Settings of hmnpack evaluate: those of protocol short.\n",
    "prune": "# Settings of hmnpack prune.\n",
}
_KEEP = "# Keep the lines that you change: what a file has beats the recipe or protocol.\n"


@click.command("settings", short_help="List every setting, as a file for --config.")
@click.option(
    "--of",
    "command",
    type=click.Choice(list(_HEAD)),
    default="compress",
    show_default=True,
    help="Whose.",
)
@click.option("--recipe", type=RecipeName(), help="Whose values, of compress [default: fast].")
def settings_command(command: str, recipe: str | None) -> None:
    """List every setting, as a file for --config.

    It is TOML: each setting with its value, and above it what it means. Those of compress are of a
    recipe, as it is for CIFAR-10. Keep the lines that you change: what is in the file beats the
    recipe, which may have other values for other data. --set match.steps=100 changes one setting.
    """
    from hmnpack.cli.toml import toml_of

    found = _settings(command, recipe)
    click.echo(_HEAD[command].format(found) + _KEEP)
    click.echo(toml_of(found), nl=False)


def _settings(command: str, recipe: str | None) -> "Frozen":
    from hmnpack.schema.config import PruneConfig
    from hmnpack.schema.evaluation import EvaluateConfig
    from hmnpack.settings import CPU_RECIPE, recipe_of

    if command == "compress":
        return recipe_of(recipe or CPU_RECIPE)
    if recipe:
        raise BadSettings(f"recipes are of compress; leave out --recipe {recipe}")
    return EvaluateConfig() if command == "evaluate" else PruneConfig(strategy="double-end")
