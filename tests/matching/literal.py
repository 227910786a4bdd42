"""Reference implementation of gradient matching: plain, slow, class by class, in any dtype.

Written from equation 2 of the paper and the details of its code base (IDC). For each class, it
takes gradients of the mean cross-entropy with respect to the convolution weights, for real and
synthetic images under one augmentation draw. Their squared or absolute differences are summed over
elements, layers and classes. Between steps the network is trained on real images. The fast
implementation in ``hmnpack`` is tested against this module.

Shape legend: N images, K classes, C channels, H height, W width.
"""

import math

import torch
import torch.nn.functional as F

from hmnpack.augment import apply, draw, normalise
from hmnpack.schema.config import COLOUR_CROP

EPSILON = 1e-5


class PlainConvNet:
    """The ConvNet written with one library call per operation, using another ConvNet's weights.

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
    """Return the matched parameters: the 4-D ones, without biases, norms and classifier."""
    return [parameter for parameter in network.parameters() if parameter.dim() == 4]


def class_gradients(network, images_NCHW, labels, *, create_graph=False):
    """Return the gradients of the mean cross-entropy with respect to each convolution's weights.

    Args:
        network: Maps images to logits [N, K]; has ``parameters()``.
        images_NCHW: Normalised and augmented images.
        labels: int64 [N].
        create_graph: Whether to make the gradients differentiable.
    """
    loss = F.cross_entropy(network(images_NCHW), labels)
    return torch.autograd.grad(loss, convolution_weights(network), create_graph=create_graph)


def gradient_distance(real, synthetic, distance="mse"):
    """Return the sum over elements and layers of squared (``mse``) or absolute differences."""
    total = 0.0
    for ours, theirs in zip(synthetic, real, strict=True):
        difference = ours - theirs
        total = total + {"mse": difference.square, "l1": difference.abs}[distance]().sum()
    return total


def of_class(number, images_NCHW):
    """Return the labels of images that all belong to one class."""
    return torch.full((len(images_NCHW),), number, device=images_NCHW.device)


def real_gradients(network, number, images_NCHW, draws, normalisation):
    """Return the gradients on a class's real images, as constants."""
    images = apply(normalise(images_NCHW, normalisation), draws)
    found = class_gradients(network, images, of_class(number, images))
    return [gradient.detach() for gradient in found]


def synthetic_gradients(network, number, images_NCHW, draws, normalisation):
    """Return the gradients on a class's synthetic images, differentiable in the images."""
    images = apply(normalise(images_NCHW, normalisation), draws)
    return class_gradients(network, images, of_class(number, images), create_graph=True)


def literal_loss(network, real_KNCHW, synthetic_KNCHW, draws, normalisation, distance="mse"):
    """Return the loss of one step: the sum of the classes' distances.

    Args:
        network: Maps images to logits; has ``parameters()``.
        real_KNCHW: Real images in [0, 1].
        synthetic_KNCHW: Synthetic images; their N may differ.
        draws: K augmentation draws, one shared by all images of a class (siamese).
        normalisation: Applied before the augmentations.
        distance: ``mse`` or ``l1``.

    Returns:
        A scalar. Gradients flow to the synthetic images, but not through the real gradients.
    """
    total = 0.0
    for number in range(len(real_KNCHW)):
        one = draws.index(torch.tensor([number], device=real_KNCHW.device))
        real = real_gradients(network, number, real_KNCHW[number], one, normalisation)
        ours = synthetic_gradients(network, number, synthetic_KNCHW[number], one, normalisation)
        total = total + gradient_distance(real, ours, distance)
    return total


def new_optimiser(network):
    """Return the optimiser for a network's training between steps."""
    return torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)


def literal_training(
    network, optimiser, images_NCHW, labels, *, normalisation, generator, batch=64, cutmix=0.5
):
    """Train the network on real images, in the given order.

    Args:
        network: Trained in place.
        optimiser: Optimiser of the network's parameters; its state persists between calls.
        images_NCHW: Real images in [0, 1].
        labels: int64 [N].
        normalisation: Normalisation of the images.
        generator: Source of all random numbers, batch by batch.
        batch: Images per step; the last batch may be smaller.
        cutmix: Probability of applying CutMix to a batch.
    """
    for images, target in zip(images_NCHW.split(batch), labels.split(batch), strict=True):
        normal = normalise(images, normalisation)
        literal_training_step(network, optimiser, normal, target, generator, cutmix)


def literal_training_step(network, optimiser, images_NCHW, labels, generator, cutmix=0.5):
    """Take one step on normalised images.

    Random numbers are drawn in this order: the augmentations, one draw per image; whether to apply
    CutMix; its box; the partners.
    """
    draws = draw(COLOUR_CROP, len(images_NCHW), generator, device=images_NCHW.device)
    images, others, share = apply(images_NCHW, draws), labels, 1.0
    if float(torch.rand((), generator=generator)) < cutmix:
        numbers = torch.rand(3, generator=generator).tolist()
        top, bottom, left, right = box_of(*numbers, *images.shape[2:])
        partner = torch.randperm(len(images), generator=generator).to(images.device)
        pasted = images[partner]
        images = images.clone()
        images[:, :, top:bottom, left:right] = pasted[:, :, top:bottom, left:right]
        others = labels[partner]
        share = 1 - (bottom - top) * (right - left) / (images.shape[2] * images.shape[3])
    logits = network(images)
    loss = share * F.cross_entropy(logits, labels) + (1 - share) * F.cross_entropy(logits, others)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def box_of(lam, down, across, height, width):
    """Return a box with fraction 1 - ``lam`` of the area around a pixel, clipped to the image.

    Args:
        lam: Fraction of the image to keep, in [0, 1].
        down: Vertical position of the centre, as a fraction of the height.
        across: Horizontal position of the centre, as a fraction of the width.
        height: Height of the image, in pixels.
        width: Width of the image, in pixels.

    Returns:
        Top, bottom (exclusive), left and right (exclusive).
    """
    side = math.sqrt(1 - lam)
    row, column = int(down * height), int(across * width)
    tall, wide = int(height * side) // 2, int(width * side) // 2
    rows = max(row - tall, 0), min(row + tall, height)
    columns = max(column - wide, 0), min(column + wide, width)
    return *rows, *columns
