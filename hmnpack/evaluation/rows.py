"""One row of an accuracy table: statistics over networks, and what they were trained on."""

import statistics
from collections.abc import Sequence
from math import sqrt

from hmnpack.evaluation.bench import TrainingSet
from hmnpack.evaluation.student import t_quantile
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.result import Figure, Row
from hmnpack.training.loop import schedule_of


def make_row(
    config: EvaluateConfig,
    name: str,
    sets: Sequence[TrainingSet],
    accuracies: Sequence[float],
    **figures: Figure,
) -> Row:
    """Return the row of networks with these accuracies, each trained on one of the sets.

    Args:
        config: The protocol that they were trained by.
        name: Of the row.
        sets: The images of every network.
        accuracies: Of every network, in percent.
        figures: Further metrics of the row.
    """
    images = round(statistics.mean(len(one.labels) for one in sets))
    schedule = schedule_of(config.train, images, config.min_steps)
    return Row(
        name=name,
        images=images,
        accuracy_mean=statistics.mean(accuracies),
        accuracy_std=statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0,
        accuracy_ci95=half_interval(accuracies),
        networks=len(accuracies),
        accuracies=tuple(accuracies),
        figures={
            "bytes": round(statistics.mean(one.bytes for one in sets)),
            "epochs": schedule.epochs,
            "steps": schedule.total,
            **figures,
        },
    )


def half_interval(values: Sequence[float]) -> float | None:
    """Return half the width of the 95 % interval of the mean, by Student's t; None for one value.

    Args:
        values: A sample of a normal distribution. Of a bundle's networks, all trained on the same
            images, it is about further networks on that bundle, not about further bundles.
    """
    if len(values) < 2:
        return None
    return t_quantile(0.975, len(values) - 1) * statistics.stdev(values) / sqrt(len(values))
