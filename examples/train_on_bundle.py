"""Train a ConvNet on a `.hmn` file in plain PyTorch; with --data, test it on real images.

    python examples/train_on_bundle.py examples/bundles/cifar10-jpeg-ipc1.hmn --data cifar10

Any network and any training loop works: `hmnpack.load` returns an ordinary PyTorch dataset.
"""

import argparse

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import hmnpack
from hmnpack.training import accuracy


def convnet(image: torch.Size, classes: int, width: int = 64) -> nn.Module:
    """Return three blocks of convolution, normalisation, ReLU and pooling, and a linear layer."""
    channels, height, across = image
    layers: list[nn.Module] = []
    for inputs in (channels, width, width):
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.GroupNorm(width, width)]
        layers += [nn.ReLU(), nn.AvgPool2d(2)]
    cells = (height // 8) * (across // 8)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * cells, classes))


def main(file: str, data: str | None = None, epochs: int = 100) -> nn.Module:
    """Return the trained network."""
    train = hmnpack.load(file, device="cuda" if torch.cuda.is_available() else "cpu")
    network = convnet(train[0][0].shape, len(train.classes)).to(train.device)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    augment = ("crop", "rotate")  # add "flip" if mirrored images keep their class
    batches = train.loader(64, augment=augment)
    for _ in range(epochs):
        for images, labels in batches:
            optimiser.zero_grad()
            cross_entropy(network(images), labels).backward()
            optimiser.step()
    test = hmnpack.open_source(data).test if data else None
    if test:
        images, labels = test.images.to(train.device), test.labels.to(train.device)
        percent = accuracy(network, images, labels, normalisation=train.normalisation)
        print(f"test accuracy on real images: {percent:.2f} %")
    return network


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", help="the .hmn file")
    parser.add_argument("--data", help="dataset name or path, as for `hmnpack evaluate`")
    parser.add_argument("--epochs", type=int, default=100)
    main(**vars(parser.parse_args()))
