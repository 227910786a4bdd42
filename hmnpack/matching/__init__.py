"""How a container is learned: its start on real images, the network pool, the objectives."""

from hmnpack.matching.data import RealData
from hmnpack.matching.features import FeatureMatching
from hmnpack.matching.gradient import GradientMatching
from hmnpack.matching.objective import Match, Objective
from hmnpack.matching.parts import in_parts
from hmnpack.matching.pool import Pool, feature_network, pool_of
from hmnpack.matching.warmup import Reconstruction, targets_of
from hmnpack.registry import OBJECTIVES

__all__ = [
    "OBJECTIVES",
    "FeatureMatching",
    "GradientMatching",
    "Match",
    "Objective",
    "Pool",
    "RealData",
    "Reconstruction",
    "feature_network",
    "in_parts",
    "pool_of",
    "targets_of",
]
