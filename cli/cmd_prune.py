"""`hmnpack prune`: a file with fewer images, within a smaller budget."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from hmnpack.cli.options import (
    DATA_HELP,
    DataName,
    chosen_source,
    config_option,
    going_on,
    output_option,
    run_options,
    set_option,
    source_options,
    taken_source,
    work_option,
)
from hmnpack.cli.speaker import is_main_rank
from hmnpack.schema.names import PruneStrategy

if TYPE_CHECKING:
    from hmnpack import Bundle
    from hmnpack.schema.config import PruneConfig


@dataclass(frozen=True)
class Request:
    """What was typed.

    Attributes:
        file: The bundle.
        to_ipc: The budget, in images per class.
        data: The data set that the bundle was made from, or None.
        output: The file to be.
        seed: Of every random number.
        device: Where to compute.
        at_once: Networks to train at a time, or None.
        work: The folder that keeps what trainings gave, or None.
        force: Replace what is there.
        quiet: Say nothing but the result.
    """

    file: Path
    to_ipc: int
    data: str | None
    output: Path
    seed: int
    device: str
    at_once: int | None
    work: Path | None
    force: bool
    quiet: bool


@click.command("prune", short_help="Drop a file's least useful images.", epilog=DATA_HELP)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to-ipc", type=click.IntRange(min=1), required=True, help="Budget: images per class."
)
@output_option
@click.option(
    "--data", type=DataName(), help="What FILE was made from: beta is chosen on its held-out part."
)
@click.option(
    "--strategy",
    type=click.Choice(get_args(PruneStrategy)),
    help="Which images are dropped: the hardest and the easiest (double-end), the easiest, the "
    "hardest, random ones, or the last of each class (none) [default: double-end].",
)
@click.option(
    "--beta",
    type=click.FloatRange(0, 1),
    help="Part of the dropped images that are the hardest; no --data is needed then.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    help="Seed of every random number.",
)
@click.option(
    "--at-once",
    type=click.IntRange(min=1),
    metavar="N",
    help="Networks to train at a time [default: 1 on a CPU, else all].",
)
@work_option
@set_option("margin_epochs=50", "hmnpack settings --of prune")
@config_option
@source_options
@click.option("--force", is_flag=True, help="Replace FILE.hmn.")
@run_options
def prune_command(**typed: Any) -> None:  # noqa: ANN401
    """Drop images of FILE until it is within the budget of --to-ipc images per class.

    How hard an image is to learn is its area under the margin, over the trainings of a few
    networks on the images of FILE. Double-end pruning drops the hardest and the easiest; how many
    of each (beta) is chosen on images of --data that FILE was not made from, or given by --beta.
    """
    from hmnpack.settings import prune_config

    options = {name: typed.pop(name) for name in ("strategy", "beta")}
    config = prune_config(typed.pop("assignments"), options, typed.pop("config_file"))
    source = taken_source(typed)
    request = Request(**typed)
    bundle = _run(request, config, source)
    if is_main_rank():
        bundle.save(request.output, force=request.force)
        _show(request, bundle)


def _run(request: Request, config: "PruneConfig", source_options: dict[str, Any]) -> "Bundle":
    import hmnpack
    from hmnpack.cli.progress import progress_display
    from hmnpack.runtime.output import check_output_path

    check_output_path(request.output, force=request.force)  # before minutes of training
    with (
        going_on(request.work),
        progress_display(quiet=request.quiet or not is_main_rank()) as listener,
    ):
        return hmnpack.prune(
            request.file,
            request.to_ipc,
            config,
            data=request.data,
            seed=request.seed,
            device=request.device,
            source_options=chosen_source(source_options),
            at_once=request.at_once,
            work=request.work,
            listener=listener,
        )


def _show(request: Request, bundle: "Bundle") -> None:
    from statistics import mean

    from hmnpack.cli.show import console, table
    from hmnpack.cli.text import pruning, stored

    manifest = bundle.manifest
    spec, made = manifest.container, manifest.provenance.prunings[-1]
    if made.scores and not request.quiet:
        rows = [(f"{one.beta:g}", f"{mean(one.accuracies):.2f} %") for one in made.scores]
        columns = ("beta", "accuracy on held-out images")
        console(stderr=True).print(table("Choice of beta", columns, rows))
    click.echo(f"{request.output}: {stored(manifest)}; {pruning(made, spec.instances)}")
