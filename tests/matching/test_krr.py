"""Kernel ridge regression against scikit-learn's and against its other, primal, form."""

import pytest
import torch

from hmnpack.matching.krr import class_targets, krr_loss
from hmnpack.matching.regression import regression_of
from hmnpack.schema.config import MatchConfig


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def sets(synthetic=12, dtype=torch.float64):
    """Return 20 real and some synthetic images, of 4 classes, with 15 features."""
    return (
        drawn(20, 15, dtype=dtype),
        class_targets(4, 5).to(dtype),
        drawn(synthetic, 15, seed=1, dtype=dtype),
        class_targets(4, synthetic // 4).to(dtype),
    )


@pytest.mark.parametrize("count", [12, 40])
@pytest.mark.parametrize("ridge", [1e-6, 0.1, 3.0])
def test_it_is_scikit_learns(count, ridge):
    kernel_ridge = pytest.importorskip("sklearn.kernel_ridge")
    real, theirs, synthetic, ours = sets(count)
    alpha = ridge * float(synthetic.square().sum(1).mean())
    model = kernel_ridge.KernelRidge(alpha=alpha, kernel="linear").fit(synthetic, ours)
    error = ((model.predict(real) - theirs.numpy()) ** 2).sum(1).mean()
    assert float(krr_loss(real, theirs, synthetic, ours, ridge)) == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize("count", [12, 40])
def test_it_is_the_primal_form(count):
    real, theirs, synthetic, ours = sets(count)
    penalty = 0.1 * synthetic.square().sum(1).mean() * torch.eye(15, dtype=real.dtype)
    weights = torch.linalg.inv(synthetic.T @ synthetic + penalty) @ synthetic.T @ ours
    expected = (real @ weights - theirs).square().sum() / len(real)
    torch.testing.assert_close(krr_loss(real, theirs, synthetic, ours, 0.1), expected)


def test_a_vanishing_penalty_lets_few_images_be_met_exactly():
    _, _, synthetic, ours = sets()
    assert float(krr_loss(synthetic, ours, synthetic, ours, 1e-12)) == pytest.approx(0, abs=1e-12)


def test_a_huge_penalty_predicts_nothing():
    real, theirs, synthetic, ours = sets()
    error = krr_loss(real, theirs, synthetic, ours, 1e9)
    assert float(error) == pytest.approx(1 - 1 / 4, rel=1e-6)


def test_neither_order_nor_scale_matters():
    real, theirs, synthetic, ours = sets()
    expected = krr_loss(real, theirs, synthetic, ours, 0.01)
    order, other = torch.randperm(12), torch.randperm(20)
    shuffled = krr_loss(real[other], theirs[other], synthetic[order], ours[order], 0.01)
    torch.testing.assert_close(shuffled, expected)
    torch.testing.assert_close(krr_loss(9 * real, theirs, 9 * synthetic, ours, 0.01), expected)


def test_its_gradient_is_right():
    real, theirs, synthetic, ours = sets()
    synthetic.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: krr_loss(real, theirs, s, ours, 0.01), synthetic)


def test_float32_features_lose_nothing_to_an_ill_conditioned_kernel():
    """More images than features: the kernel is singular but for a penalty below its rounding."""
    real, theirs, synthetic, ours = sets(200, torch.float32)
    offset = 10.0  # of all features: one eigenvalue dwarfs the others
    real, synthetic = real + offset, (synthetic + offset).requires_grad_()
    error = krr_loss(real, theirs, synthetic, ours, 1e-6)
    exact = krr_loss(real.double(), theirs.double(), synthetic.double(), ours.double(), 1e-6)
    assert error.dtype == torch.float32
    torch.testing.assert_close(error, exact.float())
    error.backward()
    assert synthetic.grad.isfinite().all()


@pytest.mark.parametrize("value", [0.0, 1e-20, 1.0])
def test_features_that_are_alike_give_finite_numbers(value):
    real, theirs, _, ours = sets(dtype=torch.float32)
    synthetic = torch.full((12, 15), value, requires_grad=True)
    error = krr_loss(real, theirs, synthetic, ours, 1e-6)
    error.backward()
    assert error.isfinite()
    assert synthetic.grad.isfinite().all()


def test_what_is_no_number_stays_none_instead_of_raising():
    real, theirs, synthetic, ours = sets()
    synthetic[0, 0] = torch.nan
    assert krr_loss(real, theirs, synthetic, ours, 1e-6).isnan()


def test_targets_by_hand():
    third = 1 / 3
    expected = [[1 - third, -third, -third]] * 2 + [[-third, 1 - third, -third]] * 2
    torch.testing.assert_close(class_targets(3, 2)[:4], torch.tensor(expected))


def test_the_term_has_the_errors_value_and_gradient_whatever_the_chunks():
    real, synthetic = drawn(4, 5, 15, dtype=torch.float32), drawn(4, 3, 15, seed=1).float()
    config = MatchConfig(steps=1, krr=0.7, ridge=0.01)
    regression = regression_of(real, synthetic, config)
    whole, cut = (synthetic.clone().requires_grad_() for _ in range(2))
    targets = class_targets(4, 5), class_targets(4, 3)
    expected = krr_loss(real.flatten(0, 1), targets[0], whole.flatten(0, 1), targets[1], 0.01)
    (0.7 * expected).backward()
    total = 0
    for some in torch.arange(4).split(3):
        part = regression.of(cut[some].flatten(0, 1), some)
        part.backward()
        total += part.detach()
    torch.testing.assert_close(total, 0.7 * expected.detach())
    torch.testing.assert_close(cut.grad, whole.grad)
