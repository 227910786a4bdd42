"""`hmnpack plan`: show the container and the cost of a run, without training."""

from typing import TYPE_CHECKING, Any

import click

from hmnpack.cli.options import (
    DATA_HELP,
    config_option,
    make_source_options,
    minutes_option,
    run_options,
    scale_option,
    set_option,
    source_options,
)
from hmnpack.cli.parameters import DataName, RecipeName

if TYPE_CHECKING:
    from hmnpack import Plan


@click.command(
    "plan", short_help="Show what would be stored, and the cost of a run.", epilog=DATA_HELP
)
@click.argument("data", type=DataName())
@click.option("--ipc", type=click.IntRange(min=1), required=True, help="Budget: images per class.")
@click.option(
    "--recipe", type=RecipeName(), help="Named settings [default: fast on a CPU, else best]."
)
@scale_option
@minutes_option
@set_option("match.steps=100")
@config_option
@source_options
@run_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def plan_command(data: str, ipc: int, as_json: bool, **arguments: Any) -> None:  # noqa: ANN401
    """Show what `compress` would store for DATA at budget --ipc, and what the run would cost.

    Nothing is trained; --minutes measures a few steps. The budget is ipc * K * C * H * W floats,
    which hold more than ipc images per class. The cost is that of `compress` with the same recipe
    on this device: floating-point operations are counted, the time follows from the measured speed
    of the device, and the memory from a model.
    """
    import hmnpack
    from hmnpack.cli.progress import progress_display
    from hmnpack.settings import CompressSettings

    settings = CompressSettings(
        arguments.pop("recipe"), arguments.pop("config_file"), arguments.pop("assignments"), {}
    )
    with progress_display(quiet=arguments.pop("quiet")) as listener:
        found = hmnpack.plan(
            data,
            ipc,
            recipe=settings.recipe,
            settings=settings.settings,
            minutes=arguments.pop("minutes"),
            device=arguments.pop("device"),
            source_options=make_source_options(arguments),
            listener=listener,
            scale=arguments.pop("scale"),
        )
    (_print_json if as_json else _print_tables)(found)


def _print_json(plan: "Plan") -> None:
    from hmnpack.cli.about_source import renamed
    from hmnpack.cli.show import print_json

    parts = {"container": plan.spec, "ledger": plan.spec.ledger(), "budget": plan.budget}
    print_json(
        {
            "data": plan.source.name,
            "skipped": dict(plan.source.skipped),
            "renamed": renamed(plan.source.classes),
            **{name: part.model_dump(mode="json") for name, part in parts.items()},
            "recipe": plan.config.recipe,
            **({"settings": plan.pace.chosen()} if plan.pace else {}),
            "cost": plan.cost.document(),
        }
    )


def _print_tables(plan: "Plan") -> None:
    from hmnpack.cli.about_source import source_notes
    from hmnpack.cli.show import console, cost_table, facts, ledger_table
    from hmnpack.cli.text import chosen, container, duration, shape, steps

    spec, train = plan.spec, plan.source.train
    rows = (
        ("data", f"{len(train):,} training images of {shape(plan.source.image)}"),
        *source_notes(plan),
        ("container", container(spec)),
        ("images", f"{spec.images:,}, {spec.each:,} per class"),
        ("recipe", plan.config.recipe),
        ("steps", steps(plan.config)),
        *chosen(plan),
        ("time", duration(plan.cost.seconds)),
    )
    out = console()
    out.print(facts(f"{plan.source.name} at {plan.budget.in_words}", rows))
    out.print(ledger_table(spec.ledger(), plan.budget))
    out.print(cost_table(f"Cost of recipe {plan.config.recipe}", plan.cost))
