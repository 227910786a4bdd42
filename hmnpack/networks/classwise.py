"""Convolutions with separate weights per class: one library call for each class.

Shape legend: k classes, n images of each, N = k * n, C channels in, D channels out.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def class_conv(x: Tensor, weights: Tensor, padding: int) -> Tensor:
    """Convolve the images of each class with the weights of that class.

    Args:
        x: [N, C, H, W], grouped by class.
        weights: [k, D, C, 3, 3].
        padding: Zero padding around the image, in pixels.

    Returns:
        [N, D, H, W].
    """
    parts = [
        F.conv2d(some, weight, padding=padding)
        for some, weight in zip(_by_class(x, weights), weights, strict=True)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def class_conv_input(grad: Tensor, weights: Tensor, padding: int) -> Tensor:
    """Return the gradient of ``class_conv``'s input: [N, C, H, W].

    Args:
        grad: Gradient of its output, [N, D, H, W].
        weights: [k, D, C, 3, 3].
        padding: Padding of ``class_conv``.
    """
    parts = [
        F.conv_transpose2d(some, weight, padding=padding)
        for some, weight in zip(_by_class(grad, weights), weights, strict=True)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def class_conv_weight(
    x: Tensor, grad: Tensor, classes: int, weight: Tensor, padding: int
) -> Tensor:
    """Return the gradient of ``class_conv``'s weights: [k, D, C, 3, 3].

    Args:
        x: Input of ``class_conv``, [N, C, H, W].
        grad: Gradient of its output, [N, D, H, W].
        classes: Number of classes k.
        weight: [D, C, 3, 3]; only its shape, dtype and device are used.
        padding: Padding of ``class_conv``.
    """
    size = len(x) // classes
    return torch.stack(
        [
            torch.ops.aten.convolution_backward(
                some_grad,
                some,
                weight,
                None,
                [1, 1],
                [padding, padding],
                [1, 1],
                False,
                [0, 0],
                1,
                [False, True, False],
            )[1]
            for some, some_grad in zip(x.split(size), grad.split(size), strict=True)
        ]
    )


def _by_class(x: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
    parts: tuple[Tensor, ...] = x.split(len(x) // len(weights))
    return parts
