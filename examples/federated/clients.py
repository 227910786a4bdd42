"""Clients of the federated example: which images each has, and what it condenses of them."""

from collections.abc import Mapping

import numpy as np
import torch

import hmnpack
from hmnpack.sources import Source


def split_by_dirichlet(source: Source, clients: int, alpha: float, seed: int) -> list[Source]:
    """Divide the training images among clients, each class by shares from a Dirichlet distribution.

    A small alpha gives each client few of the classes. The split is drawn anew until every client
    has images of two classes, the fewest that can be condensed.

    Args:
        source: The dataset; its test split stays with the server.
        clients: Number of clients.
        alpha: Concentration of the distribution.
        seed: Seed of the split.

    Returns:
        One dataset per client, with the classes of which it has images.
    """
    rng = np.random.default_rng(seed)
    images, labels = source.train.images, source.train.labels.numpy()
    while True:
        parts: list[list[np.ndarray]] = [[] for _ in range(clients)]
        for label in range(len(source.classes)):
            rows = rng.permutation(np.flatnonzero(labels == label))
            cuts = np.cumsum(rng.dirichlet([alpha] * clients))[:-1] * len(rows)
            for part, own in zip(parts, np.split(rows, cuts.astype(int)), strict=True):
                part.append(own)
        if all(sum(len(own) > 0 for own in part) > 1 for part in parts):
            break
    return [_client(source, images, np.concatenate(part), n) for n, part in enumerate(parts)]


def _client(source: Source, images: torch.Tensor, rows: np.ndarray, number: int) -> Source:
    labels = source.train.labels[rows]
    present = [source.classes[label] for label in labels.unique().tolist()]
    every = hmnpack.tensor_source(
        (images[rows], labels), classes=source.classes, name=f"{source.name}, client {number}"
    )
    return every.only(present)


def condense(client: Source, ipc: int, settings: Mapping[str, object]) -> bytes:
    """Return the content of a `.hmn` file of a client's images: all that it sends.

    Args:
        client: The client's dataset.
        ipc: Images per class of the budget, for the classes that the client has.
        settings: Settings of `hmnpack compress`, by dotted path.
    """
    return hmnpack.compress(client, ipc, recipe="fast", settings=settings).to_bytes()
