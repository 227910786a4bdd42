"""The mean of a container's weights over the last steps: by hand, in runs, resumed, probed."""

import itertools

import pytest
import torch

import hmnpack
from hmnpack.average import WeightAverage
from hmnpack.checkpoint import read_state, write_state
from hmnpack.cli.settings import CompressSettings
from hmnpack.compressor import RunOptions
from hmnpack.container import HMN, new_container
from hmnpack.errors import BadSettings, Paused
from hmnpack.probe import Probe
from hmnpack.ranks import ALONE
from hmnpack.recipes import recipe_of
from hmnpack.runtime import stream
from hmnpack.schema.config import ContainerConfig, GradientConfig, NetworkConfig, TrainConfig
from hmnpack.sources import Source, SourceOptions
from hmnpack.sources.types import split_of

GRADIENT = GradientConfig(
    networks=1,
    inner_steps=2,
    network=NetworkConfig(width=4, depth=2),
    train_images=6,
    train=TrainConfig(epochs=0, batch=6, schedule="constant"),
    real_batch=5,
    synthetic_batch=3,
)
BEFORE = 5
"""Steps of the warm-up, after each of which a run asks whether to pause, as after all others."""


@pytest.fixture
def container(hmn):
    return new_container(hmn(), ContainerConfig(), stream(0, "container"))


def values_of(container):
    return {name: value.detach().clone() for name, value in container.named_parameters()}


def moved(container, step):
    """Give the container other weights; return them."""
    with torch.no_grad():
        for parameter in container.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=stream(step, "weights")))
    return values_of(container)


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name


class TestMean:
    @pytest.mark.parametrize(
        ("part", "steps", "count"),
        [(0.0, 10, 0), (0.3, 10, 3), (1.0, 10, 10), (0.01, 10, 1), (0.07, 100, 7), (0.5, 1, 1)],
    )
    def test_it_is_that_of_the_last_steps(self, container, part, steps, count):
        average, weights = WeightAverage(container, part, steps, ALONE), []
        for done in range(1, steps + 1):
            weights.append(moved(container, done))
            average.add(done)
        average.take()
        assert average.count == count
        chosen = weights[-count:] if count else weights[-1:]
        for name, value in values_of(container).items():
            expected = torch.stack([each[name].double() for each in chosen]).mean(0).float()
            torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)

    def test_weights_that_stay_are_their_mean_to_the_bit(self, container):
        average, before = WeightAverage(container, 1.0, 7, ALONE), values_of(container)
        for done in range(1, 8):
            average.add(done)
        average.take()
        assert_equal(values_of(container), before)

    def test_it_leaves_the_container_alone_until_asked(self, container):
        average = WeightAverage(container, 1.0, 3, ALONE)
        for done in (1, 2):
            weights = moved(container, done)
            average.add(done)
        assert_equal(values_of(container), weights)
        with pytest.raises(KeyError), average.shown():
            assert_equal(values_of(container), average.mean)
            raise KeyError
        assert_equal(values_of(container), weights)

    def test_before_its_steps_it_shows_the_container_as_it_is(self, container):
        average, before = WeightAverage(container, 0.5, 4, ALONE), values_of(container)
        average.add(1)
        average.add(2)
        assert average.state() == {}
        with average.shown():
            assert_equal(values_of(container), before)

    @pytest.mark.parametrize("stop", range(5))
    def test_it_goes_on_from_what_was_saved_to_the_bit(self, container, stop):
        whole = WeightAverage(container, 0.75, 4, ALONE)
        parts = WeightAverage(container, 0.75, 4, ALONE)
        for done in range(1, 5):
            moved(container, done)
            whole.add(done)
            parts.add(done)
            if done == stop:
                state, parts = parts.state(), WeightAverage(container, 0.75, 4, ALONE)
                parts.restore(state)
        assert_equal(parts.mean, whole.mean)


