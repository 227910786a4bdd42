"""IDC: our gradient matching, which is IDC's objective, with the settings of that method."""

from hmnpack.matching.gradient import GradientMatching
from hmnpack.matching.objective import Match
from hmnpack.schema.idc import IdcConfig


class IdcMatching(GradientMatching):
    """The objective of the method ``idc``; see :class:`GradientMatching`.

    The authors step after each class. Here one step covers all classes, as in the stage
    ``gradient``: a gradient moves the images equally far in total, since momentum carries it on.

    Args:
        match: Data, settings.
    """

    def __init__(self, match: Match[IdcConfig]) -> None:
        own = Match(
            *(match.data, None, match.config.gradient, match.seed),
            max_memory=match.max_memory,
            check=match.check,
        )
        super().__init__(own)
