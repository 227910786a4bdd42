"""Nearest neighbours among real images: exact Euclidean distances, in blocks of bounded memory.

Shape legend: n queries, M references, D values of an image.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

_CANDIDATES = 8
"""Neighbours by the fast distance whose exact distance is computed."""

_VALUES = 2**24
"""Maximum values of a block of distances, or of the differences of candidates."""


def nearest(queries: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nearest reference of each query, by Euclidean distance.

    Candidates are found in float32, from norms and inner products; that loses small distances to
    rounding. Their distances are then computed in float64 from differences, so equal images have
    distance 0.

    Args:
        queries: [n, D], of any type.
        references: [M, D], M of 1 or more, on the same device.

    Returns:
        Index of the nearest reference, the first of equals among the candidates (int64 [n]), and
        the distance (float64 [n]), both on the CPU.
    """
    sums = torch.stack([part.float().sum(0) for part in _parts(references, references.shape[1])])
    centre = sums.sum(0) / len(references)  # smaller norms lose less to rounding
    exact = references.cpu()  # not every accelerator has float64
    found = [
        _exact(part, exact, _candidates(part, references, centre))
        for part in _parts(queries, references.shape[1] * _CANDIDATES)
    ]
    indices, distances = (torch.cat(parts) for parts in zip(*found, strict=True))
    return indices, distances


def _parts(values: Tensor, width: int) -> Iterator[Tensor]:
    yield from values.split(max(1, min(1024, _VALUES // width)))


def _candidates(queries: Tensor, references: Tensor, centre: Tensor) -> Tensor:
    """Return the indices of the references nearest to each query, ascending: int64 [n, k]."""
    centred = queries.float() - centre
    best = indices = None
    start = 0
    for part in _parts(references, max(len(queries), references.shape[1])):
        other = part.float() - centre
        squares = other.square().sum(1) - 2 * centred @ other.T  # without the query's own square
        here = torch.arange(start, start + len(part), device=part.device).expand_as(squares)
        if best is not None and indices is not None:
            squares, here = torch.cat([best, squares], 1), torch.cat([indices, here], 1)
        best, rank = squares.topk(min(_CANDIDATES, squares.shape[1]), largest=False)
        indices = here.gather(1, rank)
        start += len(part)
    assert indices is not None  # noqa: S101  (there is a reference)
    return indices.sort(1).values


def _exact(queries: Tensor, references: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nearest of the candidates of each query, and its distance."""
    candidates = candidates.cpu()
    chosen = references[candidates].double()
    distances = (chosen - queries.cpu().double()[:, None]).square().sum(2).sqrt()
    best = distances.argmin(1, keepdim=True)
    return candidates.gather(1, best)[:, 0], distances.gather(1, best)[:, 0]
