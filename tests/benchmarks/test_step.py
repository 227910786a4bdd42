"""Step benchmark: its FLOP counts, and that the literal step is complete."""

import importlib
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("step")


@pytest.fixture
def steps(bench):
    return importlib.import_module("step_parts.steps")


@pytest.fixture
def setting(bench):
    return bench.setting_of(None, 4, torch.device("cpu"))


def convolutions(function):
    """Return the FLOPs of the convolutions in a call, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        function()
    counts = counter.get_flop_counts()["Global"]
    return sum(count for name, count in counts.items() if "convolution" in str(name))


def test_flops_match_torchs_counter(bench, steps, setting):
    plain = steps.PlainConvNet(setting.network())
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    normalisation, none = setting.data.normalisation, steps.draw((), 1, torch.Generator())

    def real():
        return steps.real_gradients(plain, 0, images.detach(), none, normalisation)

    def synthetic():
        ours = steps.synthetic_gradients(plain, 0, images, none, normalisation)
        distance = steps.gradient_distance([one.detach() + 1 for one in ours], ours)
        torch.autograd.grad(distance, images)

    container = setting.container()
    work = bench.flops(setting.network(), container)
    assert convolutions(real) == 2 * work["real"] / (10 * 64)
    # torch also computes second gradients of the weights, through the maps, which are not needed.
    sides = {1: 16, 2: 8}
    weights = {layer: setting.network().blocks[layer].conv.weight for layer in sides}
    wasted = sum(2 * weights[layer].numel() * side**2 for layer, side in sides.items())
    assert convolutions(synthetic) == 2 * (work["synthetic"] / container.spec.images + wasted)
    assert work["training"] == work["real"] / (10 * 64) * 2000


@pytest.mark.slow
def test_literal_step_updates_container_and_network(bench, steps, setting, monkeypatch):
    monkeypatch.setattr(steps, "REAL", 2)
    monkeypatch.setattr(steps, "TRAINING", 70)
    literal = bench.Literal(setting, "float32")
    learned = [*literal.container.parameters(), *literal.network.parameters()]
    before = [parameter.detach().clone() for parameter in learned]
    watch = bench.Watch(torch.device("cpu"))
    literal(0, watch)
    assert set(watch.seconds) == set(bench.PARTS)
    assert not any(torch.equal(*pair) for pair in zip(before, learned, strict=True))


def test_our_parts_add_up_to_our_step(bench):
    seconds = {"ours": 10.0, "ours_matching": 7.0, "ours_real": 2.0, "decode": 1.5}
    parts = bench.own_parts(seconds)
    assert parts == {"real": 2.0, "synthetic": 3.5, "decode": 1.5, "training": 3.0}
