"""What work on one image costs a network, in passes through its layers (pure arithmetic).

A multiply-add counts as two operations. Convolutions and matrix products are counted, as ``torch``
counts them (``torch.utils.flop_counter``); normalisations, activations and poolings are not.
"""

from dataclasses import dataclass
from typing import Literal

FLOAT = 4
"""Bytes of a number that a pass keeps."""


@dataclass(frozen=True)
class Layer:
    """One convolution or matrix product.

    Attributes:
        kind: ``first`` sees the images, ``inner`` is any other convolution, ``linear`` any other
            product: the classifier at the end, hidden linear layers, attention.
        flops: Operations of a forward pass of one image.
        outputs: Numbers in its output for one image.
    """

    kind: Literal["first", "inner", "linear"]
    flops: int
    outputs: int


@dataclass(frozen=True)
class Passes:
    """What a piece of work costs a layer of each kind, in forward passes of that layer."""

    first: int
    inner: int
    linear: int


FEATURES = Passes(1, 1, 0)
"""Forward, as far as the last block of a network that is matched through."""

LOGITS = Passes(1, 1, 1)
"""Forward, to the end."""

FEATURES_TO_IMAGES = Passes(2, 2, 0)
"""Forward and back to the images, through the blocks alone."""

TRAINING = Passes(2, 3, 3)
"""Forward, and back to the weights; the images need no gradient."""

WEIGHT_GRADIENTS = Passes(2, 3, 2)
"""As training, without the weights of linear layers: what the real images of matching cost."""

SECOND_DERIVATIVES = Passes(5, 7, 4)
"""Weight gradients of synthetic images, and how these should change to change them.

Seven of an inner layer: forward; back to its input; its weights' gradient; the forward pass's
derivative along a direction of the weights, by the input's share and by the weight's; the backward
pass's derivative, likewise. The images have no such derivative, and need no first gradient.
"""

SECOND_DERIVATIVES_BY_AUTOGRAD = Passes(5, 8, 4)
"""The same by differentiating twice, which also takes the inner weights' second derivative.

Of a strided convolution torch computes more than it needs, which is left out: 1.4 % in a ResNet18.
"""
