"""Tensors from whatever a program holds its images and labels in."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from hmnpack.errors import BadData, first_line

_NUMBERS = "biuf"
"""Kinds of NumPy types that are real numbers."""


def tensor_of(values: object, what: str) -> Tensor:
    """Return images or labels as a dense tensor of real numbers, detached from any graph.

    Args:
        values: A tensor, an array of any strides and byte order, nested lists, or a list of
            tensors, arrays or PIL images.
        what: What they are, for the message: "images of train", "labels".

    Raises:
        BadData: if they cannot be put in one tensor of real numbers.
    """
    try:
        tensor = _tensor(values, what)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise BadData(
            f"{what} cannot be put in one array ({first_line(error)}): give a tensor or an array"
        ) from error
    if tensor.is_meta:
        raise BadData(f"{what} have no values, only a shape (device meta); load them first")
    if tensor.is_complex():
        raise BadData(f"{what} are complex numbers ({tensor.dtype}); give real numbers")
    return tensor.detach().to_dense() if tensor.layout != torch.strided else tensor.detach()


def _tensor(values: object, what: str) -> Tensor:
    if isinstance(values, Tensor) or hasattr(values, "__cuda_array_interface__"):
        return torch.as_tensor(values)
    if isinstance(values, Sequence) and values:
        if all(isinstance(value, Tensor) for value in values):
            return torch.stack(list(values))
        if any(isinstance(value, Image.Image) for value in values):
            return torch.from_numpy(_stacked(values))
    array = np.asarray(values)
    _expect_numbers(array, what)
    if array.dtype.itemsize > np.dtype(np.float64).itemsize:
        array = array.astype(np.float64)  # torch has no longer floats
    # torch takes neither negative strides nor another byte order, and warns of read-only memory.
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    dense = np.require(native, requirements=("C", "W"))
    # NumPy calls any stride of an axis of length 1 contiguous.
    return torch.from_numpy(dense.copy() if min(dense.strides, default=0) < 0 else dense)


def _stacked(images: Sequence[object]) -> npt.NDArray[np.uint8]:
    """Return PIL images of one mode and size as uint8 [N, C, H, W]."""
    modes = {image.mode if isinstance(image, Image.Image) else "none" for image in images}
    if len(modes) > 1 or not modes <= {"L", "RGB"}:
        raise ValueError(f"PIL images of mode {', '.join(sorted(modes))}, not all L or all RGB")
    pixels = np.stack([np.asarray(image) for image in images])
    return pixels[:, None] if modes == {"L"} else pixels.transpose(0, 3, 1, 2).copy()


def _expect_numbers(array: npt.NDArray[np.generic], what: str) -> None:
    if array.dtype.kind in _NUMBERS:
        return
    kind = "text" if array.dtype.kind in "US" else f"of type {array.dtype}"
    first = f", such as {str(array.flat[0])[:40]!r}" if array.size else ""
    mend = (
        "number the classes from 0, and pass their names as classes"
        if what.startswith("labels")
        else "give a tensor or an array of numbers"
    )
    raise BadData(f"{what} are {kind}{first}; {mend}")
