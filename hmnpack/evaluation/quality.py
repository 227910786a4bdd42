"""Selects the JPEG quality for a byte budget: a few fine images, or many coarse ones.

The selection uses a validation split of the training images. The baseline thus gets the same
opportunity to tune as the bundle had, and the test split selects nothing.
"""

from dataclasses import dataclass, replace
from math import ceil

from hmnpack.evaluation.bench import Bench, TrainingSet
from hmnpack.evaluation.jpeg import jpeg_real
from hmnpack.evaluation.trainer import train_row
from hmnpack.runtime.seeds import stream
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.sources import Source, hold_out
from hmnpack.sources.lazy import on_device
from hmnpack.training.loop import schedule_of

QUALITIES = (5, 10, 20, 30, 50, 75)
"""Qualities to try; the first of equally good ones wins."""

UNTRIED = 75
"""Quality if there is nothing to select by: the encoder's default."""

_HELD_OUT = 0.1
"""Fraction of each training class held out for validation."""

_EPOCH_DIVISOR = 10
_MIN_STEPS = 500
"""Trials run for a tenth of the epochs, but at least 500 steps (or all, if there are fewer)."""


@dataclass(frozen=True)
class Quality:
    """A JPEG quality, and how it was selected.

    Attributes:
        value: JPEG quality, 1 to 95.
        held_out: Number of held-out images that selected it; 0: it was not selected.
        accuracies: Validation accuracy in percent, by quality. Qualities at which the budget does
            not hold one image of each class are missing.
    """

    value: int
    held_out: int
    accuracies: dict[int, float]


def choose_quality(bench: Bench, source: Source, budget: int) -> Quality:
    """Train one network per quality for a short time, and return the best quality.

    Args:
        bench: What the rows have in common.
        source: The dataset; a tenth of each training class is held out for validation.
        budget: Most bytes of compressed image data in total.

    Returns:
        The quality with the highest validation accuracy; 75 if no class has 10 images, or the
        budget does not hold one image of each class.
    """
    train, validation = hold_out(
        source.train, _HELD_OUT, stream(bench.config.seed, "quality", "held out")
    )
    images = on_device(validation.pixels, bench.device)
    labels = validation.labels.to(bench.device)
    trial = replace(bench, test=TrainingSet(images, labels, images.numel()))
    accuracies: dict[int, float] = {}
    for quality in QUALITIES if len(validation) else ():
        # Every quality uses the same random order of images; coarser ones get further in it.
        generator = stream(bench.config.seed, "quality", "images")
        made = jpeg_real(train, source.classes, budget, quality, generator)
        if len(made.labels):
            short = replace(trial, config=_shortened(bench.config, len(made.labels)))
            (accuracies[quality],) = train_row(short, f"JPEG quality {quality}", [made])
    if not accuracies:
        return Quality(UNTRIED, 0, {})
    return Quality(max(accuracies, key=lambda one: accuracies[one]), len(validation), accuracies)


def _shortened(config: EvaluateConfig, images: int) -> EvaluateConfig:
    """Return the protocol of a trial: a tenth of the epochs, but at least 500 steps or all."""
    whole = schedule_of(config.train, images, config.min_steps)
    least = min(whole.epochs, ceil(_MIN_STEPS / whole.steps))
    epochs = max(ceil(whole.epochs / _EPOCH_DIVISOR), least)
    train = config.train.model_copy(update={"epochs": epochs})
    return config.model_copy(update={"train": train, "min_steps": 0})