@pytest.fixture
def run(tmp_path):
    labels = torch.arange(2).repeat_interleave(10)
    pixels = torch.randint(0, 256, (20, 1, 16, 16), generator=stream(0, "pixels"))
    source = Source("noise", ("a", "b"), split_of(pixels.to(torch.uint8), labels), None)

    def run(name, part=0.5, *, gradient=None, pause_at=0, **options):
        smoke, asked = recipe_of("smoke"), itertools.count(1)
        match = smoke.match.model_copy(update={"average": part})
        changes = {"match": match, "gradient": gradient or smoke.gradient}
        return hmnpack.compress(
            source,
            8,
            config=smoke.model_copy(update=changes),
            output=tmp_path / f"{name}.hmn",
            options=RunOptions(
                device="cpu", should_pause=lambda: next(asked) == pause_at, **options
            ),
            source_options=SourceOptions(cache_dir=tmp_path / "cache"),
        )

    run("cached", 0.0)  # so that the pool is, and no run asks while it is trained
    return run


@pytest.fixture
def paused(run, tmp_path):
    """Return the function that gives the checkpoint of a run that pauses after a step."""

    def paused(name, step, **settings):
        with pytest.raises(Paused):
            run(name, pause_at=BEFORE + step, **settings)
        return read_state(tmp_path / f"{name}.hmn.ckpt")

    return paused


def test_a_run_ends_with_the_mean_and_takes_the_same_steps(run, paused):
    """Of four steps half are averaged; what is saved on the way is not."""
    states = [paused(f"at-{step}", step)["container"] for step in (3, 4)]
    plain = [paused(f"plain-{step}", step, part=0.0)["container"] for step in (3, 4)]
    for name, value in plain[0].items():
        for index in range(2):
            ours, theirs = states[index][name], plain[index][name]
            assert torch.equal(torch.as_tensor(ours), torch.as_tensor(theirs)), name
        if torch.is_tensor(value) and value.dtype.is_floating_point:
            plain[0][name] = (value.double() + plain[1][name].double()).div(2).float()
    bundle = run("whole")
    expected = new_container(bundle.manifest.container, ContainerConfig(), stream(0, "container"))
    assert isinstance(expected, HMN)
    expected.load_state_dict(plain[0])
    for name, value in expected.stored_tensors().items():
        torch.testing.assert_close(bundle.tensors[name], value, rtol=1e-5, atol=1e-6)
    assert not torch.equal(bundle.tensors["memory.instance"], plain[1]["instance"])


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 6])
def test_paused_at_any_step_it_ends_with_the_same_bytes(run, paused, tmp_path, step):
    """The mean begins at step 2; at 5 gradient matching begins with it."""
    whole = run("whole", 0.75, gradient=GRADIENT)
    state = paused("parts", step, part=0.75, gradient=GRADIENT)
    assert bool(state["average"]) == (2 <= step <= 4)
    run("parts", 0.75, gradient=GRADIENT, resume=True)
    assert (tmp_path / "parts.hmn").read_bytes() == whole.to_bytes()


def test_a_checkpoint_of_before_there_was_a_mean_goes_on(run, paused, tmp_path):
    whole, path = run("whole", 0.0), tmp_path / "old.hmn.ckpt"
    state = paused("old", 3, part=0.0)
    assert state.pop("average") == {}
    write_state(path, state)
    assert run("old", 0.0, resume=True).to_bytes() == whole.to_bytes()


def test_probes_see_the_mean_and_change_no_byte(run, monkeypatch):
    seen = []

    def look(probe, container):
        seen.append(container.instance.detach().clone())
        return 50.0

    monkeypatch.setattr(Probe, "__call__", look)
    plain = run("plain", 0.0, probes=4)
    whole = run("whole", 0.5)
    raw, seen = seen, []
    assert run("probed", 0.5, probes=4).to_bytes() == whole.to_bytes()
    assert torch.equal(plain.tensors["memory.instance"], raw[3])
    assert [torch.equal(a, b) for a, b in zip(raw, seen, strict=True)] == [True, True, True, False]
    assert torch.equal(whole.tensors["memory.instance"], seen[3])


@pytest.mark.parametrize("value", [-0.1, 1.5, "nan", "all"])
def test_no_other_part_is_taken(value):
    with pytest.raises(BadSettings, match=r"^setting match\.average = "):
        CompressSettings("smoke", None, [f"match.average={value}"], {})
