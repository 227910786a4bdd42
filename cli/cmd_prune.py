"""`hmnpack prune`: reduce a file to a smaller budget by dropping images."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from hmnpack.cli.options import (
    DATA_HELP,
    config_option,
    make_source_options,
    naming_options,
    output_option,
    pop_source_options,
    read_as_recorded,
    resumable,
    run_options,
    set_option,
    source_options,
    work_option,
)
from hmnpack.cli.parameters import BundleFile, DataName
from hmnpack.runtime.notes import is_main_rank
from hmnpack.schema.names import PruneStrategy

if TYPE_CHECKING:
    from hmnpack import Bundle
    from hmnpack.schema.config import PruneConfig


@dataclass(frozen=True)
class Request:
    """Parsed command-line arguments.

    Attributes:
        file: Path or address of the bundle.
        to_ipc: New budget in images per class.
        data: Name or path of the dataset that the bundle was made from, or None.
        output: Output file.
        seed: Random seed.
        device: Compute device.
        at_once: Number of networks trained together, or None for the default.
        work: Work directory of results and checkpoints, or None.
        force: Replace an existing output.
        quiet: Print only the result.
    """

    file: Path | str
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
@click.argument("file", type=BundleFile())
@click.option(
    "--to-ipc", type=click.IntRange(min=1), required=True, help="New budget: images per class."
)
@output_option
@click.option(
    "--data", type=DataName(), help="Dataset of FILE; beta is chosen on its held-out images."
)
@click.option(
    "--strategy",
    type=click.Choice(get_args(PruneStrategy)),
    help="Images to drop: the hardest and the easiest (double-end), the easiest (easy), the "
    "hardest (hard), random ones (random), or the last of each class (none) [default: double-end].",
)
@click.option(
    "--beta",
    type=click.FloatRange(0, 1),
    help="Fraction of the dropped images that are the hardest; needs no --data.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Random seed.",
)
@click.option(
    "--at-once",
    type=click.IntRange(min=1),
    metavar="N",
    help="Networks to train together [default: 1 on a CPU, else all].",
)
@work_option
@set_option("margin_epochs=50", "hmnpack settings --of prune")
@config_option
@source_options
@click.option("--force", is_flag=True, help="Replace an existing FILE.hmn.")
@run_options
def prune_command(**arguments: Any) -> None:  # noqa: ANN401
    """Drop images of FILE until it fits the budget of --to-ipc images per class.

    An image's difficulty is its area under the margin, averaged over a few networks trained on the
    images of FILE. Double-end pruning drops the hardest and the easiest images. Their proportion,
    beta, is chosen on images of --data that were held out when FILE was made, or set by --beta.
    """
    from hmnpack.bundle.keep import save_or_keep
    from hmnpack.settings import prune_config

    options = {name: arguments.pop(name) for name in ("strategy", "beta")}
    with naming_options(options):
        config = prune_config(arguments.pop("assignments"), options, arguments.pop("config_file"))
    source = pop_source_options(arguments)
    request = Request(**arguments)
    bundle = _run(request, config, source)
    if is_main_rank():
        save_or_keep(bundle, request.output, force=request.force)
        _show(request, bundle)


def _run(request: Request, config: "PruneConfig", source_options: dict[str, Any]) -> "Bundle":
    import hmnpack
    from hmnpack.bundle import read
    from hmnpack.cli.progress import progress_display
    from hmnpack.runtime.output import check_output_path

    check_output_path(request.output, force=request.force)  # before minutes of training
    bundle = read(request.file)
    options = make_source_options(source_options)
    if request.data is not None:
        options = read_as_recorded(request.file, bundle.manifest, source_options, request.data)
    with (
        resumable(request.work),
        progress_display(quiet=request.quiet or not is_main_rank()) as listener,
    ):
        return hmnpack.prune(
            bundle,
            request.to_ipc,
            config,
            data=request.data,
            seed=request.seed,
            device=request.device,
            source_options=options,
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
