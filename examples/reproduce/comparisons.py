"""Rows of tables 2 and 3, which compare methods and containers, and the published accuracies."""

from collections.abc import Mapping
from itertools import product

TABLE_2 = "table2-methods"
TABLE_3 = "table3-containers"
"""Names of the results; with a tag, they are further measurements of the same table."""

RECIPES = (
    *("dc", "dsa", "dm", "cafe", "cafe-dsa", "idm", "mtt", "idc"),
    *("haba", "linba", "fast"),
)
"""Methods in table 2."""

REAL = {
    "random": "random real images, same floats",
    "jpeg": "JPEG real images, bytes of `dsa`",
    "jpeg-fast": "JPEG real images, bytes of `fast`",
}
"""Rows of real images in table 2, and what they are."""

CONTAINERS = ("images", "multi-formation", "hallucinator", "linear-basis", "hmn")
"""Containers in table 3."""

OBJECTIVES = {"gradient": "gradient matching", "features": "feature matching"}
"""Objectives in table 3, and their names in words."""

IPCS = (1, 10)
"""Budgets of table 3 in images per class."""

PUBLISHED_2: Mapping[str, float] = {
    **{"dc": 28.3, "dsa": 28.8, "dm": 26.0, "cafe-dsa": 31.6, "idm": 45.6, "mtt": 46.3},
    **{"idc": 50.0, "haba": 48.3, "linba": 66.4, "fast": 65.7},
}
"""Accuracies in percent in Table 2 of the HMN paper: CIFAR-10, 1 image per class, runs to the end.
That of `fast` is the paper's HMN."""

PUBLISHED_3: Mapping[tuple[str, int], float] = {
    **{("images", 1): 36.7, ("images", 10): 58.3},
    **{("multi-formation", 1): 50.0, ("multi-formation", 10): 67.5},
    **{("hallucinator", 1): 48.5, ("hallucinator", 10): 61.8},
    **{("linear-basis", 1): 62.0, ("linear-basis", 10): 67.8},
    **{("hmn", 1): 65.7, ("hmn", 10): 73.7},
}
"""Accuracies in percent in Table 3 of the HMN paper by container and budget: CIFAR-10, gradient
matching to its end."""

Cell = tuple[str, int, str]
"""Objective, budget and container of a cell of table 3."""


def cells_of(ipcs: tuple[int, ...] = IPCS) -> dict[str, Cell]:
    """Return the cells of table 3 in order, by name such as ``features-1-hmn``."""
    found = product(ipcs, OBJECTIVES, CONTAINERS)
    return {f"{objective}-{ipc}-{kind}": (objective, ipc, kind) for ipc, objective, kind in found}
