"""`hmnpack inspect`: show the manifest of a file. Imports neither torch nor numpy."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from hmnpack.bundle.read import inspect_and_size
from hmnpack.cli.parameters import BundleFile
from hmnpack.schema.instances import in_words
from hmnpack.schema.manifest import Manifest, SourceFacts
from hmnpack.schema.score import Score
from hmnpack.schema.skipped import skipped_in_words


@click.command("inspect", short_help="Show what a file contains and how it was made.")
@click.argument("file", type=BundleFile())
@click.option("--verify", is_flag=True, help="Also check the sha256 of the stored bytes.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as one JSON document.")
def inspect_command(file: Path | str, verify: bool, as_json: bool) -> None:
    """Show what FILE contains and how it was made: ledger, budget, provenance, scores.

    The structure, the ledger and the budget are always checked.
    """
    manifest, file_bytes = inspect_and_size(file, verify=verify)
    if as_json:
        click.echo(json.dumps(manifest.document(), indent=2))
        return
    from hmnpack.cli.show import console, facts, ledger_table

    out = console()
    out.print(facts(str(file), _facts(manifest, file_bytes, verify)))
    out.print(ledger_table(manifest.ledger, manifest.budget))
    for number, score in enumerate(manifest.scores, 1):
        title = f"Score {number}: {score.network} on {score.tested_on}"
        out.print(facts(title, _score(score)))


def _facts(manifest: Manifest, file_bytes: int, verified: bool) -> Iterator[tuple[str, object]]:
    from hmnpack.cli.text import container, edited, margins, pruning, settings, several, shape, size

    spec, source, made = manifest.container, manifest.source, manifest.provenance
    if manifest.names_training_split:
        yield "source", f"{source.name}, {source.train_images:,} training images"
        yield "fingerprint", source.fingerprint
        yield "held out", f"{source.held_out:,} images, not used for condensing"
    else:
        yield "source", f"{source.name}; the file does not record its training split"
    for reason, number in source.skipped.items():
        yield "skipped", skipped_in_words(reason, number)
    yield from _read_as(source)
    if source.test_split is not None:
        split = source.test_split
        yield "test split", f"{100 * split.part:g} % of the data, sampled with seed {split.seed}"
    yield "classes", several(manifest.classes)
    yield "images", f"{spec.images:,} of {shape(spec.image)}, {in_words(spec.instances)} per class"
    yield "container", container(spec)
    yield "file", f"{size(file_bytes)} ({file_bytes:,} bytes), format {manifest.format_version}"
    if manifest.recipe is not None:
        seed = "" if manifest.seed is None else f", seed {manifest.seed}"
        yield "recipe", f"{manifest.recipe}{seed}"
    if manifest.config:
        yield "settings changed", settings(manifest.config)
    yield "made with", f"hmnpack {made.hmnpack}, torch {made.torch}, on {made.device}"
    start = "real images (images may resemble them)" if made.real_images_used_to_start else "noise"
    yield "initialised from", start
    counts = [*(each.instances for each in made.prunings[1:]), spec.instances]
    for each, kept in zip(made.prunings, counts, strict=False):
        yield "pruned to", pruning(each, kept)
    for edit in made.edits or ():
        yield edit.operation, edited(edit)
    if manifest.margins:
        yield "margins", margins(manifest.margins)
    if verified:
        yield "sha256", "the stored bytes match"


def _read_as(source: SourceFacts) -> Iterator[tuple[str, object]]:
    if source.size is not None:
        yield "resized to", f"{source.size} x {source.size}"
    for kind, listed in (("training", source.train_list), ("test", source.test_list)):
        if listed is not None:
            yield f"{kind} images", f"listed in {listed}"
    for kind, column in (("images", source.image_column), ("labels", source.label_column)):
        if column is not None:
            yield f"{kind} read from", f"column {column}"
    if source.classes is not None:
        from hmnpack.cli.text import several

        yield "classes chosen", several(source.classes)


def _score(score: Score) -> Iterator[tuple[str, object]]:
    from statistics import mean, stdev

    from hmnpack.cli.text import protocol

    found, versions = score.accuracies, score.versions
    spread = stdev(found) if len(found) > 1 else 0.0
    yield "these images", _accuracy(score.images, mean(found), spread, len(found))
    for row in score.baselines:
        yield row.name, _accuracy(row.images, row.mean, row.std, row.networks)
    yield "protocol", protocol(score)
    yield "held-out images" if score.held_out else "test split", score.fingerprint
    if versions:
        yield (
            "trained with",
            f"hmnpack {versions.hmnpack}, torch {versions.torch}, torchvision "
            f"{versions.torchvision}, Python {versions.python}"
            + (f", on {score.device}" if score.device else "")
            + (f", in {score.arithmetic}" if score.arithmetic else ""),
        )


def _accuracy(images: int, mean: float, std: float, networks: int) -> str:
    if networks == 1:
        return f"{mean:.2f} % (1 network, {images:,} images)"
    return f"{mean:.2f} % +- {std:.2f} ({networks} networks, {images:,} images)"
