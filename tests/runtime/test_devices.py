"""Device properties across torch versions and device types."""

import contextlib
from types import SimpleNamespace

import pytest
import torch

from hmnpack.runtime import devices
from hmnpack.runtime.devices import wait_for
from hmnpack.runtime.seeds import seeded_rng, stream


@pytest.mark.parametrize("tiles", [True, False])
def test_bfloat16_support_without_torch_capabilities(monkeypatch, tiles):
    """Torch before 2.11, which GPU machines may have."""
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles, raising=False)
    assert devices._processor_multiplies_bfloat16() is tiles


def test_seeded_rng_restores_the_mps_generator(monkeypatch):
    calls = []
    fake = SimpleNamespace(
        get_rng_state=lambda: "before",
        manual_seed=calls.append,
        set_rng_state=calls.append,
        synchronize=lambda: calls.append("waited"),
    )
    monkeypatch.setattr(torch, "mps", fake)
    mps = torch.device("mps")
    for _ in range(2):
        with contextlib.suppress(KeyError), seeded_rng(stream(3, "x"), mps):
            raise KeyError
    assert calls == [calls[0], "before"] * 2
    assert isinstance(calls[0], int)
    wait_for(mps)
    assert calls[-1] == "waited"


def test_free_memory_includes_unused_reserved_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 600)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 100)
    assert devices.free_memory(torch.device("cuda")) == 0.8 * (1000 + 600 - 100)
    assert devices.free_memory(torch.device("cpu")) is None


def test_free_memory_of_mps(monkeypatch):
    fake = SimpleNamespace(
        recommended_max_memory=lambda: 5000, current_allocated_memory=lambda: 1000
    )
    monkeypatch.setattr(torch, "mps", fake)
    assert devices.free_memory(torch.device("mps")) == 0.8 * 4000
    fake.current_allocated_memory = lambda: 6000
    assert devices.free_memory(torch.device("mps")) == 0
