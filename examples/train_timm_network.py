"""Train a timm network on a `.hmn` file, with timm's optimiser and schedule.

pip install -e '.[examples]'
python examples/train_timm_network.py examples/bundles/cifar10-jpeg-ipc1.hmn --data cifar10
"""

import argparse

import timm
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch import nn
from torch.nn.functional import cross_entropy

import hmnpack
from hmnpack.networks.stem import fit_stem
from hmnpack.training import accuracy


def main(
    file: str, data: str | None = None, name: str = "resnet18", epochs: int = 100
) -> nn.Module:
    """Return the trained network."""
    train = hmnpack.load(file, device="cuda" if torch.cuda.is_available() else "cpu")
    image = train.manifest.container.image
    network = timm.create_model(name, num_classes=len(train.classes), in_chans=image.channels)
    network = fit_stem(network, image).to(
        train.device
    )  # adapts a ResNet's first layers to small images

    optimiser = create_optimizer_v2(network, opt="adamw", lr=1e-3, weight_decay=0.05)
    schedule = CosineLRScheduler(optimiser, t_initial=epochs)
    augment = ("crop", "rotate")  # add "flip" if mirrored images keep their class
    batches = train.loader(64, augment=augment)
    for epoch in range(epochs):
        schedule.step(epoch)
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
    parser.add_argument("--name", default="resnet18", help="see timm.list_models()")
    parser.add_argument("--epochs", type=int, default=100)
    main(**vars(parser.parse_args()))
