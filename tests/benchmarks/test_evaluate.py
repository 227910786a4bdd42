"""Training benchmark: the plain loop trains the same network on equivalent images."""

import importlib
from pathlib import Path

import pytest
import torch


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("evaluate")


@pytest.fixture
def setting(bench):
    return bench.setting_of(None, 4, torch.device("cpu"))


def test_plain_network_equals_ours(bench, setting):
    ours, plain = setting.network(), bench.plain_network(4)
    with torch.no_grad():
        for mine, other in zip(ours.parameters(), plain.parameters(), strict=True):
            other.copy_(mine)
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(plain(images), ours(images), atol=1e-5, rtol=1e-4)


def test_loader_yields_normalised_images(bench, setting):
    images, labels = next(iter(bench.loader_of(setting, 70, workers=0)))
    assert (images.shape, images.dtype) == ((64, 3, 32, 32), torch.float32)
    assert labels.dtype == torch.int64
    assert -2 <= float(images.min()) < -1 < 1 < float(images.max()) <= 2  # (x - 0.5) / 0.25


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_both_loops_update_the_weights(bench, setting, precision):
    device, loader = torch.device("cpu"), bench.loader_of(setting, 70, workers=0)
    plain = bench.PlainLoop(setting.network(), loader, device, precision)
    assert plain.logits(torch.zeros(1, 3, 32, 32)).dtype == torch.float32
    for loop in (plain, bench.Ours(setting, 70, precision)):
        before = [parameter.detach().clone() for parameter in loop.network.parameters()]
        loop()
        changed = zip(before, loop.network.parameters(), strict=True)
        assert sum(not torch.equal(*pair) for pair in changed) >= 8


def test_timed_calls_alternate(bench):
    calls = []
    every = {name: lambda name=name: calls.append(name) for name in ("a", "b")}
    assert set(bench.timed(every, 2, torch.device("cpu"))) == {"a", "b"}
    assert calls == ["a", "b"] * 3
