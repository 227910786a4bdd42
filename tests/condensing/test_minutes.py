"""Runs of a given time: what is chosen, and that a run without a clock repeats it."""

import itertools
import math

import pytest
import torch

import hmnpack
from hmnpack import RunOptions, SourceOptions
from hmnpack.condensing import pace as pace_module
from hmnpack.condensing.minutes import (
    FEWEST_STEPS,
    USED,
    fitted,
    least_seconds,
    match_seconds,
    seconds_by_stage,
    views_of,
)
from hmnpack.condensing.pace import CHOSEN, Meter, Pace, choose
from hmnpack.condensing.timing import Rates
from hmnpack.errors import BadSettings, Paused
from hmnpack.runtime.seeds import stream
from hmnpack.schema.recipes import FAST
from hmnpack.settings import merged, recipe_of
from hmnpack.sources import tensor_source

IMAGES = 45_000
PARTS = 4
CIFAR = Rates(pool=0.25, warmup=0.15, match=0.25, view=0.8)
"""About the speed of a CPU core with images of 32 px, in seconds."""


class FakeClock:
    """A clock that moves only when it is told to."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(pace_module, "now", lambda: self.now)
        for module in ("request", "plan"):
            monkeypatch.setattr(f"hmnpack.condensing.{module}.now", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return FakeClock(monkeypatch)


@pytest.mark.parametrize("minutes", [15, 20, 30, 60, 600, 6000])
def test_settings_fill_the_time(minutes):
    found = fitted(FAST, CIFAR, 60 * minutes, IMAGES, PARTS)
    taken = sum(seconds_by_stage(found, CIFAR, IMAGES, PARTS).values())
    assert 0.9 * USED * 60 * minutes < taken <= USED * 60 * minutes + 1e-6


def test_longer_runs_get_more_of_everything():
    runs = [fitted(FAST, CIFAR, 60 * minutes, IMAGES, PARTS) for minutes in (20, 60, 240, 6000)]
    for first, second in itertools.pairwise(runs):
        assert first.pool.size <= second.pool.size
        assert first.match.steps < second.match.steps
        assert first.match.views <= second.match.views
        assert first.warmup.steps <= second.warmup.steps
    assert (runs[-1].pool.size, runs[-1].pool.train.epochs) == (10, 20)  # those of recipe best
    assert runs[-1].warmup.steps == FAST.warmup.steps


def test_recipe_s_time_chooses_about_the_recipe():
    """A pool of two networks and four epochs, if that is a quarter of the time."""
    pool = 2 * 4 * math.ceil(IMAGES / FAST.pool.train.batch) * CIFAR.pool
    found = fitted(FAST, CIFAR, 4 * pool / USED, IMAGES, PARTS)
    assert (found.pool.size, found.pool.train.epochs) == (2, 4)


@pytest.mark.parametrize(("steps", "views"), [(8, 1), (800, 100), (2300, 120), (40_000, 2000)])
def test_views_recur_as_in_the_recipes(steps, views):
    assert views_of(FAST.match, steps, 10**9) == views
    assert views_of(FAST.match, steps, 50) == min(views, 50)
    assert views_of(FAST.match.model_copy(update={"views": 0}), steps, 50) == 0


def test_matching_costs_a_step_each_and_a_view_once():
    match, rates = FAST.match, Rates(0, 0, match=2.0, view=10.0)
    assert match_seconds(match, rates, 800, 4) == 800 * 2 + 100 * 10
    assert match_seconds(match, rates, 8, 4) == 8 * 2 + 4 * 10  # each part has a view
    own = match.model_copy(update={"views": 0})
    assert match_seconds(own, rates, 800, 4) == 800 * 12


def meter(rates):
    """Return what measures these rates at width 64, in proportion at others, taking no time."""

    def every(config):
        part = config.pool.network.width / 64
        return Rates(rates.pool * part, rates.warmup, rates.match * part, rates.view * part)

    return Meter(lambda config: every(config).pool, every)


def test_short_times_choose_narrower_networks(clock):
    widths = [
        choose(FAST, meter(CIFAR), 60 * minutes, IMAGES, PARTS)[0].pool.network.width
        for minutes in (60, 10, 4, 3)
    ]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == 64
    assert widths[-1] == 16


def test_time_of_measuring_counts(clock):
    def slow(config):
        clock.now += 300
        return CIFAR

    found, _ = choose(FAST, Meter(lambda _: 0.0, slow), 1800, IMAGES, PARTS)
    assert found == fitted(FAST, CIFAR, 1500, IMAGES, PARTS)


def test_too_short_a_time_names_the_least(clock):
    with pytest.raises(
        BadSettings, match=r"^0.5 minutes are too short .* give ([\d.]+) or more$"
    ) as e:
        choose(FAST, meter(CIFAR), 30, IMAGES, PARTS)
    enough = 60 * float(str(e.value).split()[-3])
    found, rates = choose(FAST, meter(CIFAR), enough, IMAGES, PARTS)
    assert found.match.steps >= FEWEST_STEPS
    assert 1 < enough / least_seconds(found, rates, IMAGES, PARTS) < 1.3


@pytest.fixture
def source():
    labels = torch.arange(60) % 3
    noise = torch.randint(0, 90, (60, 1, 16, 16), generator=stream(0, "noise"))
    images = (noise + 60 * labels[:, None, None, None]).to(torch.uint8)
    return tensor_source((images, labels), name="stripes")


@pytest.fixture
def speed(monkeypatch, clock):
    """Fake speeds: of the whole run, and of matching when it begins, which may be another."""

    monkeypatch.setattr("hmnpack.condensing.minutes.FEWEST_STEPS", 4)

    def set_speed(match=12.8, before=14.4):
        found = Rates(15.0, 2.0, before, 0.0)
        monkeypatch.setattr(pace_module, "measured_rates", lambda *_: found)
        monkeypatch.setattr(pace_module, "pool_seconds", lambda *_: 15.0)
        monkeypatch.setattr(pace_module, "matching_seconds", lambda *_: (match, 0.0))

    return set_speed


BASE = {
    **{"pool.network.depth": 2, "match.real_batch": 4, "match.synthetic_batch": 2},
    **{"container.decoder_width": 8, "warmup.batch": 8},
}


@pytest.fixture
def run(source, tmp_path):
    def run(name="x", settings=BASE, listener=None, **arguments):
        options = RunOptions(device="cpu", **arguments.pop("options", {}))
        more = {"listener": listener} if listener else {}
        return hmnpack.compress(
            source,
            2,
            settings=settings,
            output=tmp_path / f"{name}.hmn",
            options=options,
            source_options=SourceOptions(cache_dir=tmp_path / name),
            **more,
            **arguments,
        )

    return run


@pytest.mark.slow
def test_run_without_a_clock_gives_the_same_bytes(run, speed, clock, tmp_path):
    """Thirty seconds pass before matching, which is then faster than was planned."""
    speed()

    def listener(stage, done, total, **_):
        if stage == "warm-up" and done == total:
            clock.now += 30

    timed = run("timed", minutes=2, listener=listener)
    config = timed.manifest.config
    assert config["match"]["steps"] == int(USED * 90 / 12.8)
    again = run("again", settings=config, recipe=timed.manifest.recipe)
    assert (tmp_path / "timed.hmn").read_bytes() == (tmp_path / "again.hmn").read_bytes()
    assert again.manifest == timed.manifest


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["pool network 1", "warm-up", "matching"])
def test_resumed_run_keeps_its_choices(run, speed, clock, monkeypatch, tmp_path, stage):
    speed()
    whole = run("whole", minutes=2, listener=None)
    pausing = []

    def listener(name, *_, **__):
        if name == stage:
            pausing.append(True)

    with pytest.raises(Paused):
        run("x", minutes=2, listener=listener, options={"should_pause": lambda: bool(pausing)})
    speed(before=8.0)  # would choose otherwise
    clock.now += 10_000  # a pause does not count
    resumed = run("x", minutes=2, options={"resume": True})
    assert resumed.manifest == whole.manifest
    assert (tmp_path / "x.hmn").read_bytes() == (tmp_path / "whole.hmn").read_bytes()
    assert not (tmp_path / "x.hmn.ckpt").exists()


@pytest.mark.slow
def test_time_in_the_pool_before_a_pause_counts(run, speed, clock):
    speed()
    pausing = []

    def listener(name, *_, **__):
        if name == "pool network 1" and not pausing:
            clock.now += 50
            pausing.append(True)

    with pytest.raises(Paused, match="while training the pool"):
        run("x", minutes=2, listener=listener, options={"should_pause": lambda: bool(pausing)})
    resumed = run("x", minutes=2, options={"resume": True})
    assert resumed.manifest.config["match"]["steps"] == int(USED * (120 - 50) / 12.8)


def test_another_time_does_not_resume(run, speed):
    speed()
    with pytest.raises(Paused):
        run("x", minutes=2, options={"should_pause": lambda: True})
    for minutes in (3, None):
        with pytest.raises(BadSettings, match=r"belongs to another run: its .*, minutes, device"):
            run("x", minutes=minutes, recipe="fast", options={"resume": True})


def test_matching_has_the_fewest_steps_if_the_time_is_over(run, speed, clock):
    speed()

    def listener(stage, done, total, **_):
        if stage == "warm-up" and done == total:
            clock.now += 1000

    assert run(minutes=2, listener=listener).manifest.config["match"]["steps"] == 4


def test_plan_says_what_the_run_would_do(source, speed):
    speed()
    found = hmnpack.plan(source, 2, settings=BASE, minutes=2, device="cpu")
    assert found.config.recipe == "fast"
    assert set(found.pace.chosen()) == set(CHOSEN)
    base = merged(recipe_of("fast", source.shape), BASE)
    assert merged(base, found.pace.chosen()) == found.config
    assert 0.85 * 120 < found.cost.seconds <= 120
    assert hmnpack.plan(source, 2, settings=BASE, device="cpu").config == base


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"minutes": 0}, "minutes is 0; give a positive number"),
        ({"minutes": math.nan}, "minutes is nan"),
        ({"minutes": math.inf}, "minutes is inf"),
        ({"minutes": 5, "settings": {"match": {"steps": 9}}}, "chooses match.steps itself"),
        ({"minutes": 5, "settings": {"pool.size": 9}}, "chooses pool.size itself"),
        ({"minutes": 5, "recipe": "paper"}, "recipe paper does not match features alone"),
        ({"minutes": 5, "settings": {"prune.strategy": "easy"}}, "prune.strategy easy takes"),
    ],
)
def test_what_cannot_be_timed_is_refused(source, arguments, message):
    with pytest.raises(BadSettings, match=message):
        hmnpack.plan(source, 2, device="cpu", **arguments)


@pytest.mark.slow
def test_real_steps_are_measured_and_leave_the_result_alone(source, run, tmp_path):
    """With true clocks: the choice is sensible, whatever the machine."""
    found = run("timed", minutes=0.1)
    config = found.manifest.config
    assert config["match"]["steps"] >= FEWEST_STEPS
    run("again", settings=config, recipe="fast")
    assert (tmp_path / "timed.hmn").read_bytes() == (tmp_path / "again.hmn").read_bytes()


def test_pace_of_a_resumed_run_has_the_time_that_is_left(clock):
    before = Pace(FAST, 10, clock.now)
    clock.now += 240
    state = before.state()
    clock.now += 99_999
    assert Pace(FAST, 10, clock.now, state).left == 360
