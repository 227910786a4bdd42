"""The maximum mean discrepancy against loops, closed forms, and what must not matter to it."""

from math import exp

import pytest
import torch

from hmnpack.matching.distances import unit_of
from hmnpack.matching.mmd import FACTORS, mmd, squared_distances


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def literal(real, synthetic):
    """The distance by its description, pair by pair; plain numbers."""
    total = 0.0
    for theirs, ours in zip(real.tolist(), synthetic.tolist(), strict=True):
        pairs = [squared(x, y) for i, x in enumerate(theirs) for y in theirs[:i]]
        unit = sum(pairs) / len(pairs)
        for factor in FACTORS:

            def kernel(first, second, width=factor * unit):
                values = [exp(-squared(x, y) / width) for x in first for y in second]
                return sum(values) / len(values)

            total += kernel(theirs, theirs) - 2 * kernel(theirs, ours) + kernel(ours, ours)
    return total


def squared(x, y):
    return sum((a - b) ** 2 for a, b in zip(x, y, strict=True))


def test_it_is_what_the_loops_say():
    real, synthetic = drawn(3, 6, 4), drawn(3, 5, 4, seed=1) + 0.5
    assert float(mmd(real, synthetic)) == pytest.approx(literal(real, synthetic), rel=1e-12)
    in_float32 = mmd(real.float(), synthetic.float())
    assert in_float32.dtype == torch.float32
    assert float(in_float32) == pytest.approx(literal(real, synthetic), rel=1e-5)


def test_equal_sets_are_at_distance_zero():
    real = drawn(3, 7, 5) + 100
    assert float(mmd(real, real[:, torch.randperm(7)])) == pytest.approx(0, abs=1e-12)
    assert float(mmd(real.float(), real.float())) == pytest.approx(0, abs=1e-4)


def test_it_is_never_below_zero_and_grows_with_a_shift():
    real, synthetic = drawn(2, 30, 6), drawn(2, 20, 6, seed=1)
    found = [float(mmd(real, synthetic + shift)) for shift in (0, 0.5, 1, 2, 4)]
    assert found[0] > 0
    assert found == sorted(found)
    assert float(mmd(real, synthetic + 1e6)) <= 2 * 2 * len(FACTORS)


@pytest.mark.parametrize(("shift", "deviation"), [(0.0, 2.0), (1.0, 1.0), (2.0, 0.5)])
def test_of_two_gaussians_it_is_the_closed_form(shift, deviation):
    """E exp(-|z|^2 / b) = (1 + 2 v / b)^(-d / 2) exp(-|z0|^2 / (b + 2 v)) for z of N(z0, v I)."""
    count, features = 1000, 2

    def kernel(variance, apart=0.0):
        return sum(
            (1 + 2 * variance / b) ** (-features / 2) * exp(-apart / (b + 2 * variance))
            for b in FACTORS
        )

    def with_itself(variance):
        return len(FACTORS) / count + (1 - 1 / count) * kernel(variance)

    real = drawn(1, count, features)
    synthetic = deviation * drawn(1, count, features, seed=1) + shift
    apart = features * shift**2
    expected = with_itself(2.0) + with_itself(2 * deviation**2)
    expected -= 2 * kernel(1 + deviation**2, apart)
    found = float(mmd(real, synthetic, torch.ones(1, dtype=torch.float64)))
    assert found == pytest.approx(expected, rel=0.1)


def test_neither_order_nor_scale_nor_shift_matters():
    real, synthetic = drawn(2, 6, 4), drawn(2, 5, 4, seed=1)
    expected = mmd(real, synthetic)
    torch.testing.assert_close(mmd(real.flip(1), synthetic[:, [3, 1, 0, 4, 2]]), expected)
    torch.testing.assert_close(mmd(30 * real - 7, 30 * synthetic - 7), expected)


def test_classes_add_up():
    real, synthetic = drawn(3, 6, 4), drawn(3, 5, 4, seed=1)
    parts = [mmd(real[[label]], synthetic[[label]]) for label in range(3)]
    torch.testing.assert_close(mmd(real, synthetic), sum(parts))


def test_its_gradient_is_right():
    real, synthetic = drawn(2, 4, 3), drawn(2, 3, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda ours: mmd(real, ours), synthetic)
    # Repeated points, and points on real ones, where a length would have no gradient.
    same = real[:, [0, 0, 1]].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda ours: mmd(real, ours), same)


@pytest.mark.parametrize(
    "real",
    [torch.zeros(1, 3, 4), torch.ones(1, 3, 4), torch.ones(1, 1, 4), 1e-12 * torch.ones(1, 2, 4)],
    ids=["zeros", "alike", "one", "tiny"],
)
@pytest.mark.parametrize("value", [0.0, 1.0, 1e6])
def test_degenerate_sets_give_finite_numbers(real, value):
    synthetic = torch.full((1, 2, 4), value, requires_grad=True)
    loss = mmd(real, synthetic)
    loss.backward()
    assert 0 <= float(loss.detach()) + 1e-6 <= 2 * len(FACTORS) + 1e-4
    assert synthetic.grad.isfinite().all()


def test_squared_distances_are_those_of_torch():
    first, second = drawn(2, 5, 7), drawn(2, 4, 7, seed=1)
    lengths = first.square().sum(2), second.square().sum(2)
    found = squared_distances(first @ second.transpose(1, 2), *lengths)
    torch.testing.assert_close(found, torch.cdist(first, second) ** 2)


class TestUnit:
    def test_it_is_the_mean_squared_distance(self):
        real = drawn(3, 6, 4)
        for unit, points in zip(unit_of(real), real, strict=True):
            torch.testing.assert_close(unit, torch.pdist(points).square().mean())

    def test_of_images_that_are_alike_it_is_their_squared_length(self):
        real = torch.tensor([[[3.0, 4.0]] * 5, [[0.1, 0.7]] * 5])
        torch.testing.assert_close(unit_of(real), torch.tensor([25.0, 0.5]))
        torch.testing.assert_close(unit_of(real[:, :1]), torch.tensor([25.0, 0.5]))
        assert unit_of(0 * real).tolist() == [1, 1]
