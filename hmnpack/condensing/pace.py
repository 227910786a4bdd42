"""A run of a given time: its settings are chosen before it begins, and its steps before matching.

The pool and the warm-up have the settings that fit the speed that is measured before them. When
they are done, the speed of matching is measured again, with the networks and the container of the
run, and the steps of matching are those that fit the time that is left. From then on nothing
changes: the settings are those of a run without a clock, which gives the same bytes.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch

from hmnpack.condensing.minutes import (
    USED,
    check_timeable,
    fitted,
    is_worth,
    least_seconds,
    seconds_by_stage,
    with_steps,
)
from hmnpack.condensing.objectives import Inputs
from hmnpack.condensing.timing import (
    LONGEST,
    Rates,
    matching_seconds,
    measured_rates,
    pool_seconds,
    timing_inputs,
)
from hmnpack.container import Container
from hmnpack.errors import BadSettings
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.nested import leaves
from hmnpack.schema.stages import StageName
from hmnpack.sources import Split

_NARROWEST = 16
"""Width of the narrowest networks that are tried for a short time."""

_WIDTHS = ("convnet",)
"""Networks whose width can be chosen."""

_MEASURED = 0.01
"""Part of the time for which a kind of step is measured, at most."""


@dataclass(frozen=True)
class Meter:
    """Measures the steps of a run with some settings.

    Attributes:
        pool: Returns the seconds of a training step of a network of the pool.
        every: Returns the seconds of all kinds of steps.
    """

    pool: Callable[[CompressConfig], float]
    every: Callable[[CompressConfig], Rates]


def now() -> float:
    """Return the time of a clock that never goes back, in seconds."""
    return time.monotonic()


CHOSEN = (
    *("pool.size", "pool.network.width", "pool.train.epochs", "pool.min_steps"),
    *("warmup.steps", "match.steps", "match.views"),
)
"""Settings that a time chooses."""


def check_minutes(minutes: float, settings: Mapping[str, object], scale: float, ranks: int) -> None:
    """Check a time, and that what it chooses is not chosen already.

    Args:
        minutes: The time in minutes.
        settings: The caller's settings, nested or by dotted path.
        scale: The fraction of the iterations that the caller asks for.
        ranks: Number of processes that share the work.

    Raises:
        BadSettings: if it is not a positive number, if a setting that it chooses or a scale is
            given as well, or if there are several processes.
    """
    if not 0 < minutes < math.inf:
        raise BadSettings(f"minutes is {minutes:g}; give a positive number of minutes, such as 20")
    if scale != 1:
        raise BadSettings(
            "a run of a given time chooses its iterations itself; give minutes or a scale"
        )
    for path, _ in leaves(settings):
        if path in CHOSEN:
            raise BadSettings(
                f"a run of a given time chooses {path} itself; give minutes or {path}"
            )
    if ranks > 1:
        raise BadSettings(
            f"a run of a given time is one process, but there are {ranks}; give steps instead"
        )


def choose(
    config: CompressConfig,
    meter: Meter,
    seconds: float,
    images: int,
    parts: int,
    *,
    spent: float = 0.0,
) -> tuple[CompressConfig, Rates]:
    """Return the settings of a run that takes a time, and the rates that they rest on.

    Args:
        config: The recipe's settings.
        meter: Measures the steps of a run.
        seconds: Time of the run, from the call of this function.
        images: Number of real images to condense.
        parts: Parts of a class.
        spent: Seconds of the run before the call, for the message.

    Raises:
        BadSettings: if the time is too short, naming the least.
    """
    begun = now()
    while True:
        narrower = _narrower(config)
        if narrower is None or is_worth(config, meter.pool(config), seconds, images):
            rates = meter.every(config)
            left, least = seconds - (now() - begun), least_seconds(config, rates, images, parts)
            if narrower is None or least <= left:
                break
        config = narrower
    if least > left:
        needed = math.ceil((spent + seconds - left + least) / 6 * 1.1) / 10
        raise BadSettings(
            f"{(spent + seconds) / 60:.3g} minutes are too short for this dataset on this device; "
            f"give {needed:g} or more"
        )
    return fitted(config, rates, left, images, parts), rates


def _narrower(config: CompressConfig) -> CompressConfig | None:
    """Return the settings with networks of half the width; None if they would be too narrow."""
    network = config.pool.network
    if network.name not in _WIDTHS or network.width // 2 < _NARROWEST:
        return None
    network = network.model_copy(update={"width": network.width // 2})
    return config.model_copy(update={"pool": config.pool.model_copy(update={"network": network})})


class Pace:
    """The settings of a run of a given time, and the time that it has taken.

    Args:
        base: The settings before anything was chosen.
        minutes: The time of the run.
        begun: When it began, by ``now()``.
        state: What ``state()`` returned before a pause; None: a new run.

    Attributes:
        base: The settings before anything was chosen.
        minutes: The time of the run.
        config: The settings as chosen so far.
        is_final: Whether nothing is chosen any more.
        seconds: The planned seconds of each stage; empty after a pause.

    Raises:
        BadSettings: if a stage of the run has a time that cannot be fitted.
    """

    def __init__(
        self,
        base: CompressConfig,
        minutes: float,
        begun: float,
        state: Mapping[str, object] | None = None,
    ) -> None:
        check_timeable(base)
        self.base = base
        self.minutes = minutes
        self.config: CompressConfig = base
        self.is_final: bool = False
        self._begun = begun
        self._most_views = base.match.views
        self.seconds: dict[StageName, float] = {}
        if state is not None:
            self.config = CompressConfig.model_validate_json(str(state["config"]))
            self.is_final = bool(state["is_final"])
            self._most_views = int(str(state["most_views"]))
            self._begun -= float(str(state["spent"]))

    @property
    def left(self) -> float:
        """Seconds until the time of the run is over."""
        return 60 * self.minutes - (now() - self._begun)

    def chosen(self) -> dict[str, int]:
        """Return the settings that the time has chosen so far, by dotted path."""
        values = dict(leaves(self.config.model_dump(mode="json")))
        return {path: cast(int, values[path]) for path in CHOSEN if path in values}

    def state(self) -> dict[str, object]:
        """Return what a resumed run needs."""
        return {
            "config": self.config.model_dump_json(),
            "is_final": self.is_final,
            "most_views": self._most_views,
            "spent": now() - self._begun,
        }

    def begin(self, seen: Split, spec: ContainerSpec, device: torch.device) -> None:
        """Choose all settings, by the speed that is measured now.

        Raises:
            BadSettings: if the time is too short.
        """
        parts = self.base.match.parts_of(spec.each)
        inputs = timing_inputs(seen, self.base, spec, device)
        longest = min(LONGEST, 60 * self.minutes * _MEASURED)

        def pool(config: CompressConfig) -> float:
            return pool_seconds(replace(inputs, config=config), longest)

        def every(config: CompressConfig) -> Rates:
            return measured_rates(replace(inputs, config=config), longest)

        spent, meter = now() - self._begun, Meter(pool, every)
        self.config, rates = choose(
            *(self.base, meter, 60 * self.minutes - spent, len(seen), parts), spent=spent
        )
        self._most_views = rates.most_views
        self.seconds = seconds_by_stage(self.config, rates, len(seen), parts)

    def correct(self, inputs: Inputs, container: Container) -> CompressConfig:
        """Return the final settings: the steps of matching fit the time that is left.

        Args:
            inputs: Inputs of the run, with its pool.
            container: The container as matching starts with it.
        """
        if not self.is_final:
            match, view = matching_seconds(inputs, container)
            rates = Rates(0.0, 0.0, match, view, self._most_views)
            parts = inputs.real.parts_each
            base = self.config.model_copy(update={"match": self.base.match})
            self.config = with_steps(base, rates, USED * self.left, parts)
            self.is_final = True
        return self.config
