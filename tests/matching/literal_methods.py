"""Reference implementations of the methods to compare with: plain, slow, in float64.

Written from the descriptions in METHODS.md and in the papers, class by class and row by row, in
*normalised* pixel space as the authors have it: images are (x - mean) / std of pixels x, and are
stepped by plain momentum SGD. Nothing here calls ``hmnpack.matching`` or ``hmnpack.augment``. Only
the random numbers are drawn as documented there: the named streams of ``hmnpack.runtime.seeds``.

Shape legend: n images of one class, C channels, H height, W width.
"""

import math

import torch
from torch.nn import functional as F

from hmnpack.networks import build_network
from hmnpack.runtime.seeds import stream

FAMILIES = ("colour", "crop", "cutout", "flip", "rotate", "scale")
"""Families of DSA, in the order in which they are numbered."""


def forward(network, images):
    """Return the last features, [n, D], and the logits of a ConvNet's weights."""
    x = images
    for block in network.blocks:
        x = F.conv2d(x, block.conv.weight, block.conv.bias, padding=block.padding)
        x = F.group_norm(x, x.shape[1], block.norm.weight, block.norm.bias, 1e-5)
        x = F.avg_pool2d(x.clamp_min(0), 2)
    features = x.flatten(1)
    return features, features @ network.classifier.weight.T + network.classifier.bias


def new_network(data, config, seed, number):
    """Return network ``number`` of a run, in float64."""
    generator = stream(seed, "rival", "network", number)
    shape = {"classes": data.classes, "image": data.shape}
    return build_network(config, **shape, generator=generator).double()


def normalised(images, normalisation):
    mean, std = (torch.tensor(v).double()[:, None, None] for v in vars(normalisation).values())
    return (images - mean) / std


def real_batch(data, label, count, seed, step):
    """Return distinct real images of a class, normalised."""
    rows = [i for i, other in enumerate(data.labels.tolist()) if other == label]
    order = torch.randperm(len(rows), generator=stream(seed, "rival", "real", step, label))
    chosen = [rows[i] for i in order[:count].tolist()]
    return normalised(data.images[chosen].double() / 255, data.normalisation)


def augmented(images, u, family):
    """Return images under one family, each by its own row of numbers in [0, 1), [n, 11]."""
    return torch.stack(
        [_one(image, row.tolist(), family) for image, row in zip(images, u, strict=True)]
    )


def single(value):
    """Return a number rounded to float32, in which parameters of the warps are computed."""
    return float(torch.tensor(value, dtype=torch.float32))


