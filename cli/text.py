"""Human-readable sizes, times, counts and names. Imports neither torch nor numpy."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hmnpack.schema.container import ContainerSpec, HmnSpec, ImageShape, OtherSpec
from hmnpack.schema.instances import in_words
from hmnpack.schema.stages import stages_of

if TYPE_CHECKING:
    from hmnpack import Plan
    from hmnpack.schema.config import CompressConfig
    from hmnpack.schema.manifest import Edit, Made, Manifest
    from hmnpack.schema.pruning import Margins, Pruning
    from hmnpack.schema.score import Score

KILO = 1000


def safe(name: str) -> str:
    """Return a name from a file or a folder as one printable line.

    Names in a `.hmn` file are untrusted and may contain terminal escape sequences. (Rich markup
    needs no escaping here: tables are made of plain text.)
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def size(count: int) -> str:
    """Return a number of bytes in the largest unit that does not exceed it: ``"122.9 kB"``."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < KILO:
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= KILO
    return f"{amount:.1f} GB"


def duration(seconds: float) -> str:
    """Return an estimated time, rounded: ``"about 3 h"``."""
    for unit, length, limit in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 72)):
        if round(seconds / length) < limit:
            return f"about {max(1, round(seconds / length))} {unit}"
    return f"about {_rough(seconds / 86400)} days"


def steps(config: "CompressConfig") -> str:
    """Return the optimiser steps of each stage: ``"800 of feature matching"``."""
    stages = (stage for stage in stages_of(config) if stage.steps)
    return ", ".join(f"{stage.steps:,} of {stage.title}" for stage in stages) or "none"


def _rough(value: float) -> str:
    """Return a number rounded to two significant digits: ``"1,200"``."""
    digits = 1 - math.floor(math.log10(value))
    return f"{round(value, digits):,.0f}"


def share(part: int, whole: int) -> str:
    """Return a part as a percentage of the whole: ``"99.7 %"``."""
    return f"{100 * part / whole:.1f} %"


def shape(image: ImageShape) -> str:
    """Return the shape of an image: ``"3 x 32 x 32"``."""
    return f"{image.channels} x {image.height} x {image.width}"


def several(names: Sequence[str], most: int = 10) -> str:
    """Return the number of names and the first ones: ``"100: apple, aquarium fish, ..."``."""
    shown = ", ".join(names[:most])
    return f"{len(names)}: {shown}{', ...' if len(names) > most else ''}"


def container(spec: ContainerSpec) -> str:
    """Return a one-line description of a container."""
    if isinstance(spec, OtherSpec):
        return f"{spec.kind} {spec.summary}"
    if not isinstance(spec, HmnSpec):
        return f"{spec.kind}: {spec.summary}"
    extractor = f"1x1 to {spec.extractor_channels}" if spec.extractor_channels else "identity"
    return (
        f"{spec.kind}: {spec.grid} x {spec.grid} grid; channels {spec.dataset_channels} (dataset) "
        f"+ {spec.class_channels} (class) + {spec.instance_channels} (image); "
        f"extractor {extractor}"
    )


def pruning(found: "Pruning", kept: int | tuple[int, ...]) -> str:
    """Return a description of a pruning: ``"85 of 93 images per class, by random"``.

    Args:
        found: The pruning's record in the manifest.
        kept: Images per class after pruning, as in ``container.instances``.
    """
    counts = f"{in_words(kept)} of {in_words(found.instances)} images per class"
    text = f"{counts}, by {found.strategy}"
    if found.beta is None:
        return text
    chosen = f", chosen on {found.held_out:,} held-out images" if found.held_out else ""
    return f"{text} at beta {found.beta:g}{chosen}"


def edited(edit: "Edit") -> str:
    """Return what files were edited, and how the classes of an appended file were made."""
    files = several([f"{digest[:12]}..." for digest in edit.files])
    if not edit.made:
        return f"of files with data_sha256 {files}"
    *before, new = edit.made
    first = "".join(f" ({_made(each)})" for each in before)
    return f"{_made(new)}; to the file with data_sha256 {edit.files[0][:12]}...{first}"


def _made(found: "Made") -> str:
    """Return how some classes were made: ``"2 classes of 360 images of digits, recipe fast"``."""
    source = found.source
    words = [
        f"{counted(found.classes, 'class', 'classes')} of {source.train_images:,} images of "
        f"{source.name}"
    ]
    if found.recipe is not None:
        words.append(f"recipe {found.recipe}")
    if found.seed is not None:
        words.append(f"seed {found.seed}")
    if found.config:
        words.append(f"but {settings(found.config)}")
    return ", ".join(words)


def settings(config: Mapping[str, object] | None) -> str:
    """Return the settings recorded in a file, on one line: ``"match.steps=400, ..."``."""
    from hmnpack.schema.nested import leaves

    pairs = leaves(config or {})
    return ", ".join(f"{path}={json.dumps(value)}" for path, value in pairs)


def chosen(plan: "Plan") -> Iterator[tuple[str, str]]:
    """Yield a row with the settings that a time has chosen, if one was given."""
    if plan.pace is not None:
        yield "chosen", settings(plan.pace.chosen())


def protocol(score: "Score") -> str:
    """Return the training protocol of a score: ``"short, seed 0; but train.epochs=20"``."""
    but = f"; but {settings(score.config)}" if score.config else ""
    return f"{score.protocol}, seed {score.seed}{but}"


def stored(manifest: "Manifest") -> str:
    """Return a summary of the contents: ``"850 images in 30,627 of 30,720 floats, 33.5 kB"``."""
    ledger, images, budget = manifest.ledger, manifest.container.images, manifest.budget
    if budget.floats is None:
        held = f"{ledger.floats:,} floats, {size(ledger.bytes)} of {size(budget.bytes)}"
    else:
        held = f"{ledger.floats:,} of {budget.floats:,} floats, {size(ledger.bytes)}"
    return f"{images:,} images in {held}"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun: ``"1 score"``, ``"2 scores"``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def margins(found: "Margins") -> str:
    """Return the range of the areas under the margin: ``"-3.1 to 187.2 ..."``."""
    from statistics import median

    areas = found.areas
    return (
        f"{min(areas):.1f} to {max(areas):.1f}, median {median(areas):.1f}, summed over "
        f"{counted(found.epochs, 'epoch')} (mean of {counted(found.seeds, 'network')})"
    )
