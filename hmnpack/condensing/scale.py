"""A shorter run: a fraction of a recipe's iterations."""

from hmnpack.errors import BadSettings
from hmnpack.schema.config import CompressConfig


def scaled(config: CompressConfig, part: float) -> CompressConfig:
    """Return the settings of a shorter run: a fraction of the steps that follow the warm-up.

    Feature matching has fewer steps, gradient matching fewer networks, and a method to compare
    with fewer iterations, each at least one. Networks of the pool are trained in full.

    Args:
        config: The settings.
        part: Fraction, above 0 and at most 1.

    Raises:
        BadSettings: for another fraction.
    """
    if not 0 < part <= 1:
        raise BadSettings(f"the scale is a fraction of the iterations, such as 0.05, got {part:g}")
    match, gradient, rival = config.match, config.gradient, config.rival
    changes = {
        "match": match.model_copy(update={"steps": _part_of(match.steps, part)}),
        "gradient": gradient.model_copy(update={"networks": _part_of(gradient.networks, part)}),
        "rival": None if rival is None else rival.scaled(part),
    }
    return config if part == 1 else config.model_copy(update=changes)


def _part_of(steps: int, part: float) -> int:
    return min(steps, max(1, round(part * steps)))
