"""Batched training benchmark: both variants train the same networks, all metrics are present."""

import importlib
from argparse import Namespace
from pathlib import Path

import pytest
import torch


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("together")


@pytest.fixture
def small(bench):
    """Return a function that makes a benchmark of two networks, with own or shared images."""

    def make(own):
        sizes = {"networks": 2, "net": "convnet", "width": 4, "images": 70, "epochs": 1}
        return bench.bench_of(Namespace(data=None, own=own, **sizes), torch.device("cpu"))

    return make


def test_networks_share_images_unless_own_is_set(small):
    shared, own = small(False).sets, small(True).sets
    assert shared[0][0] is shared[1][0]
    assert not torch.equal(own[0][0], own[1][0])
    assert [tuple(images.shape) for images, _ in own] == [(70, 3, 32, 32)] * 2


@pytest.mark.slow
def test_batched_and_sequential_training_agree(bench, small, monkeypatch):
    monkeypatch.setattr(bench, "TEST_IMAGES", 150)
    given = small(True)
    figures = bench.figures_of(given, 1)
    assert 0 < figures["difference_float32"] < 0.01
    assert figures["ratio"] == figures["seconds_in_turns"] / figures["seconds_at_once"]
    assert all(figure > 0 for figure in figures.values())
    fresh, networks = given.networks(), given.networks()
    given.at_once(networks)
    assert given.tested_at_once(networks) == given.tested_in_turns(networks)
    for one, other in zip(fresh, networks, strict=True):
        assert not all(map(torch.equal, one.parameters(), other.parameters()))
