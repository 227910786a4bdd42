"""The area under the ROC curve and its bootstrap, against independent implementations."""

from itertools import product

import numpy as np
import pytest
import torch

from hmnpack.evaluation.membership import RESAMPLES, Losses, auc, bootstrap, interval
from hmnpack.runtime.seeds import stream


def drawn(count, seed, shift=0.0, step=None):
    values = torch.randn(count, generator=stream(seed, "losses")) + shift
    return values if step is None else (values / step).round() * step


def counted(members, others):
    """Count the pairs in which the member has the lower loss."""
    pairs = list(product(members.tolist(), others.tolist()))
    return sum((a < b) + (a == b) / 2 for a, b in pairs) / len(pairs)


CASES = [
    (drawn(40, 1, -0.5), drawn(60, 2)),
    (drawn(40, 1, step=0.5), drawn(33, 2, step=0.5)),
    (torch.zeros(5), torch.zeros(7)),
    (drawn(1, 3), drawn(1, 4)),
]


@pytest.mark.parametrize(("members", "others"), CASES)
def test_auc_equals_counted_pairs(members, others):
    assert auc(members, others) == pytest.approx(counted(members, others), abs=1e-12)


@pytest.mark.parametrize(("members", "others"), CASES)
def test_auc_equals_that_of_scikit_learn(members, others):
    metrics = pytest.importorskip("sklearn.metrics")
    truth = [1] * len(members) + [0] * len(others)
    scores = -torch.cat([members, others]).double().numpy()
    assert auc(members, others) == pytest.approx(metrics.roc_auc_score(truth, scores), abs=1e-12)


def test_auc_depends_on_the_order_of_the_losses_alone():
    members, others = CASES[0]
    assert auc(members.exp(), others.exp()) == auc(members, others)
    assert auc(others, members) == pytest.approx(1 - auc(members, others))
    assert auc(members - 100, others) == 1


def test_resamples_equal_literal_ones():
    """Against AUCs of images that are gathered by the same draws."""
    members, others = torch.stack([drawn(9, 1), drawn(9, 2)]), torch.stack([drawn(7, 3)] * 2)
    found = bootstrap(Losses(members, others), stream(0, "b"))
    generator = stream(0, "b")
    for start in (0, 100):
        rows_of_others = torch.randint(7, (100, 7), generator=generator)
        rows = torch.randint(9, (100, 9), generator=generator)
        for place in (0, 42, 99):
            both = [
                counted(members[one][rows[place]], others[one][rows_of_others[place]])
                for one in (0, 1)
            ]
            assert found[start + place].item() == pytest.approx(sum(both) / 2)
    assert len(found) == RESAMPLES


def test_interval_is_as_wide_as_theory_has_it():
    """Against the standard error of Hanley and McNeil (1982), for normal scores."""
    members, others = drawn(150, 5, -0.7), drawn(200, 6)
    value = auc(members, others)
    found = interval(value, bootstrap(Losses(members[None], others[None]), stream(1, "b")))
    first, second = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + 149 * (first - value**2) + 199 * (second - value**2)
    error = np.sqrt(variance / (150 * 200))
    assert found.low < value < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_members_of_their_own_are_resampled_separately():
    """Averages over separate samples vary less than over one."""
    members, others = torch.stack([drawn(20, 1)] * 4), torch.stack([drawn(400, 2)] * 4)
    shared = bootstrap(Losses(members, others), stream(0, "b"))
    own = bootstrap(Losses(members, others, own=True), stream(0, "b"))
    assert own.std() < 0.7 * shared.std()


def test_equal_generators_resample_the_same_images():
    members, others = (torch.stack([drawn(n, n)] * 2) for n in (30, 40))
    first = bootstrap(Losses(members, others), stream(0, "b"))
    assert torch.equal(first, bootstrap(Losses(members, others), stream(0, "b")))
    assert not torch.equal(first, bootstrap(Losses(members, others), stream(1, "b")))
