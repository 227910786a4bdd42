"""What a pass of one image through a network costs: operations, memory (pure arithmetic).

A multiply-add counts as two. Convolutions and linear layers are counted, as ``torch`` counts them
(``torch.utils.flop_counter``); normalisations, activations and poolings are not.

Shape legend: K classes, C channels, H height, W width of an image; M side of a memory grid.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from hmnpack.errors import BadSettings
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape

FLOAT = 4
"""Bytes of a number that a pass keeps."""


@dataclass(frozen=True)
class Layer:
    """One convolution, or the classifier at the end.

    Attributes:
        kind: ``first`` sees the images, ``classifier`` gives the logits, all others are ``inner``.
        flops: Of a forward pass of one image.
        outputs: Numbers in its output for one image, before any pooling.
        channels: Of the output.
        weights: Numbers in its weight, without a bias.
    """

    kind: Literal["first", "inner", "classifier"]
    flops: int
    outputs: int
    channels: int
    weights: int


@dataclass(frozen=True)
class Passes:
    """What a piece of work costs a layer of each kind, in forward passes of that layer."""

    first: int
    inner: int
    classifier: int


FEATURES = Passes(1, 1, 0)
"""Forward, as far as the last block."""

LOGITS = Passes(1, 1, 1)
"""Forward, to the end."""

FEATURES_TO_IMAGES = Passes(2, 2, 0)
"""Forward and back to the images, through the blocks alone."""

TRAINING = Passes(2, 3, 3)
"""Forward, and back to the weights; the images need no gradient."""

WEIGHT_GRADIENTS = Passes(2, 3, 2)
"""As training, without the classifier's weights: what the real images of matching cost."""

SECOND_DERIVATIVES = Passes(5, 7, 4)
"""Weight gradients of synthetic images, and how these should change to change them.

Seven of an inner layer: forward; back to its input; its weights' gradient; the forward pass's
derivative along a direction of the weights, by the input's share and by the weight's; the backward
pass's derivative, likewise. The images have no such derivative, and need no first gradient.
"""

SECOND_DERIVATIVES_BY_AUTOGRAD = Passes(5, 8, 4)
"""The same by differentiating twice, which also takes the inner weights' second derivative."""


def layers_of(network: NetworkConfig, classes: int, image: ImageShape) -> tuple[Layer, ...]:
    """Return the layers of a network, first to last.

    Args:
        network: A ``convnet`` or ``resnet-ap``, see :func:`is_counted`.
        classes: Number of classes K.
        image: Shape of the images.

    Raises:
        BadSettings: for any other network.
    """
    if not is_counted(network):
        raise BadSettings(
            f"the operations of {network.name!r} are not known beforehand, only those of "
            f"{' and '.join(_LAYERS)}"
        )
    return tuple(_LAYERS[network.name](network, classes, image))


def is_counted(network: NetworkConfig) -> bool:
    """Return whether the layers of a network are known here."""
    return network.name in _LAYERS


def network_flops(layers: tuple[Layer, ...], passes: Passes) -> int:
    """Return the operations of a piece of work on one image."""
    return sum(getattr(passes, layer.kind) * layer.flops for layer in layers)


def _conv(
    kind: Literal["first", "inner"], before: int, after: int, pixels: int, kernel: int = 3
) -> Layer:
    weights = before * after * kernel**2
    return Layer(kind, 2 * weights * pixels, after * pixels, after, weights)


def _linear(before: int, after: int) -> Layer:
    return Layer("classifier", 2 * before * after, after, after, before * after)


def _convnet(network: NetworkConfig, classes: int, image: ImageShape) -> Iterator[Layer]:
    # Images of 28 pixels leave the first convolution with 32 (hmnpack/networks/convnet.py).
    margin = 4 if image.side == 28 else 0
    height, width = image.height + margin, image.width + margin
    for index in range(network.depth):
        pixels = (height >> index) * (width >> index)
        before = network.width if index else image.channels
        yield _conv("inner" if index else "first", before, network.width, pixels)
    pixels = (height >> network.depth) * (width >> network.depth)
    yield _linear(network.width * pixels, classes)


def _resnet_ap(network: NetworkConfig, classes: int, image: ImageShape) -> Iterator[Layer]:
    # Sizes as in hmnpack/networks/resnet_ap.py; pooling follows a convolution.
    pool = 1 if image.side <= 64 else 2 if image.side <= 128 else 4
    height, width = image.height, image.width
    yield _conv("first", image.channels, 64, height * width, 7 if pool == 4 else 3)
    height, width = height // pool, width // pool
    for index, (before, after) in enumerate(pairwise((64, 64, 128, 256, 512))):
        stride = 2 if index else 1
        yield _conv("inner", before, after, height * width)
        if index:
            yield _conv("inner", before, after, height * width, kernel=1)
        height, width = height // stride, width // stride
        yield _conv("inner", after, after, height * width)
    yield _linear(512, classes)


_LAYERS: dict[str, Callable[[NetworkConfig, int, ImageShape], Iterator[Layer]]] = {
    "convnet": _convnet,
    "resnet-ap": _resnet_ap,
}


def first_order_bytes(network: NetworkConfig, image: ImageShape) -> int:
    """Return what one way back keeps of an image: each convolution's output, normalised or not."""
    return FLOAT * 2 * sum(maps_of(network, image))


def tested_bytes(network: NetworkConfig, image: ImageShape) -> int:
    """Return what an image takes where no way back follows: two of the largest map."""
    return FLOAT * 2 * max(maps_of(network, image))


def weight_bytes(layers: tuple[Layer, ...]) -> int:
    """Return the bytes of the weights of layers."""
    return FLOAT * sum(layer.weights for layer in layers)


def maps_of(network: NetworkConfig, image: ImageShape) -> list[int]:
    """Return the numbers in the output of each convolution, for one image."""
    return [layer.outputs for layer in convolutions_of(network, image)]


def convolutions_of(network: NetworkConfig, image: ImageShape) -> list[Layer]:
    """Return the layers of a network without its classifier."""
    return [layer for layer in layers_of(network, 1, image) if layer.kind != "classifier"]
