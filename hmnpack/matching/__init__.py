"""How a container is learned: its start on real images, the network pool, the objectives."""

from collections.abc import Callable

from hmnpack.matching.data import RealData
from hmnpack.matching.features import DISTANCES, FeatureMatching
from hmnpack.matching.gradient import GradientMatching
from hmnpack.matching.objective import Match, Objective
from hmnpack.matching.parts import in_parts
from hmnpack.matching.pool import Pool, feature_network, pool_of
from hmnpack.matching.warmup import Reconstruction, targets_of
from hmnpack.registry import Registry
from hmnpack.schema.config import MatchConfig

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

OBJECTIVES: Registry[Callable[[Match[MatchConfig]], Objective]] = Registry("objective")
"""Name -> function that makes the objective from data, pool and settings."""

for _name in DISTANCES:
    OBJECTIVES.register(_name)(FeatureMatching)
