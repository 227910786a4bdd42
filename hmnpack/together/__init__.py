"""Several networks of one architecture, trained and tested at once on one device."""

from hmnpack.together.batches import LabelledSet
from hmnpack.together.groups import at_once_on, groups_of, side_by_side, within_memory
from hmnpack.together.testing import accuracies
from hmnpack.together.train import OnBatches, OnEpochs, train_together

__all__ = [
    "LabelledSet",
    "OnBatches",
    "OnEpochs",
    "accuracies",
    "at_once_on",
    "groups_of",
    "side_by_side",
    "train_together",
    "within_memory",
]
