"""The measured rate of a device."""

import pytest
import torch

from hmnpack.condensing import rate
from hmnpack.condensing.rate import measured_rate, measured_rates

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(rate._SIDES, "cpu", 16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rate_is_positive(dtype):
    assert 0 < measured_rate(CPU, dtype, seconds=0) < 1e18


def test_rate_counts_two_operations_per_term_in_the_best_time(monkeypatch):
    times = iter([9.0, 0.5, 0.25, 1.0])
    monkeypatch.setattr(rate, "_product_seconds", lambda matrix: next(times, 2.0))
    monkeypatch.setattr(rate.time, "monotonic", iter([0, 0, 1, 2, 9]).__next__)
    assert measured_rate(CPU, seconds=5) == 2 * 16**3 / 0.25


def test_precisions_with_the_same_dtype_are_measured_once(monkeypatch):
    seen = []
    monkeypatch.setattr(rate, "measured_rate", lambda device, dtype, _: seen.append(dtype) or 7.0)
    monkeypatch.setattr("hmnpack.runtime.devices.multiplies_bfloat16", lambda device: False)
    assert measured_rates(CPU, ["auto", "bfloat16", "float32"]) == {
        "auto": 7.0,
        "bfloat16": 7.0,
        "float32": 7.0,
    }
    assert seen == [torch.float32, torch.bfloat16]


def test_automatic_precision_uses_the_networks_dtype(monkeypatch):
    monkeypatch.setattr(rate, "measured_rate", lambda device, dtype, _: float(dtype.itemsize))
    monkeypatch.setattr("hmnpack.runtime.devices.multiplies_bfloat16", lambda device: True)
    assert measured_rates(CPU, ["auto"]) == {"auto": 2.0}
