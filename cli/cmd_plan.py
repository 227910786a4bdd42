"""`hmnpack plan`: what would be stored at a budget, and what it would cost; without training."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from hmnpack.cli.options import (
    DATA_HELP,
    DataName,
    RecipeName,
    config_option,
    opened,
    run_options,
    set_option,
    source_options,
)

if TYPE_CHECKING:
    from hmnpack.condensing.estimate import Estimate
    from hmnpack.schema.config import CompressConfig
    from hmnpack.schema.container import HmnSpec
    from hmnpack.schema.manifest import Budget
    from hmnpack.sources import Source


@dataclass(frozen=True)
class Planned:
    """What is shown: the data set, the settings, what they come to."""

    source: "Source"
    config: "CompressConfig"
    spec: "HmnSpec"
    budget: "Budget"
    cost: "Estimate | None"


@click.command(short_help="Show what would be stored, without training.", epilog=DATA_HELP)
@click.argument("data", type=DataName())
@click.option("--ipc", type=click.IntRange(min=1), required=True, help="Images per class.")
@click.option(
    "--recipe", type=RecipeName(), help="Named settings [default: fast on a CPU, else best]."
)
@set_option("match.steps=100")
@config_option
@source_options
@run_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def plan(data: str, ipc: int, as_json: bool, **typed: Any) -> None:  # noqa: ANN401
    """Show what would be stored for DATA at a budget of --ipc images per class, and its cost.

    The budget is ipc * K * C * H * W numbers; a bundle stores more images than ipc in them. The
    cost is that of `compress` with the same recipe on this device: floating-point operations are
    counted, the time follows from them and the device's measured rate, the memory from a model.
    """
    from hmnpack.cli.progress import drawn
    from hmnpack.condensing.estimate import estimate
    from hmnpack.condensing.preflight import refuse_classes, refuse_early
    from hmnpack.container.budget import budget_of
    from hmnpack.container.budget import plan as planned
    from hmnpack.runtime.devices import choose_device
    from hmnpack.runtime.ranks import ALONE
    from hmnpack.settings import CompressSettings, default_recipe

    settings = CompressSettings(
        typed.pop("recipe"), typed.pop("config_file"), typed.pop("assignments"), {}
    )
    device = choose_device(typed.pop("device"))
    with drawn(quiet=typed.pop("quiet")) as listener:
        source = opened(data, typed, listener)
    refuse_classes(source)
    config = settings.config(source.shape, default_recipe(device.type))
    classes, image = len(source.classes), source.image
    spec = planned(ipc, classes, image, config.container)
    refuse_early(config, spec, ALONE)
    cost = estimate(config, spec, len(source.train), device, ipc=ipc)
    shown = Planned(source, config, spec, budget_of(ipc, classes, image), cost)
    (_print_json if as_json else _print_tables)(shown)


def _print_json(shown: Planned) -> None:
    from hmnpack.cli.show import print_json

    parts = {"container": shown.spec, "ledger": shown.spec.ledger(), "budget": shown.budget}
    print_json(
        {
            "data": shown.source.name,
            **{name: part.model_dump(mode="json") for name, part in parts.items()},
            "recipe": shown.config.recipe,
            "cost": shown.cost.document() if shown.cost else None,
        }
    )


def _print_tables(shown: Planned) -> None:
    from hmnpack.cli.show import console, cost_table, facts, ledger_table
    from hmnpack.cli.text import container, expected, shape

    spec, train = shown.spec, shown.source.train
    rows = (
        ("data", f"{len(train):,} training images of {shape(shown.source.image)}"),
        ("container", container(spec)),
        ("images", f"{spec.images:,}, {spec.each:,} a class"),
        ("recipe", shown.config.recipe),
        ("time", expected(shown.cost.seconds if shown.cost else None)),
    )
    out = console()
    out.print(facts(f"{shown.source.name} at {shown.budget.in_words}", rows))
    out.print(ledger_table(spec.ledger(), shown.budget))
    if shown.cost is not None:
        out.print(cost_table(f"Cost of recipe {shown.config.recipe}", shown.cost))
