"""The decoder's layer: ConvTranspose2d(kernel 4, stride 2, padding 1) as one matrix product.

Rows are the unit: an image is [rows, columns * channels], and two neighbouring input rows a, b
give two output rows, the odd one below a's middle and the even one above b's. So one layer is the
product of all row pairs with one banded matrix, which costs more multiplications than the
definition asks for and is several times faster, because the layers are too narrow for anything
else to keep a processor busy. Being a plain product, it is differentiable as it stands.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

# Kernel rows that lead from input row (a, b) to output row (odd, even): an output row y takes
# input row i through kernel row y + 1 - 2 i.
_KERNEL_ROWS = ((2, 3), (0, 1))


def band(weight: Tensor, columns: int) -> Tensor:
    """Return the matrix of one layer.

    Args:
        weight: [Cin, Cout, 4, 4], as in ``torch.nn.ConvTranspose2d``.
        columns: Width of the input W.

    Returns:
        [2 * W * Cin, 2 * 2W * Cout]: row pair in, row pair out, channels last.
    """
    into = torch.arange(columns)[:, None]
    out = torch.arange(2 * columns)[None, :]
    taps = torch.stack([(out + 1 - 2 * into) == tap for tap in range(4)]).to(weight)
    parts = torch.einsum("kix,cdyk->yicxd", taps, weight)
    size = (4, columns * weight.shape[0], 2 * columns * weight.shape[1])
    parts = parts.reshape(size)
    return torch.cat([torch.cat([parts[k] for k in pair], 1) for pair in _KERNEL_ROWS], 0)


def double(rows: Tensor, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return images of twice the side.

    Args:
        rows: [N, H, W * Cin], channels last.
        matrix: What :func:`band` returned for the layer.
        bias: [Cout], or None.

    Returns:
        [N, 2H, 2W * Cout], channels last; not contiguous.
    """
    count, height, length = rows.shape
    pairs = torch.stack([F.pad(rows, (0, 0, 1, 0)), F.pad(rows, (0, 0, 0, 1))], dim=2)
    pairs = pairs.view(count * (height + 1), 2 * length)
    if bias is None:
        out = pairs @ matrix
    else:
        out = torch.addmm(bias.repeat(matrix.shape[1] // len(bias)), pairs, matrix)
    return out.view(count, 2 * height + 2, -1)[:, 1:-1]


def to_rows(images: Tensor) -> Tensor:
    """Return [N, C, H, W] as rows [N, H, W * C]."""
    return images.permute(0, 2, 3, 1).flatten(2)


def from_rows(rows: Tensor, channels: int) -> Tensor:
    """Return rows [N, H, W * C] as [N, C, H, W], contiguous."""
    return rows.unflatten(2, (-1, channels)).permute(0, 3, 1, 2).contiguous()
