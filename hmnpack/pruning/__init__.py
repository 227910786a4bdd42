"""What is dropped to meet a budget: margins, strategies, Algorithm 1, and what is left."""

from hmnpack.pruning.margins import LabelledImages, areas_under_margins, margin_of, margins_of
from hmnpack.pruning.run import DOUBLE_END, needs_held_out, prune, pruned, refuse_settings
from hmnpack.pruning.search import Search, best_beta
from hmnpack.pruning.select import hardest_of, kept_images, most_useful_first, ranks
from hmnpack.pruning.trainings import Trainings

__all__ = [
    "DOUBLE_END",
    "LabelledImages",
    "Search",
    "Trainings",
    "areas_under_margins",
    "best_beta",
    "hardest_of",
    "kept_images",
    "margin_of",
    "margins_of",
    "most_useful_first",
    "needs_held_out",
    "prune",
    "pruned",
    "ranks",
    "refuse_settings",
]
