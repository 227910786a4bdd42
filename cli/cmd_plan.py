"""`hmnpack plan`: the ledger of a container that fits a budget, without training."""

from typing import Any

import click

from hmnpack.cli.options import DATA_HELP, DataName, opened, source_options


@click.command(short_help="Show what would be stored, without training.", epilog=DATA_HELP)
@click.argument("data", type=DataName())
@click.option("--ipc", type=click.IntRange(min=1), required=True, help="Images per class.")
@source_options
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def plan(data: str, ipc: int, quiet: bool, as_json: bool, **source: Any) -> None:  # noqa: ANN401
    """Show what would be stored for DATA at a budget of --ipc images per class.

    The budget is ipc * K * C * H * W numbers; a bundle stores more images than ipc in them.
    """
    from hmnpack.budget import budget_of
    from hmnpack.budget import plan as planned
    from hmnpack.cli.progress import drawn
    from hmnpack.cli.show import console, facts, ledger_table, print_json
    from hmnpack.cli.text import container, shape

    with drawn(quiet=quiet) as listener:
        found = opened(data, source, listener)
    classes, image = len(found.classes), found.image
    spec, budget = planned(ipc, classes, image), budget_of(ipc, classes, image)
    if as_json:
        parts = {"container": spec, "ledger": spec.ledger(), "budget": budget}
        print_json(
            {"data": found.name, **{k: part.model_dump(mode="json") for k, part in parts.items()}}
        )
        return
    rows = (
        ("data", f"{len(found.train.labels):,} training images of {shape(image)}"),
        ("container", container(spec)),
        ("images", f"{spec.images:,}, {spec.instances:,} a class"),
    )
    out = console()
    out.print(facts(f"{found.name} at {ipc} ipc", rows))
    out.print(ledger_table(spec.ledger(), budget))
