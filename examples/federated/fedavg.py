"""Federated averaging (McMahan et al., 2017): the baseline of the federated example."""

import copy
from collections.abc import Iterator, Sequence

import torch
from learning import Learning
from torch import nn

from hmnpack.sources import Source


def rounds(
    network: nn.Module,
    clients: Sequence[Source],
    classes: Sequence[str],
    learning: Learning,
    steps: int,
) -> Iterator[nn.Module]:
    """Yield the server's network after each round, in which every client takes part.

    Args:
        network: The first network, which is changed.
        clients: The clients' datasets.
        classes: Class names of the whole; the index is the network's output.
        learning: How clients train.
        steps: Steps of a client in a round, rounded up to whole epochs.
    """
    total = sum(len(client.train) for client in clients)
    while True:
        sums = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
        for client in clients:
            own = copy.deepcopy(network)
            numbers = torch.tensor([classes.index(name) for name in client.classes])
            images = client.train.images.float() / 255
            learning.train(own, images, numbers[client.train.labels], steps)
            for name, value in own.state_dict().items():
                sums[name] += value * (len(client.train) / total)
        network.load_state_dict(sums)
        yield network


def bytes_per_round(network: nn.Module, clients: int) -> int:
    """Return the bytes that clients send in a round: each sends every float of the network."""
    return clients * sum(4 * value.numel() for value in network.state_dict().values())
