"""Chunked computation of a loss that is a sum over classes, without changing its result."""

from collections.abc import Callable, Iterable
from math import ceil
from typing import Any

import torch
from torch import Tensor

from hmnpack.errors import is_out_of_memory


class _KnownGradient(torch.autograd.Function):
    """A scalar whose gradient with respect to the images is already known."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(gradient)
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        (gradient,) = ctx.saved_tensors
        return outer * gradient, None, None


class AdaptiveChunkSize:
    """Chunk size in classes, halved after each out-of-memory error of an accelerator.

    The memory model ignores libraries' workspaces and other processes on the device, so its
    prediction can be too large.

    Args:
        repeatable: Whether failed work may be repeated; not so with several ranks, which may
            already have communicated.
    """

    def __init__(self, *, repeatable: bool) -> None:
        self.repeatable = repeatable
        self._cuts = self._last = 1

    def limit(self, at_once: int) -> int:
        """Return the chunk size to use, given the size that the memory model allows."""
        self._last = ceil(at_once / self._cuts)
        return self._last

    def run(self, work: Callable[[], Tensor]) -> Tensor:
        """Return the result of ``work``, repeated with half the chunk size while memory runs out.

        Args:
            work: Uses chunks of the size that :meth:`limit` returns; must have no side effects if
                it fails.

        Raises:
            RuntimeError: if a single class does not fit, or ``work`` fails for another reason.
        """
        while True:
            try:
                return work()
            except RuntimeError as error:
                if not self.repeatable or self._last == 1 or not is_out_of_memory(error):
                    raise
            self._cuts *= 2  # outside the handler, where the failed call's tensors are freed


def with_gradient(images: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
    """Return the loss as a function of the images, with a precomputed gradient.

    Args:
        images: Images, part of a graph.
        loss: Scalar.
        gradient: Gradient of the loss with respect to the images, of their shape.
    """
    known: Tensor = _KnownGradient.apply(images, loss, gradient)
    return known


def chunked_loss(
    images: Tensor, classes: range, at_once: int, loss: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Return the sum of the loss over some classes, holding the graph of one chunk at a time.

    The graph that produced the images is retained, and traversed once for all chunks.

    Args:
        images: [k * n, C, H, W], class by class.
        classes: Indices of these k classes.
        at_once: Classes per chunk.
        loss: Maps the images of some classes and the indices of these classes (int64) to a scalar;
            the total loss is the sum over the classes.
    """
    every = torch.arange(classes.start, classes.stop, device=images.device)
    leaf = images.detach().requires_grad_()
    chunks = zip(
        leaf.unflatten(0, (len(classes), -1)).split(at_once), every.split(at_once), strict=True
    )
    return _summed(images, leaf, (loss(some.flatten(0, 1), labels) for some, labels in chunks))


def loss_by_class(images: Tensor, classes: int, loss: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Return the sum of a loss over all classes, holding the graph of one class at a time.

    Unlike :func:`chunked_loss`, it passes the class as an integer of the host.

    Args:
        images: [K * n, C, H, W], class by class.
        classes: Number of classes K.
        loss: Maps the images of a class and its index to a scalar.
    """
    leaf = images.detach().requires_grad_()
    by_class = enumerate(leaf.unflatten(0, (classes, -1)))
    return _summed(images, leaf, (loss(own, label) for label, own in by_class))


def _summed(images: Tensor, leaf: Tensor, parts: Iterable[Tensor]) -> Tensor:
    """Return the sum of losses of a copy of the images, as a function of the images.

    Args:
        images: Images, part of a graph.
        leaf: The copy.
        parts: The losses, each computed when it is reached, and released before the next.
    """
    total = images.new_zeros(())
    for part in parts:
        part.backward(inputs=[leaf])  # and not to the networks
        total = total + part.detach()
    assert leaf.grad is not None  # noqa: S101 - the loss depends on every image
    return with_gradient(images, total, leaf.grad)
