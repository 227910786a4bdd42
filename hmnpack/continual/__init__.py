"""Class-incremental learning from condensed data (paper section 4.6), and what it is compared with.

Classes arrive in stages. After each, a network is trained on all that was stored so far, and tested
on the classes seen so far. A *row* is a way of storing: a function from the data of one stage, and
nothing else, to images and labels.
"""

from hmnpack.continual.learner import learn, widened
from hmnpack.continual.order import stages_of_classes
from hmnpack.continual.rows import ROWS, Condensing, Row, Stage
from hmnpack.continual.run import Run, StageResult, results_of
from hmnpack.schema.continual import CONTINUAL, ContinualConfig

__all__ = [
    "CONTINUAL",
    "ROWS",
    "Condensing",
    "ContinualConfig",
    "Row",
    "Run",
    "Stage",
    "StageResult",
    "learn",
    "results_of",
    "stages_of_classes",
    "widened",
]
