"""Pruning to a smaller budget: margins, strategies, Algorithm 1 of the paper, the new bundle."""

from hmnpack.pruning.margins import LabelledImages, areas_under_margins, margin_of, margins_of
from hmnpack.pruning.run import (
    DOUBLE_END,
    check_prune_settings,
    check_rows,
    needs_held_out,
    prune,
    pruned,
)
from hmnpack.pruning.search import Search, best_beta
from hmnpack.pruning.select import hardest_of, kept_images, most_useful_first
from hmnpack.pruning.trainings import Trainings

__all__ = [
    "DOUBLE_END",
    "LabelledImages",
    "Search",
    "Trainings",
    "areas_under_margins",
    "best_beta",
    "check_prune_settings",
    "check_rows",
    "hardest_of",
    "kept_images",
    "margin_of",
    "margins_of",
    "most_useful_first",
    "needs_held_out",
    "prune",
    "pruned",
]
