"""How well networks learn from a bundle, beside the rows that keep the figure honest.

Every row trains fresh networks by one protocol and tests each once, after its last epoch: on the
bundle's images; on random real images that take as many floats; on random real images whose JPEG
files take as many bytes; and, where asked for, on as many random real images as the bundle decodes
(which it might at best equal), and on all of them. Nothing is chosen by the test split.
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
