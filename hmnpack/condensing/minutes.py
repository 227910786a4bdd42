"""Settings that fit a run to a time (pure arithmetic).

A quarter of the time goes to the pool: more networks and longer training than the recipe's, or
less. The warm-up has the recipe's steps, or as many as a sixteenth of the time allows. Matching
gets what is left, with a view for every eighth to twentieth step.
"""

from collections.abc import Callable
from math import ceil, sqrt

from hmnpack.condensing.timing import Rates
from hmnpack.errors import BadSettings
from hmnpack.schema.config import CompressConfig, MatchConfig, PoolConfig
from hmnpack.schema.stages import StageName, has_stage
from hmnpack.training.loop import schedule_of

FEWEST_STEPS = 50
"""Steps of matching below which a run is not worth its time."""

_FEWEST_WARMUP = 10
USED = 0.96
"""Part of the time that is planned; the rest is for reports, checkpoints and writing the file."""

_POOL = 1 / 4
_WARMUP = 1 / 16
_MOST_POOL = 5
"""Times the recipe's networks, and the recipe's training, that a long run has at most: with `fast`
ten networks of 20 epochs, as in `best`."""

_WORTH = 1 / 4
"""Part of the recipe's training of a network below which a narrower network is taken."""

_VIEWS_OF_FEW = 8
_VIEWS_OF_MANY = 20
"""Steps per view in short and in long runs; with `fast` a view recurs as often as in `best`."""

_LONGEST = 10**8


def check_timeable(config: CompressConfig) -> None:
    """Check that the time of all stages can be fitted.

    Raises:
        BadSettings: naming the setting that is in the way.
    """
    if config.gradient.networks or not has_stage(config, "matching"):
        raise BadSettings(
            f"recipe {config.recipe} does not match features alone, so it cannot be fitted to a "
            "time; use recipe fast, or omit --minutes"
        )
    if has_stage(config, "pruning"):
        raise BadSettings(
            f"prune.strategy {config.prune.strategy} takes a time that is not fitted; prune the "
            "file afterwards, or omit --minutes"
        )


def least_seconds(config: CompressConfig, rates: Rates, images: int, parts: int) -> float:
    """Return the least time of a run: an epoch, some steps of the warm-up and of matching."""
    matching = match_seconds(config.match, rates, FEWEST_STEPS, parts)
    warmup = _FEWEST_WARMUP * rates.warmup
    return (_epoch_steps(config, images) * rates.pool + warmup + matching) / USED


def fitted(
    config: CompressConfig, rates: Rates, seconds: float, images: int, parts: int
) -> CompressConfig:
    """Return the settings whose run takes a time.

    Args:
        config: The recipe's settings.
        rates: Measured with these settings.
        seconds: The time that is left, at least :func:`least_seconds`.
        images: Number of real images to condense.
        parts: Parts of a class.
    """
    planned = USED * seconds
    # Each stage gets the least first, so that no share of another is at its cost.
    spare = planned - USED * least_seconds(config, rates, images, parts)
    epoch = rates.pool * _epoch_steps(config, images)
    for_pool = epoch + min(spare, max(0.0, _POOL * planned - epoch))
    pool = _pool(config, for_pool / rates.pool, images)
    found = config.model_copy(update={"pool": pool})
    rest = planned - rates.pool * pool_steps(found, images)
    if rates.warmup:
        spare -= for_pool - epoch
        steps = _FEWEST_WARMUP + int(min(spare, _WARMUP * planned) / rates.warmup)
        warmup = config.warmup.model_copy(update={"steps": min(config.warmup.steps, steps)})
        found = found.model_copy(update={"warmup": warmup})
        rest -= rates.warmup * warmup.steps
    return with_steps(found, rates, rest, parts)


def is_worth(config: CompressConfig, step: float, seconds: float, images: int) -> bool:
    """Return whether the time suffices for networks of this width, or a narrower one is better.

    Args:
        config: Settings with this width.
        step: Seconds of a training step of such a network.
        seconds: Time of the run.
        images: Number of real images.
    """
    return USED * seconds * _POOL >= _WORTH * _usual_steps(config, images) * step


def with_steps(config: CompressConfig, rates: Rates, seconds: float, parts: int) -> CompressConfig:
    """Return the settings with as many steps and views of matching as a time allows."""
    steps = _most(lambda n: match_seconds(config.match, rates, n, parts) <= seconds)
    views = views_of(config.match, steps, rates.most_views)
    match = config.match.model_copy(update={"steps": steps, "views": views})
    return config.model_copy(update={"match": match})


def views_of(match: MatchConfig, steps: int, most: int) -> int:
    """Return the number of views for a number of steps; 0 if the recipe's views do not recur."""
    if not match.views:
        return 0
    return min(ceil(steps / _VIEWS_OF_FEW), max(match.views, steps // _VIEWS_OF_MANY), most)


def match_seconds(match: MatchConfig, rates: Rates, steps: int, parts: int) -> float:
    """Return the seconds that matching takes with a number of steps."""
    views = match.model_copy(update={"views": views_of(match, steps, rates.most_views)}).views_of(
        parts
    )
    return steps * rates.match + (min(views, steps) if views else steps) * rates.view


def seconds_by_stage(
    config: CompressConfig, rates: Rates, images: int, parts: int
) -> dict[StageName, float]:
    """Return the seconds of each stage of a run, by its name."""
    return {
        "pool": rates.pool * pool_steps(config, images),
        "warm-up": rates.warmup * config.warmup.steps,
        "matching": match_seconds(config.match, rates, config.match.steps, parts),
    }


def pool_steps(config: CompressConfig, images: int) -> int:
    """Return the training steps of all networks of the pool."""
    schedule = schedule_of(config.pool.train, images, config.pool.min_steps)
    return config.pool.size * schedule.total


def _pool(config: CompressConfig, steps: float, images: int) -> PoolConfig:
    """Return the pool that takes a number of training steps, or an epoch of one network."""
    pool, usual = config.pool, _usual_steps(config, images)
    part = steps / (pool.size * usual)
    size = min(_MOST_POOL * pool.size, max(1, round(pool.size * sqrt(part))))
    each = min(_MOST_POOL * usual, steps / size)
    epochs = max(1, int(each / _epoch_steps(config, images)))
    train = pool.train.model_copy(update={"epochs": epochs})
    return pool.model_copy(update={"size": size, "train": train, "min_steps": 0})


def _usual_steps(config: CompressConfig, images: int) -> int:
    """Return the training steps of one network by the recipe."""
    return schedule_of(config.pool.train, images, config.pool.min_steps).total


def _epoch_steps(config: CompressConfig, images: int) -> int:
    return schedule_of(config.pool.train, images).steps


def _most(fits: Callable[[int], bool]) -> int:
    """Return the largest number that fits, by bisection; at least ``FEWEST_STEPS``."""
    low, high = FEWEST_STEPS, FEWEST_STEPS + 1
    while fits(high) and high < _LONGEST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
