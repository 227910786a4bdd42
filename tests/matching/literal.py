"""Gradient matching by its description alone: plain, slow, one class after another, any dtype.

Written from equation 2 of the paper and from what its base code (IDC) fixes: gradients of the mean
cross-entropy with respect to the convolutions' weights, for real and synthetic images of one class
under one augmentation draw; their squared or absolute differences added up over elements, layers
and classes; and a network that is trained on real images in between. What ``hmnpack`` computes
fast is tested against this.

Shape legend: N images, K classes, C channels, H height, W width.
"""

import math

import torch
import torch.nn.functional as F

from hmnpack.augment import apply, draw, normalise
from hmnpack.schema.config import COLOUR_CROP

EPSILON = 1e-5


class PlainConvNet:
    """The ConvNet of condensation by one library call per operation, on a ConvNet's own weights.

    Args:
        network: A ``hmnpack.networks.convnet.ConvNet``; its parameters are read at every call.
    """

    def __init__(self, network):
        self.network = network

    def parameters(self):
        return self.network.parameters()

    def __call__(self, images_NCHW):
        x = images_NCHW
        for block in self.network.blocks:
            conv, norm = block.conv, block.norm
            x = F.conv2d(x, conv.weight, conv.bias, padding=block.padding)
            x = F.group_norm(x, len(norm.weight), norm.weight, norm.bias, EPSILON)
            x = F.avg_pool2d(F.relu(x), 2)
        classifier = self.network.classifier
        return F.linear(x.flatten(1), classifier.weight, classifier.bias)


def convolution_weights(network):
    """The parameters whose gradients are matched: 4-D ones; no bias, norm or classifier."""
    return [parameter for parameter in network.parameters() if parameter.dim() == 4]


def class_gradients(network, images_NCHW, labels, *, create_graph=False):
    """Gradients of the mean cross-entropy with respect to each convolution's weights.

    Args:
        network: Called with the images for logits [N, K]; has ``parameters()``.
        images_NCHW: Normalised and augmented.
        labels: int64 [N].
        create_graph: Make the gradients differentiable in their turn.
    """
    loss = F.cross_entropy(network(images_NCHW), labels)
    return torch.autograd.grad(loss, convolution_weights(network), create_graph=create_graph)


def gradient_distance(real, synthetic, distance="mse"):
    """``mse``: sum of squared differences over elements and layers; ``l1``: of absolute ones."""
    total = 0.0
    for ours, theirs in zip(synthetic, real, strict=True):
        difference = ours - theirs
        total = total + {"mse": difference.square, "l1": difference.abs}[distance]().sum()
    return total


def of_class(number, images_NCHW):
    """Labels of images that are all of one class."""
    return torch.full((len(images_NCHW),), number, device=images_NCHW.device)


def real_gradients(network, number, images_NCHW, draws, normalisation):
    """What the synthetic images of a class are to match: gradients that are constants."""
    images = apply(normalise(images_NCHW, normalisation), draws)
    found = class_gradients(network, images, of_class(number, images))
    return [gradient.detach() for gradient in found]


def synthetic_gradients(network, number, images_NCHW, draws, normalisation):
    """The same of synthetic images, differentiable with respect to them."""
    images = apply(normalise(images_NCHW, normalisation), draws)
    return class_gradients(network, images, of_class(number, images), create_graph=True)


def literal_loss(network, real_KNCHW, synthetic_KNCHW, draws, normalisation, distance="mse"):
    """The loss of one step: the classes' distances, added up.

    Args:
        network: Called with images for logits; has ``parameters()``.
        real_KNCHW: Real images in [0, 1].
        synthetic_KNCHW: Synthetic images; their N may be another.
        draws: n = K draws of the augmentations, one for all images of a class (siamese).
        normalisation: Comes before the augmentations.
        distance: ``mse`` or ``l1``.

    Returns:
        A scalar; gradients flow to the synthetic images, and not through the real gradients.
    """
    total = 0.0
    for number in range(len(real_KNCHW)):
        one = draws.index(torch.tensor([number], device=real_KNCHW.device))
        real = real_gradients(network, number, real_KNCHW[number], one, normalisation)
        ours = synthetic_gradients(network, number, synthetic_KNCHW[number], one, normalisation)
        total = total + gradient_distance(real, ours, distance)
    return total


def new_optimiser(network):
    """What a network is trained by between steps; a new network gets a new one."""
    return torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)


def literal_training(
    network, optimiser, images_NCHW, labels, *, normalisation, generator, batch=64, cutmix=0.5
):
    """The network's own steps on real images, in the order in which they are given.

    Args:
        network: Trained in place.
        optimiser: Of its parameters; goes on from call to call.
        images_NCHW: Real images in [0, 1].
        labels: int64 [N].
        normalisation: Of the images.
        generator: Decides every random number, batch by batch.
        batch: Images per step; the last step takes what is left.
        cutmix: Probability that a batch is cut-mixed.
    """
    for images, target in zip(images_NCHW.split(batch), labels.split(batch), strict=True):
        normal = normalise(images, normalisation)
        literal_training_step(network, optimiser, normal, target, generator, cutmix)


def literal_training_step(network, optimiser, images_NCHW, labels, generator, cutmix=0.5):
    """One step on normalised images.

    The generator's numbers go, in this order, to: the augmentations, one draw per image; whether
    the batch is cut-mixed; the box; the partners.
    """
    draws = draw(COLOUR_CROP, len(images_NCHW), generator, device=images_NCHW.device)
    images, others, kept = apply(images_NCHW, draws), labels, 1.0
    if float(torch.rand((), generator=generator)) < cutmix:
        numbers = torch.rand(3, generator=generator).tolist()
        top, bottom, left, right = box_of(*numbers, *images.shape[2:])
        partner = torch.randperm(len(images), generator=generator).to(images.device)
        pasted = images[partner]
        images = images.clone()
        images[:, :, top:bottom, left:right] = pasted[:, :, top:bottom, left:right]
        others = labels[partner]
        kept = 1 - (bottom - top) * (right - left) / (images.shape[2] * images.shape[3])
    logits = network(images)
    loss = kept * F.cross_entropy(logits, labels) + (1 - kept) * F.cross_entropy(logits, others)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def box_of(lam, down, across, height, width):
    """A box of the area 1 - ``lam`` about a pixel, less what is over the border.

    Args:
        lam: Part of the image that is kept, in [0, 1].
        down: Place of the centre, as a part of the height.
        across: The same of the width.
        height: Of the image, in pixels.
        width: Likewise.

    Returns:
        First row and the one after the last, first column and the one after the last.
    """
    side = math.sqrt(1 - lam)
    row, column = int(down * height), int(across * width)
    tall, wide = int(height * side) // 2, int(width * side) // 2
    rows = max(row - tall, 0), min(row + tall, height)
    columns = max(column - wide, 0), min(column + wide, width)
    return *rows, *columns
