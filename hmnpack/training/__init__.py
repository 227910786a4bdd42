"""Training and testing networks: one, or a batch of networks of one architecture."""

from hmnpack.training.batches import LabelledSet
from hmnpack.training.groups import EVERY, at_once_on, groups_of, side_by_side, within_memory
from hmnpack.training.loop import accuracy, train
from hmnpack.training.resume import saving, training_in
from hmnpack.training.testing import accuracies, losses, outputs
from hmnpack.training.together import OnBatches, OnEpochs, train_together

__all__ = [
    "EVERY",
    "LabelledSet",
    "OnBatches",
    "OnEpochs",
    "accuracies",
    "accuracy",
    "at_once_on",
    "groups_of",
    "losses",
    "outputs",
    "saving",
    "side_by_side",
    "train",
    "train_together",
    "training_in",
    "within_memory",
]
