"""Which JPEG quality serves a number of bytes best: few fine files, or many coarse ones.

Asked of images that are held out of train, so that the baseline has the same chance that the
bundle had, and the test split still has nothing to choose.
"""

from dataclasses import dataclass, replace
from math import ceil

from hmnpack.evaluation.bench import Bench, TrainingSet
from hmnpack.evaluation.jpeg import jpeg_real
from hmnpack.evaluation.trainer import train_row
from hmnpack.runtime.seeds import stream
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.sources import Source, hold_out
from hmnpack.training.loop import schedule_of

QUALITIES = (5, 10, 20, 30, 50, 75)
"""What is tried; of equally good ones the first is taken."""

UNTRIED = 75
"""Quality where there is nothing to choose by: the encoder's default."""

_HELD_OUT = 0.1
_PART = 10
"""A trial has a tenth of the row's epochs ..."""
_STEPS = 500
"""... but so many steps, where the row has them."""


@dataclass(frozen=True)
class Quality:
    """A quality, and how it was chosen.

    Attributes:
        value: Of the encoder, 1 to 95.
        held_out: Images that it was chosen by; 0: none.
        accuracies: What each quality that the bytes hold came to, in percent, by quality.
    """

    value: int
    held_out: int
    accuracies: dict[int, float]


def choose_quality(bench: Bench, source: Source, budget: int) -> Quality:
    """Train one network for each quality for a short time, and return the best.

    Args:
        bench: What the rows have in common.
        source: The data set; a tenth of each class of train is held out to judge by.
        budget: Bytes that all files together may take.

    Returns:
        75 where no class has 10 images, or the bytes do not hold one file of each class.
    """
    kept, held = hold_out(source.train, _HELD_OUT, stream(bench.config.seed, "quality", "held out"))
    images, labels = held.images.to(bench.device), held.labels.to(bench.device)
    trial = replace(bench, test=TrainingSet(images, labels, images.numel()))
    accuracies: dict[int, float] = {}
    for quality in QUALITIES if len(held) else ():
        # All qualities draw in one order, of which coarser pictures take more.
        generator = stream(bench.config.seed, "quality", "images")
        made = jpeg_real(kept, source.classes, budget, quality, generator)
        if len(made.labels):
            short = replace(trial, config=_shortened(bench.config, len(made.labels)))
            (accuracies[quality],) = train_row(short, f"JPEG quality {quality}", [made])
    if not accuracies:
        return Quality(UNTRIED, 0, {})
    return Quality(max(accuracies, key=lambda one: accuracies[one]), len(held), accuracies)


def _shortened(config: EvaluateConfig, images: int) -> EvaluateConfig:
    """Return the protocol with a tenth of the epochs, or 500 steps, but no more than it has."""
    whole = schedule_of(config.train, images, config.min_steps)
    least = min(whole.epochs, ceil(_STEPS / whole.steps))
    epochs = max(ceil(whole.epochs / _PART), least)
    train = config.train.model_copy(update={"epochs": epochs})
    return config.model_copy(update={"train": train, "min_steps": 0})