def _one(x, u, family):
    side = x.shape[1]
    if family == "colour":
        x = x + (u[1] - 0.5)
        grey = x.mean(0, keepdim=True)
        x = grey + (x - grey) * 2 * u[2]
        return x.mean() + (x - x.mean()) * (u[3] + 0.5)
    if family == "crop":
        most = math.floor(side / 8 + 0.5)
        down, right = (math.floor(v * (2 * most + 1)) for v in u[4:6])
        return F.pad(x, (most,) * 4)[:, down : down + side, right : right + side]
    if family == "cutout":
        size = math.floor(side / 2 + 0.5)
        top, left = (math.floor(v * (side + 1 - size % 2)) - size // 2 for v in u[9:11])
        mask = torch.ones_like(x)
        mask[:, max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = 0
        return x * mask
    if family == "flip":
        return x.flip(2) if u[0] < 0.5 else x
    if family == "rotate":
        angle = single((u[8] - 0.5) * (30 / 180 * math.pi))
        across, up = single(math.cos(angle)), single(math.sin(angle))
        matrix = [[across, -up], [up, across]]
    else:
        wide, high = (single(single(v * (1.2 - 1 / 1.2)) + 1 / 1.2) for v in u[6:8])
        matrix = [[wide, 0.0], [0.0, high]]
    theta = F.pad(torch.tensor(matrix).double(), (0, 1))[None]
    grid = F.affine_grid(theta, [1, *x.shape], align_corners=False)
    return F.grid_sample(x[None], grid, align_corners=False)[0]


def drawn(count, generator):
    """Return numbers for each of some images, and a family."""
    family = FAMILIES[int(torch.randint(len(FAMILIES), (), generator=generator))]
    return torch.rand(count, 11, generator=generator), family


def shared(images, seed, step, label):
    """Return images of a class under the augmentation that it has at a step (siamese)."""
    u, family = drawn(1, stream(seed, "rival", "augment", step, label))
    return augmented(images, u.expand(len(images), 11), family)


def weight_gradients(network, images, label, *, keep):
    """Return the gradients of a class's mean cross-entropy for all weights."""
    _, logits = forward(network, images)
    loss = -logits.log_softmax(1)[:, label].mean()
    return torch.autograd.grad(loss, list(network.parameters()), create_graph=keep)


def row_cosine(real, ours):
    """Return the sum over output rows of one minus the cosine, row by row."""
    total = 0.0
    for a, b in zip(real, ours, strict=True):
        for first, second in zip(a, b, strict=True) if a.dim() > 1 else ():
            dot = (first * second).sum()
            norms = first.square().sum().sqrt() * second.square().sum().sqrt()
            total = total + 1 - dot / (norms + 1e-6)
    return total


def dc_loss(network, data, config, images_KnCHW, seed, step):
    """Return DC's loss of a step, DSA's if there are augmentations."""
    total = 0.0
    for label, synthetic in enumerate(images_KnCHW):
        sides = real_batch(data, label, config.real_batch, seed, step), synthetic
        if config.augment:
            sides = [shared(side, seed, step, label) for side in sides]
        theirs = weight_gradients(network, sides[0], label, keep=False)
        total = total + row_cosine(theirs, weight_gradients(network, sides[1], label, keep=True))
    return total


def dc_training(network, config, images_KnCHW, seed, step):
    """Train the network on the synthetic images before a step, by plain gradient descent."""
    images, labels = images_KnCHW.detach().flatten(0, 1), []
    for label, own in enumerate(images_KnCHW):
        labels += [label] * len(own)
    for epoch in range(config.epochs):
        generator = stream(seed, "rival", "train", step, epoch)
        order = torch.randperm(len(images), generator=generator).tolist()
        for start in range(0, len(order), config.batch):
            rows = order[start : start + config.batch]
            batch = images[rows]
            if config.augment:
                batch = augmented(batch, *drawn(len(rows), generator))
            _, logits = forward(network, batch)
            targets = [labels[row] for row in rows]
            loss = -logits.log_softmax(1)[range(len(rows)), targets].mean()
            parameters = list(network.parameters())
            for weight, slope in zip(
                parameters, torch.autograd.grad(loss, parameters), strict=True
            ):
                weight.data -= config.network_lr * slope


def dm_loss(network, data, config, images_KnCHW, seed, step):
    """Return DM's loss of a step."""
    total = 0.0
    for label, synthetic in enumerate(images_KnCHW):
        sides = real_batch(data, label, config.real_batch, seed, step), synthetic
        sides = [shared(side, seed, step, label) for side in sides]
        theirs, ours = (forward(network, side)[0].mean(0) for side in sides)
        total = total + (theirs.detach() - ours).square().sum()
    return total


def dc_run(data, config, images_KnCHW, seed, steps):
    """Return the images after steps of DC; they are normalised."""
    network = None

    def loss(images, step):
        nonlocal network
        number, inner = divmod(step, config.image_steps)
        if inner == 0:
            network = new_network(data, config.network, seed, number)
        else:
            dc_training(network, config, images, seed, step)
        return dc_loss(network, data, config, images, seed, step)

    return descent(loss, config, images_KnCHW, steps)


def dm_run(data, config, images_KnCHW, seed, steps):
    """Return the images after steps of DM; they are normalised."""

    def loss(images, step):
        network = new_network(data, config.network, seed, step)
        return dm_loss(network, data, config, images, seed, step)

    return descent(loss, config, images_KnCHW, steps)


def descent(loss, config, images, steps):
    """Return the losses and the images after steps of SGD with momentum."""
    velocity, losses = torch.zeros_like(images), []
    for step in range(steps):
        images = images.detach().requires_grad_()
        value = loss(images, step)
        (slope,) = torch.autograd.grad(value, images)
        velocity = config.momentum * velocity + slope
        images = images - config.lr * velocity
        losses.append(float(value.detach()))
    return losses, images.detach()
