"""Trajectory matching: the loss of MTT, with the memory of a single training step.

A student starts at an expert's weights and takes N steps of plain gradient descent on synthetic
images. The loss is its distance from later weights of the expert, in units of the way that the
expert itself went (Cazenavette et al., CVPR 2022, equation 2).

Back-propagation through all steps at once would hold N graphs. Here the forward pass keeps only the
weights before each step. The backward pass goes from the last step to the first, repeats one step
at a time, and passes on the gradient of the weights. So memory does not grow with the graphs of the
steps, as in TESLA (Cui et al., ICML 2023). But TESLA treats the weights before each step as
constants; here the gradient is the exact one, including the effect of an image on later steps.

Shape legend: N images of a container, C H W as usual.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Weights = tuple[Tensor, ...]
"""The parameters of a network, in its order."""


class StudentLoss(Protocol):
    """The loss that a student minimises at one of its steps."""

    def __call__(self, step: int, weights: Weights, images: Tensor) -> Tensor:
        """Return the loss, a scalar; a second call with the same arguments returns the same.

        Args:
            step: Index of the student's step, from 0.
            weights: The student's parameters.
            images: All synthetic images [N, C, H, W]; a step may use some of them.
        """


@dataclass(frozen=True)
class Segment:
    """The part of an expert's trajectory that a student has to repeat.

    Attributes:
        start: The expert's weights, from which the student starts.
        target: Its weights some epochs later.
        steps: Number of the student's steps.
    """

    start: Weights
    target: Weights
    steps: int


@dataclass(frozen=True)
class Matched:
    """The loss of a segment and its gradients.

    Attributes:
        loss: Scalar, 0 or more; 1 if the student is as far from the target as at the start.
        by_images: Gradient with respect to the images, [N, C, H, W].
        by_rate: Gradient with respect to the student's learning rate, scalar.
    """

    loss: Tensor
    by_images: Tensor
    by_rate: Tensor


def trajectory_loss(
    student: StudentLoss, segment: Segment, images: Tensor, rate: float | Tensor
) -> Matched:
    """Return the loss of trajectory matching and its exact gradients.

    Args:
        student: The student's loss at each step.
        segment: Start, target, and number of steps.
        images: All synthetic images [N, C, H, W].
        rate: Learning rate of the student, above 0.
    """
    images = images.detach()
    before, last = _walked(student, segment, images, rate)
    way = _squared(_difference(segment.start, segment.target))
    miss = _difference(last, segment.target)
    # The gradient of the loss with respect to the weights after the step in turn.
    adjoint = tuple(2 / way * part for part in miss)
    by_images, by_rate = torch.zeros_like(images), images.new_zeros(())
    for step in reversed(range(segment.steps)):
        weights = _leaves(before.pop())
        pixels = images.clone().requires_grad_()
        with torch.enable_grad():
            gradient = torch.autograd.grad(
                student(step, weights, pixels), weights, create_graph=True, materialize_grads=True
            )
            along = _inner(gradient, adjoint)
            second = torch.autograd.grad(along, [pixels, *weights], materialize_grads=True)
        by_rate -= along.detach()
        by_images -= rate * second[0]
        adjoint = tuple(u - rate * part for u, part in zip(adjoint, second[1:], strict=True))
    return Matched(_squared(miss) / way, by_images, by_rate)


def _walked(
    student: StudentLoss, segment: Segment, images: Tensor, rate: float | Tensor
) -> tuple[list[Weights], Weights]:
    """Return the student's weights before each step, and after the last one."""
    weights, before = _leaves(segment.start), []
    for step in range(segment.steps):
        before.append(weights)
        with torch.enable_grad():
            gradient = torch.autograd.grad(
                student(step, weights, images), weights, materialize_grads=True
            )
        pairs = zip(weights, gradient, strict=True)
        weights = _leaves([weight.detach() - rate * part for weight, part in pairs])
    return before, tuple(weight.detach() for weight in weights)


def _leaves(weights: Sequence[Tensor]) -> Weights:
    """Return the weights as leaves of new graphs; the memory is shared."""
    return tuple(weight.detach().requires_grad_() for weight in weights)


def _difference(ours: Weights, theirs: Weights) -> Weights:
    return tuple(a - b for a, b in zip(ours, theirs, strict=True))


def _inner(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    return torch.stack([(a * b).sum() for a, b in zip(ours, theirs, strict=True)]).sum()


def _squared(parts: Weights) -> Tensor:
    return _inner(parts, parts)
