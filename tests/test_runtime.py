"""Devices: what is told of them, whichever torch is there."""

import contextlib
from types import SimpleNamespace

import pytest
import torch

from hmnpack import runtime
from hmnpack.runtime import seeded, stream, wait_for
from hmnpack.work import digest_of, work_name


@pytest.mark.parametrize("tiles", [True, False])
def test_torch_without_capabilities_is_asked_otherwise(monkeypatch, tiles):
    """Versions before 2.11, which GPU machines may have."""
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles, raising=False)
    assert runtime._processor_multiplies_bfloat16() is tiles


def test_apples_generator_is_seeded_and_put_back(monkeypatch):
    asked = []
    fake = SimpleNamespace(
        get_rng_state=lambda: "before",
        manual_seed=asked.append,
        set_rng_state=asked.append,
        synchronize=lambda: asked.append("waited"),
    )
    monkeypatch.setattr(torch, "mps", fake)
    mps = torch.device("mps")
    for _ in range(2):
        with contextlib.suppress(KeyError), seeded(stream(3, "x"), mps):
            raise KeyError
    assert asked == [asked[0], "before"] * 2
    assert isinstance(asked[0], int)
    wait_for(mps)
    assert asked[-1] == "waited"


def test_names_tell_facts_apart_wherever_one_ends():
    assert digest_of(1, 10) != digest_of(11, 0)
    assert digest_of("a", "b") != digest_of("ab")
    assert work_name("network-1", 100, 1) != work_name("network-1", 10, 1)
    assert work_name("network-1", 1) == work_name("network-1", 1) != work_name("network-2", 1)
