"""The characteristic-function distance against loops, closed forms and invariances."""

import cmath
from math import pi, sqrt

import pytest
import torch

from hmnpack.matching.characteristic import (
    CharacteristicDistance,
    characteristic_function,
    draw_frequencies,
)


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def distance(real, synthetic, frequencies=None, phase=0.5, **unit):
    frequencies = drawn(8, real.shape[2], seed=9) if frequencies is None else frequencies
    return CharacteristicDistance(frequencies.to(real.dtype), phase)(real, synthetic, **unit)


def literal(real, synthetic, frequencies, phase):
    """Return the distance by explicit loops over points and frequencies (amplitude and phase)."""
    total = 0.0
    for theirs, ours in zip(real.tolist(), synthetic.tolist(), strict=True):
        apart = [
            sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
            for i, x in enumerate(theirs)
            for y in theirs[:i]
        ]
        length = sqrt(sum(apart) / len(apart))

        def function(points, frequency, length=length):
            angles = [sum(a * b for a, b in zip(x, frequency, strict=True)) for x in points]
            return sum(cmath.exp(1j * angle / length) for angle in angles) / len(points)

        for frequency in frequencies.tolist():
            r, s = function(theirs, frequency), function(ours, frequency)
            amplitude = (abs(r) - abs(s)) ** 2
            rotation = 2 * (abs(r) * abs(s) - r.real * s.real - r.imag * s.imag)
            total += sqrt((1 - phase) * amplitude + phase * rotation) / len(frequencies)
    return total


@pytest.mark.parametrize("phase", [0.0, 0.3, 0.5, 1.0])
def test_distance_matches_explicit_loops(phase):
    real, synthetic, frequencies = drawn(3, 6, 4), drawn(3, 5, 4, seed=1) + 0.5, drawn(7, 4, seed=2)
    expected = literal(real, synthetic, frequencies, phase)
    found = distance(real, synthetic, frequencies, phase=phase)
    assert float(found) == pytest.approx(expected, rel=1e-9)
    in_float32 = distance(real.float(), synthetic.float(), frequencies, phase=phase)
    assert in_float32.dtype == torch.float32
    assert float(in_float32) == pytest.approx(expected, rel=1e-4)


def test_function_of_a_shifted_gaussian_matches_closed_form():
    """The absolute value is exp(-|t|^2 / 2), the phase t . mu."""
    mean = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    points, frequencies = drawn(1, 40_000, 3) + mean, 0.7 * drawn(6, 3, seed=1)
    real, imaginary = (part[0] for part in characteristic_function(points, frequencies))
    amplitude = (-frequencies.square().sum(1) / 2).exp()
    torch.testing.assert_close((real**2 + imaginary**2).sqrt(), amplitude, atol=0.02, rtol=0)
    turned = torch.atan2(imaginary, real) - frequencies @ mean
    angle = (turned + pi) % (2 * pi) - pi
    torch.testing.assert_close(angle * amplitude, 0 * angle, atol=0.02, rtol=0)


def test_distance_of_two_gaussians_matches_closed_form():
    """Unit variances and means d apart: the squared difference is 2 a^2 (1 - cos(t . d))."""
    count, apart = 20_000, torch.tensor([1.0, -0.5], dtype=torch.float64)
    real, synthetic = drawn(1, count, 2), drawn(1, count, 2, seed=1) + apart
    frequencies = drawn(50, 2, seed=2)
    amplitude = (-frequencies.square().sum(1) / 2).exp()
    expected = (amplitude.square() * (1 - (frequencies @ apart).cos())).sqrt().mean()
    found = distance(real, synthetic, frequencies, unit_K=torch.ones(1, dtype=torch.float64))
    torch.testing.assert_close(found, expected, rtol=0.03, atol=0)


def test_distance_of_equal_sets_is_minimal():
    real = drawn(3, 7, 5) + 100
    assert float(distance(real, real[:, torch.randperm(7)])) == pytest.approx(3e-6)
    assert float(distance(real.float(), real.float())) < 1e-4


def test_distance_grows_with_a_small_shift():
    real = drawn(2, 30, 6)
    found = [float(distance(real, real + shift)) for shift in (0, 0.05, 0.1, 0.2, 0.4)]
    assert found == sorted(found)
    assert float(distance(real, real + 1e6)) <= 2 * 2


def test_amplitude_ignores_a_shift_and_rotation_detects_it():
    real = drawn(2, 30, 6)
    assert float(distance(real, real + 1, phase=0.0)) == pytest.approx(2e-6, rel=0.1)
    assert float(distance(real, real + 1, phase=1.0)) > 0.1


def test_distance_is_invariant_to_order_scale_and_shift():
    real, synthetic = drawn(2, 6, 4), drawn(2, 5, 4, seed=1)
    expected = distance(real, synthetic)
    torch.testing.assert_close(distance(real.flip(1), synthetic[:, [3, 1, 0, 4, 2]]), expected)
    torch.testing.assert_close(distance(30 * real - 7, 30 * synthetic - 7), expected)


def test_distance_is_a_sum_over_classes():
    real, synthetic = drawn(3, 6, 4), drawn(3, 5, 4, seed=1)
    parts = [distance(real[[label]], synthetic[[label]]) for label in range(3)]
    torch.testing.assert_close(distance(real, synthetic), sum(parts))


@pytest.mark.parametrize("phase", [0.0, 0.5, 0.8])
def test_gradient_passes_gradcheck(phase):
    real, synthetic = drawn(2, 4, 3), drawn(2, 3, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda ours: distance(real, ours, phase=phase), synthetic)


@pytest.mark.parametrize(
    "real",
    [torch.zeros(1, 3, 4), torch.ones(1, 3, 4), torch.ones(1, 1, 4), 1e-12 * torch.ones(1, 2, 4)],
    ids=["zeros", "equal", "one", "tiny"],
)
@pytest.mark.parametrize("value", [0.0, 1.0, 1e6])
def test_degenerate_sets_give_finite_values(real, value):
    synthetic = torch.full((1, 2, 4), value, requires_grad=True)
    loss = distance(real, synthetic)
    loss.backward()
    assert 0 <= float(loss.detach()) <= 2
    assert synthetic.grad.isfinite().all()


def test_equal_points_have_a_finite_gradient():
    real = drawn(2, 5, 3, dtype=torch.float32)
    synthetic = real.clone().requires_grad_()
    distance(real, synthetic).backward()
    assert synthetic.grad.isfinite().all()


def test_frequencies_are_standard_normal_and_reproducible():
    first, again = (draw_frequencies(300, 40, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == (300, 40)
    assert abs(float(first.mean())) < 0.03
    assert float(first.std()) == pytest.approx(1, abs=0.03)
