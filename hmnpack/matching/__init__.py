"""How a container is optimised: the warm-up on real images, the network pool, the objectives."""

from hmnpack.matching.data import RealData
from hmnpack.matching.features import FeatureMatching
from hmnpack.matching.gradient import GradientMatching
from hmnpack.matching.objective import Match, Objective
from hmnpack.matching.parts import partition_classes
from hmnpack.matching.pool import Pool, feature_network, load_or_train_pool
from hmnpack.matching.warmup import Reconstruction, choose_targets
from hmnpack.registry import OBJECTIVES, RIVALS

__all__ = [
    "OBJECTIVES",
    "RIVALS",
    "FeatureMatching",
    "GradientMatching",
    "Match",
    "Objective",
    "Pool",
    "RealData",
    "Reconstruction",
    "choose_targets",
    "feature_network",
    "load_or_train_pool",
    "partition_classes",
]
