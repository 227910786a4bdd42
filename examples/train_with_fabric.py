"""Train on a `.hmn` file with Lightning Fabric, on any accelerator and number of devices.

    pip install -e '.[examples]'
    python examples/train_with_fabric.py examples/bundles/cifar10-jpeg-ipc1.hmn --data cifar10

With --devices 2, two processes each train on half of the images of every epoch.
"""

import argparse

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision.transforms import v2

import hmnpack
from hmnpack.networks import build_network
from hmnpack.schema.config import NetworkConfig
from hmnpack.training import accuracy


def main(file: str, data: str | None = None, epochs: int = 100, devices: int = 1) -> nn.Module:
    """Return the trained network."""
    fabric = Fabric(devices=devices)
    fabric.launch()
    fabric.seed_everything(0, verbose=False)

    train = hmnpack.load(file)
    image, norm = train.manifest.container.image, train.normalisation
    crop = v2.RandomCrop((image.height, image.width), padding=image.side // 8)
    train.transform = v2.Compose([v2.Normalize(norm.mean, norm.std), crop])
    batches = fabric.setup_dataloaders(DataLoader(train, batch_size=64, shuffle=True))

    network = build_network(
        NetworkConfig(name="convnet", width=64),
        classes=len(train.classes),
        image=image,
        generator=torch.Generator().manual_seed(0),
    )
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    network, optimiser = fabric.setup(network, optimiser)
    for _ in range(epochs):
        for images, labels in batches:
            optimiser.zero_grad()
            fabric.backward(cross_entropy(network(images), labels))
            optimiser.step()

    with fabric.rank_zero_first():  # opening the dataset may download it
        test = hmnpack.open_source(data).test if data else None
    if test:
        images, labels = fabric.to_device((test.images, test.labels))
        percent = accuracy(network, images, labels, normalisation=norm)
        fabric.print(f"test accuracy on real images: {percent:.2f} %")
    return network


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", help="the .hmn file")
    parser.add_argument("--data", help="dataset name or path, as for `hmnpack evaluate`")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--devices", type=int, default=1)
    main(**vars(parser.parse_args()))
