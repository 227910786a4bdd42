"""Compute cost of a network's passes for one image (pure arithmetic).

A multiply-add counts as two operations. As in ``torch.utils.flop_counter``, convolutions and matrix
products are counted; normalisation, activations and pooling are not.
"""

from dataclasses import dataclass
from typing import Literal

FLOAT = 4
"""Bytes of an activation that a pass saves, in float32."""


@dataclass(frozen=True)
class Layer:
    """One convolution or matrix product.

    Attributes:
        kind: ``first`` is applied to the images, ``inner`` is any other convolution, ``linear`` any
            other product: the classifier, hidden linear layers, attention.
        flops: Operations of a forward pass for one image.
        outputs: Elements of the output for one image.
    """

    kind: Literal["first", "inner", "linear"]
    flops: int
    outputs: int


@dataclass(frozen=True)
class Passes:
    """Cost of a computation per kind of layer, in multiples of that layer's forward pass."""

    first: int
    inner: int
    linear: int


FEATURES = Passes(1, 1, 0)
"""Forward pass up to the last block of a network whose features are matched."""

LOGITS = Passes(1, 1, 1)
"""Full forward pass."""

FEATURES_TO_IMAGES = Passes(2, 2, 0)
"""Forward pass and backward pass to the images, without the classifier."""

TRAINING = Passes(2, 3, 3)
"""Forward pass and backward pass to the weights; the images need no gradient."""

WEIGHT_GRADIENTS = Passes(2, 3, 2)
"""Training without gradients of linear weights: the cost of real images in gradient matching."""

SECOND_DERIVATIVES = Passes(5, 7, 4)
"""Weight gradients of synthetic images, and the gradient of a function of them for the images.

An inner layer takes seven passes: forward; backward to its input; the gradient of its weights; the
directional derivative of the forward pass, by the input and by the weights; the directional
derivative of the backward pass, by both again. The images have no derivative along a direction of
the weights, and need no first-order gradient.
"""

UNROLLED_STEP = Passes(6, 9, 9)
"""Weight gradients, and the gradient of a function of them for the images and for the weights.

Trajectory matching goes back through a training step so. To the seven passes of
``SECOND_DERIVATIVES`` come the second derivative of the weights, by the backward pass and by the
forward pass. For the images, only the first layer's part of either is needed.
"""

SECOND_DERIVATIVES_BY_AUTOGRAD = Passes(5, 8, 4)
"""The same by double backward, which also computes the second derivative of inner weights.

For strided convolutions torch computes more than necessary; that is not counted (1.4 % in a
ResNet18).
"""
