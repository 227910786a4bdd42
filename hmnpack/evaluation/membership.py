"""Membership inference by a loss threshold (Yeom et al., CSF 2018), as an area under the ROC curve.

A network has a lower loss on images that it was trained on. The attack calls the images of lowest
loss members; over all thresholds, the area under the curve (AUC) is the probability that a member
has a lower loss than a non-member.

Shape legend: R networks, m members, n non-members, B resamples.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hmnpack.schema.audit import Interval

RESAMPLES = 2000
"""Bootstrap resamples of an interval."""

_TOGETHER = 100
"""Resamples computed at once, to bound memory."""


@dataclass(frozen=True)
class Losses:
    """Losses of R networks on members and non-members.

    Attributes:
        members: float [R, m].
        non_members: float [R, n].
        own: Whether every network has members of its own, so that they are resampled separately.
    """

    members: Tensor
    non_members: Tensor
    own: bool = False

    @property
    def aucs(self) -> tuple[float, ...]:
        """AUC of each network."""
        return tuple(map(auc, self.members, self.non_members))


def auc(members: Tensor, non_members: Tensor) -> float:
    """Return the probability that a member has a lower loss than a non-member; ties count half.

    Args:
        members: Losses of members, float [m].
        non_members: Losses of non-members, float [n].
    """
    ones = (torch.ones(1, len(losses)) for losses in (members, non_members))
    return float(_weighted_aucs(members, non_members, *ones))


def bootstrap(losses: Losses, generator: torch.Generator) -> Tensor:
    """Return the mean AUC over the networks for resamples of the images: float64 [B].

    Members and non-members are resampled with replacement, each group by itself. Networks are not
    resampled: the spread is that of the tested images.

    Args:
        losses: Losses of the networks. With equal generators, two calls resample the same images.
        generator: Draws the resamples.
    """
    (networks, members), non_members = losses.members.shape, losses.non_members.shape[1]
    found = []
    for start in range(0, RESAMPLES, _TOGETHER):
        count = min(_TOGETHER, RESAMPLES - start)
        others = _resampled(non_members, count, generator)
        drawn = _resampled(members, count, generator)
        sums = torch.zeros(count, dtype=torch.float64)
        for index in range(networks):
            if losses.own and index:
                drawn = _resampled(members, count, generator)
            pair = losses.members[index], losses.non_members[index]
            sums += _weighted_aucs(*pair, drawn, others)
        found.append(sums / networks)
    return torch.cat(found)


def interval(value: float, resampled: Tensor) -> Interval:
    """Return a value with the 95 % percentile interval of its resamples."""
    low, high = resampled.quantile(torch.tensor([0.025, 0.975], dtype=resampled.dtype)).tolist()
    return Interval(value=value, low=low, high=high)


def _resampled(images: int, count: int, generator: torch.Generator) -> Tensor:
    """Return how often each image is drawn in each resample: float [count, images]."""
    drawn = torch.randint(images, (count, images), generator=generator)
    weights = torch.zeros(count, images)
    return weights.scatter_add_(1, drawn, torch.ones(1).expand(count, images))


def _weighted_aucs(members: Tensor, others: Tensor, weights: Tensor, other: Tensor) -> Tensor:
    """Return the AUC for each row of weights of the members [B, m] and non-members [B, n]."""
    order = others.argsort()
    ranked = others[order]
    below = torch.searchsorted(ranked, members)
    up_to = torch.searchsorted(ranked, members, right=True)
    sums = torch.nn.functional.pad(other[:, order].double().cumsum(1), (1, 0))
    total = sums[:, -1:]
    above = total - (sums[:, below] + sums[:, up_to]) / 2  # non-members of higher loss, ties half
    weights = weights.double()
    return (weights * above).sum(1) / (weights.sum(1) * total[:, 0])
