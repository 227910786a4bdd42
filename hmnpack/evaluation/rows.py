"""Builds one row of an accuracy table: statistics over networks, and their training sets."""

import statistics
from collections.abc import Sequence
from math import sqrt
from typing import Any

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
        config: The training protocol.
        name: Name of the row.
        sets: The training set of every network.
        accuracies: Accuracy of every network, in percent.
        figures: Additional metrics of the row.
    """
    images = round(statistics.mean(len(one.labels) for one in sets))
    schedule = schedule_of(config.train, images, config.min_steps)
    return Row(
        name=name,
        images=images,
        **statistics_of(accuracies),
        figures={
            "bytes": round(statistics.mean(one.bytes for one in sets)),
            "epochs": schedule.epochs,
            "steps": schedule.total,
            **figures,
        },
    )


def statistics_of(accuracies: Sequence[float]) -> dict[str, Any]:
    """Return the fields of a row, or of a result, that state the accuracy of its networks.

    Args:
        accuracies: Accuracy of every network, in percent; at least one.
    """
    return {
        "accuracy_mean": statistics.mean(accuracies),
        "accuracy_std": statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0,
        "accuracy_ci95": half_interval(accuracies),
        "networks": len(accuracies),
        "accuracies": tuple(accuracies),
    }


def headline_of(row: Row) -> dict[str, Any]:
    """Return these fields of a row, for the result that it is the headline of."""
    names = ("accuracy_mean", "accuracy_std", "accuracy_ci95", "networks", "accuracies")
    return {name: getattr(row, name) for name in names}


def half_interval(values: Sequence[float]) -> float | None:
    """Return half the width of the 95 % confidence interval of the mean, by Student's t.

    For networks that were all trained on one bundle, the interval covers further networks on that
    bundle, not further bundles.

    Args:
        values: A sample of a normal distribution.

    Returns:
        Half the width, in the unit of the values; None for fewer than two values.
    """
    if len(values) < 2:
        return None
    return t_quantile(0.975, len(values) - 1) * statistics.stdev(values) / sqrt(len(values))
