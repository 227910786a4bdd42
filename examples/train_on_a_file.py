"""Train a small network on a `.hmn` file, and test it on the real images.

    python examples/train_on_a_file.py digits.hmn digits

Any network and any loop will do: the file is an ordinary data set.
"""

import sys

import torch
from torch.nn.functional import cross_entropy

import hmnpack
from hmnpack.augment import normalise
from hmnpack.networks import build_network
from hmnpack.schema.config import NetworkConfig


def main(file: str, data: str, epochs: int = 100) -> float:
    """Return the accuracy on the real test images, in percent."""
    train, real = hmnpack.load(file), hmnpack.open_source(data)
    generator = torch.Generator().manual_seed(0)
    network = build_network(
        NetworkConfig(width=32),
        classes=len(train.classes),
        image=train.manifest.container.image,
        generator=generator,
    )
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    batches = train.loader(64, augment=("crop", "rotate"), generator=generator)
    for _ in range(epochs):
        for images, labels in batches:
            loss = cross_entropy(network(images), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    if real.test is None:
        raise SystemExit(f"{data} has no test split")
    with torch.no_grad():
        images = normalise(real.test.images / 255, train.normalisation)
        right = network(images).argmax(dim=1) == real.test.labels
    return 100 * right.float().mean().item()


if __name__ == "__main__":
    print(f"{main(*sys.argv[1:3]):.2f} % of the real test images are right")
