"""Convolutions whose weights differ from class to class: one library call for each class.

Shape legend: k classes, n images of each, N = k * n, C channels in, D channels out.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def class_conv(x: Tensor, weights: Tensor, padding: int) -> Tensor:
    """Return [N, D, H, W]: each class's images through its own weights.

    Args:
        x: [N, C, H, W], class by class.
        weights: [k, D, C, 3, 3].
        padding: Zeros around the image, in pixels.
    """
    parts = [
        F.conv2d(some, weight, padding=padding)
        for some, weight in zip(_by_class(x, weights), weights, strict=True)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def class_conv_input(grad: Tensor, weights: Tensor, padding: int) -> Tensor:
    """Return the gradient of ``class_conv``'s input: [N, C, H, W].

    Args:
        grad: Of its output, [N, D, H, W].
        weights: [k, D, C, 3, 3].
        padding: That of ``class_conv``.
    """
    parts = [
        F.conv_transpose2d(some, weight, padding=padding)
        for some, weight in zip(_by_class(grad, weights), weights, strict=True)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def class_conv_weight(
    x: Tensor, grad: Tensor, classes: int, weight: Tensor, padding: int
) -> Tensor:
    """Return the gradients of ``class_conv``'s weights: [k, D, C, 3, 3].

    Args:
        x: Its input [N, C, H, W].
        grad: Of its output, [N, D, H, W].
        classes: k.
        weight: One class's weights, for their shape: [D, C, 3, 3].
        padding: That of ``class_conv``.
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
