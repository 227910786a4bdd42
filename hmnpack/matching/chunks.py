"""A loss that adds up over classes, done some classes at a time, as if done at once."""

from collections.abc import Callable
from math import ceil
from typing import Any

import torch
from torch import Tensor

from hmnpack.errors import is_out_of_memory


class _KnownGradient(torch.autograd.Function):
    """A number whose gradient with respect to the images is known already."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(gradient)
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        (gradient,) = ctx.saved_tensors
        return outer * gradient, None, None


class AsManyAsFit:
    """How many classes go at a time, fewer once an accelerator had no memory for as many.

    What a model says of memory leaves out what libraries take, and what else runs on a device.

    Args:
        repeatable: Whether what failed may be done again: several ranks have talked by then.
    """

    def __init__(self, *, repeatable: bool) -> None:
        self.repeatable = repeatable
        self._cuts = self._last = 1

    def of(self, at_once: int) -> int:
        """Return how many classes go at a time, of so many that the model allows."""
        self._last = ceil(at_once / self._cuts)
        return self._last

    def done(self, work: Callable[[], Tensor]) -> Tensor:
        """Return what the work gives, done again with half as many classes where memory runs out.

        Args:
            work: Takes :meth:`of` so many at a time; it changes nothing if it fails.

        Raises:
            RuntimeError: if one class is too many, or for another reason.
        """
        while True:
            try:
                return work()
            except RuntimeError as error:
                if not self.repeatable or self._last == 1 or not is_out_of_memory(error):
                    raise
            self._cuts *= 2  # only here, where the failed call's tensors are gone


def with_gradient(images: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
    """Return the loss as a function of the images, whose gradient is known.

    Args:
        images: Part of a graph.
        loss: A scalar.
        gradient: Of the loss with respect to the images.
    """
    known: Tensor = _KnownGradient.apply(images, loss, gradient)
    return known


def chunked(
    images: Tensor, classes: range, at_once: int, loss: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Return the sum of the loss over some classes, holding the graph of one chunk at a time.

    The images' own graph is kept, and walked once, whatever the number of chunks.

    Args:
        images: [k * n, C, H, W], class by class.
        classes: The numbers of these k classes.
        at_once: Classes per chunk.
        loss: From images of some classes and these classes' numbers (int64) to a scalar; the
            whole loss is the sum over the classes.
    """
    every = torch.arange(classes.start, classes.stop, device=images.device)
    leaf = images.detach().requires_grad_()
    total = images.new_zeros(())
    for some, numbers in zip(
        leaf.unflatten(0, (len(classes), -1)).split(at_once), every.split(at_once), strict=True
    ):
        part = loss(some.flatten(0, 1), numbers)
        part.backward()
        total = total + part.detach()
    assert leaf.grad is not None  # noqa: S101 - the loss depends on every image
    return with_gradient(images, total, leaf.grad)
