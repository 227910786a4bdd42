"""The decoder's layer: ConvTranspose2d(kernel 4, stride 2, padding 1) as one matrix product.

Rows are the unit: an image is [rows, columns * channels], and two neighbouring input rows a, b
give two output rows, the odd one below a's middle and the even one above b's. So one layer is the
product of all row pairs with one banded matrix, which costs more multiplications than the
definition asks for and is several times faster, because the layers are too narrow for anything
else to keep a processor busy. Being a plain product, it is differentiable as it stands.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# Kernel rows that lead from input row (a, b) to output row (odd, even): an output row y takes
# input row i through kernel row y + 1 - 2 i.
_KERNEL_ROWS = ((2, 3), (0, 1))


@dataclass(frozen=True)
class Layer:
    """One layer, ready to use on images of one width.

    Attributes:
        matrix: [2 * W * Cin, 2 * 2W * Cout]: row pair in, row pair out.
        bias: [2 * 2W * Cout], or None.
    """

    matrix: Tensor
    bias: Tensor | None


def layer_of(weight: Tensor, bias: Tensor | None, columns: int, *, planar: bool = False) -> Layer:
    """Return a layer for images of a width.

    Args:
        weight: [Cin, Cout, 4, 4], as in ``torch.nn.ConvTranspose2d``.
        bias: [Cout], or None.
        columns: Width of the input W.
        planar: Whether an output row is [Cout, 2W], not [2W, Cout]: for the last layer, whose
            rows are to become planes of an image.
    """
    into = torch.arange(columns)[:, None]
    out = torch.arange(2 * columns)[None, :]
    taps = torch.stack([(out + 1 - 2 * into) == tap for tap in range(4)]).to(weight)
    order = "kix,cdyk->yicdx" if planar else "kix,cdyk->yicxd"
    size = (4, columns * weight.shape[0], 2 * columns * weight.shape[1])
    parts = torch.einsum(order, taps, weight).reshape(size)
    matrix = torch.cat([torch.cat([parts[k] for k in pair], 1) for pair in _KERNEL_ROWS], 0)
    if bias is not None:
        row = bias.repeat_interleave(2 * columns) if planar else bias.repeat(2 * columns)
        bias = row.repeat(2)
    return Layer(matrix, bias)


def double(rows: Tensor, layer: Layer) -> Tensor:
    """Return images of twice the side.

    Args:
        rows: [N, H, W * Cin], channels last.
        layer: What :func:`layer_of` returned for W.

    Returns:
        [N, 2H, 2W * Cout], in the layer's order; not contiguous.
    """
    count, height, length = rows.shape
    pairs = rows.new_zeros(count, height + 1, 2, length)
    pairs[:, 1:, 0] = rows
    pairs[:, :-1, 1] = rows
    pairs = pairs.view(count * (height + 1), 2 * length)
    out = pairs @ layer.matrix if layer.bias is None else layer.bias.addmm(pairs, layer.matrix)
    return out.view(count, 2 * height + 2, layer.matrix.shape[1] // 2)[:, 1:-1]


def to_rows(images: Tensor) -> Tensor:
    """Return [N, C, H, W] as rows [N, H, W * C], channels last."""
    return images.permute(0, 2, 3, 1).flatten(2)


def from_rows(rows: Tensor, channels: int) -> Tensor:
    """Return planar rows [N, H, C * W] as [N, C, H, W], contiguous."""
    planes: Tensor = rows.unflatten(2, (channels, -1))
    return planes.transpose(1, 2).contiguous()
