"""One-shot federated learning: clients send condensed data once, and the server trains on it.

    python examples/federated/one_shot.py
    python examples/federated/one_shot.py --data cifar10 --clients 10 --ipc 1

Prints the test accuracy against the bytes that clients send, beside FedAvg with the same network.
The condensed data are NOT differentially private.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import fedavg
import torch
from clients import condense, split_by_dirichlet
from learning import Learning, convnet
from torch import nn

import hmnpack
from hmnpack.augment import TRAINING_AUGMENTATIONS, flips_where_alike
from hmnpack.runtime.given import assigned_values
from hmnpack.runtime.seeds import stream
from hmnpack.schema.manifest import Normalisation
from hmnpack.sources import Source, Split, normalisation_of

SMALL = {
    "pool.network.width": 32,
    "pool.min_steps": 200,
    "warmup.steps": 100,
    "match.steps": 100,
}
"""Settings of condensing by default: a few seconds per client, for images as small as digits."""


@dataclass(frozen=True)
class Federation:
    """Settings of the example.

    Attributes:
        clients: Number of clients.
        alpha: Concentration of the Dirichlet split; small: few classes per client.
        ipc: Budget of a client, in images per class that it has.
        width: Channels of the network.
        steps: Steps of the server's training, rounded up to whole epochs.
        rounds: Rounds of FedAvg.
        local: Steps of a client in a round of FedAvg, likewise.
        seed: Seed of the split, the networks and the trainings.
    """

    clients: int = 5
    alpha: float = 0.3
    ipc: int = 5
    width: int = 32
    steps: int = 1000
    rounds: int = 5
    local: int = 100
    seed: int = 0


@dataclass(frozen=True)
class Point:
    """Accuracy for the bytes that all clients sent.

    Attributes:
        name: Method.
        sent: Bytes that all clients sent.
        accuracy: Test accuracy in percent.
        images: Images that the network was trained on.
    """

    name: str
    sent: int
    accuracy: float
    images: int


def main() -> None:
    """Run the example and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", default="digits", help="as for `hmnpack compress`")
    for name, value in vars(Federation()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", help="setting of condensing")
    args = vars(parser.parse_args())
    source = hmnpack.open_source(args.pop("data"))
    settings = SMALL | assigned_values(args.pop("set") or ())
    for point in run(source, Federation(**args), settings):
        print(f"{point.name:16} {point.sent:12,} bytes  {point.accuracy:5.1f} %", flush=True)


def run(source: Source, how: Federation, settings: dict[str, object]) -> list[Point]:
    """Return the accuracy of one-shot learning, and of FedAvg after each round."""
    clients = split_by_dirichlet(source, how.clients, how.alpha, how.seed)
    for client in clients:
        print(f"{client.name}: {len(client.train)} images of {', '.join(client.classes)}")
    files = [condense(client, how.ipc, {"seed": how.seed, **settings}) for client in clients]
    return [one_shot(source, how, files), *averaged(source, how, clients)]


def one_shot(source: Source, how: Federation, files: Sequence[bytes]) -> Point:
    """Train on the files that clients sent, as the server does."""
    received = hmnpack.concat(files)
    numbers = torch.tensor([source.classes.index(name) for name in received.classes])
    images, labels = received.tensors()
    learning = learning_of(source, how, received.normalisation)
    network = new_network(source, how)
    learning.train(network, images, numbers[labels], how.steps)
    accuracy = learning.accuracy(network, tested(source))
    return Point("one-shot", sum(map(len, files)), accuracy, len(received))


def averaged(source: Source, how: Federation, clients: Sequence[Source]) -> list[Point]:
    """Run FedAvg, with the normalisation of all training images."""
    network = new_network(source, how)
    sent = fedavg.bytes_per_round(network, how.clients)
    learning = learning_of(source, how, normalisation_of(source.train))
    found = fedavg.rounds(network, clients, source.classes, learning, how.local)
    points = []
    for number, network in enumerate(islice(found, how.rounds), 1):
        accuracy = learning.accuracy(network, tested(source))
        points.append(Point(f"FedAvg, round {number}", number * sent, accuracy, len(source.train)))
    return points


def learning_of(source: Source, how: Federation, normalisation: Normalisation) -> Learning:
    """Return how networks are trained; digits are not mirrored."""
    augment = flips_where_alike(TRAINING_AUGMENTATIONS, (source.name,))
    return Learning(normalisation, augment, stream(how.seed, "federated", "training"))


def new_network(source: Source, how: Federation) -> nn.Module:
    """Return the untrained network, the same for both."""
    image = source.train.pixels.shape[1:]
    generator = stream(how.seed, "federated", "network")
    return convnet(image, len(source.classes), how.width, generator)


def tested(source: Source) -> Split:
    """Return the test split, which the server has."""
    if source.test is None:
        raise SystemExit(f"{source.name} has no test split to test on")
    return source.test


if __name__ == "__main__":
    main()
