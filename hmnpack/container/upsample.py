"""The decoder's layer: ConvTranspose2d(kernel 4, stride 2, padding 1) as one matrix product.

An image is a matrix of rows, [rows, columns * channels]. Two neighbouring input rows a, b produce
two output rows: the odd one below the centre of a and the even one above the centre of b. One layer
is thus the product of all row pairs with one banded matrix. Wide rows are split into tiles, which
overlap by one column on either side, as their outputs depend on it, and share one matrix. This
takes more multiplications than the definition, but is several times faster, because the layers are
too narrow to keep a processor busy otherwise. Autograd differentiates the product directly.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

TILE = 4
"""Minimum columns of a tile: below, the overlap and the narrow product cost more than they save."""

# Kernel rows that connect input rows (a, b) to output rows (odd, even): output row y depends on
# input row i through kernel row y + 1 - 2 i.
_KERNEL_ROWS = ((2, 3), (0, 1))


@dataclass(frozen=True)
class Layer:
    """One layer, prepared for images of one width.

    Attributes:
        matrix: [2 * (T + 2 h) * Cin, 2 * 2T * Cout]: maps a tile's input row pair to its output
            row pair.
        bias: [2 * 2T * Cout], or None.
        channels: Input channels Cin.
        columns: Columns T of a tile.
        overlap: Additional input columns h of a tile on either side.
    """

    matrix: Tensor
    bias: Tensor | None
    channels: int
    columns: int
    overlap: int


def layer_of(weight: Tensor, bias: Tensor | None, width: int, *, planar: bool = False) -> Layer:
    """Return a layer for images of one width.

    Args:
        weight: [Cin, Cout, 4, 4], as in ``torch.nn.ConvTranspose2d``.
        bias: [Cout], or None.
        width: Columns W of the input.
        planar: Prepare for :func:`double_to_images`: output rows are [Cout, 2W], not [2W, Cout].
    """
    columns = next((c for c in range(TILE, width) if width % c == 0), width)
    overlap = int(columns < width)
    taps = _taps(columns, overlap, weight.dtype, weight.device)
    order = "kix,cdyk->yicdx" if planar else "kix,cdyk->yicxd"
    size = (4, taps.shape[1] * weight.shape[0], 2 * columns * weight.shape[1])
    parts = torch.einsum(order, taps, weight).reshape(size)
    matrix = torch.cat([torch.cat([parts[k] for k in pair], 1) for pair in _KERNEL_ROWS], 0)
    if bias is not None:
        row = bias.repeat_interleave(2 * columns) if planar else bias.repeat(2 * columns)
        bias = row.repeat(2)
    return Layer(matrix, bias, weight.shape[0], columns, overlap)


@lru_cache(maxsize=64)
def _taps(columns: int, overlap: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return which kernel column connects a tile's input column to its output column.

    It is cached, since it is the same at every step and a synchronous copy to an accelerator.

    Returns:
        [4, T + 2 h, 2T], of 0 and 1.
    """
    with torch.inference_mode(mode=False):  # a later call may need a graph
        into = torch.arange(-overlap, columns + overlap)[:, None]
        out = torch.arange(2 * columns)[None, :]
        taps = torch.stack([(out + 1 - 2 * into) == tap for tap in range(4)])
        return taps.to(device=device, dtype=dtype)


def double(rows: Tensor, layer: Layer) -> Tensor:
    """Upsample images to twice the side, as rows.

    Args:
        rows: [N, H, W * Cin], channels last.
        layer: Layer from :func:`layer_of` for width W.

    Returns:
        [N, 2H, 2W * Cout], channels last; not contiguous.
    """
    tiles = _doubled(rows, layer)
    count, steps = tiles.shape[:2]
    length = tiles.shape[2] * tiles.shape[4]
    return tiles.transpose(2, 3).reshape(count, 2 * steps, length)[:, 1:-1]


def double_to_images(rows: Tensor, layer: Layer) -> Tensor:
    """Upsample images to twice the side, as planes; see :func:`double`.

    Returns:
        [N, Cout, 2H, 2W]; not contiguous.
    """
    tiles = _doubled(rows, layer).unflatten(4, (-1, 2 * layer.columns))
    count, steps, across, _, channels, columns = tiles.shape
    planes = tiles.permute(0, 4, 1, 3, 2, 5)
    images: Tensor = planes.reshape(count, channels, 2 * steps, across * columns)
    return images[:, :, 1:-1]


def to_rows(images: Tensor) -> Tensor:
    """Return [N, C, H, W] as rows [N, H, W * C], channels last."""
    return images.permute(0, 2, 3, 1).flatten(2)


def from_rows(rows: Tensor, channels: int) -> Tensor:
    """Return rows [N, H, W * C], channels last, as [N, C, H, W]."""
    planes: Tensor = rows.unflatten(2, (-1, channels)).permute(0, 3, 1, 2)
    return planes


def _doubled(rows: Tensor, layer: Layer) -> Tensor:
    """Return the matrix product: [N, H + 1 row pairs, tiles, 2 rows, 2T * Cout]."""
    count, height, length = rows.shape
    margin, step = layer.overlap * layer.channels, layer.columns * layer.channels
    padded = rows.new_zeros(count, height + 2, length + 2 * margin)
    padded[:, 1:-1, margin : margin + length] = rows
    pairs = padded.unfold(2, step + 2 * margin, step).unfold(1, 2, 1).transpose(3, 4)
    pairs = pairs.reshape(-1, layer.matrix.shape[0])
    out = pairs @ layer.matrix if layer.bias is None else layer.bias.addmm(pairs, layer.matrix)
    return out.view(count, height + 1, length // step, 2, layer.matrix.shape[1] // 2)
