"""Evaluates a bundle: the accuracy of networks trained on its images, compared with baselines.

Every row of the table trains fresh networks with one protocol and tests each network once, after
its last epoch. The bundle's row trains on the bundle's images. The baselines train on random real
images within the same float budget, on random real images whose JPEG files take the same number of
bytes and, on request, on the same number of random real images (an upper bound, ideally) and on the
full dataset. Nothing is selected on the test split.
"""

from hmnpack.evaluation.baselines import random_real
from hmnpack.evaluation.bench import TrainingSet
from hmnpack.evaluation.checks import check_network
from hmnpack.evaluation.compare import (
    BUNDLE_ROW,
    BYTES_ROW,
    COUNT_ROW,
    FLOATS_ROW,
    WHOLE_ROW,
    below_whole,
    over_random,
)
from hmnpack.evaluation.jpeg import from_jpeg, jpeg, jpeg_real
from hmnpack.evaluation.run import Evaluation, evaluate, protocol_for

__all__ = [
    "BUNDLE_ROW",
    "BYTES_ROW",
    "COUNT_ROW",
    "FLOATS_ROW",
    "WHOLE_ROW",
    "Evaluation",
    "TrainingSet",
    "below_whole",
    "check_network",
    "evaluate",
    "from_jpeg",
    "jpeg",
    "jpeg_real",
    "over_random",
    "protocol_for",
    "random_real",
]
