"""The decoder's layer: ConvTranspose2d(kernel 4, stride 2, padding 1), in binary32.

Shape legend: N images, Cin and Cout channels, H W sides.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

Layer = tuple[Tensor, Tensor | None]
"""Weight [Cin, Cout, 4, 4] and bias [Cout] of a layer, as in ``torch.nn.ConvTranspose2d``."""


def double(x: Tensor, layer: Layer) -> Tensor:
    """Upsample maps [N, Cin, H, W] to twice the side: [N, Cout, 2H, 2W].

    Channels are last in memory, which is the faster order for few channels.
    """
    weight, bias = layer
    with _full_precision(x.device):
        return F.conv_transpose2d(
            x.contiguous(memory_format=torch.channels_last), weight, bias, stride=2, padding=1
        )


@contextlib.contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Compute convolutions on a GPU in binary32; the default, TF32, has 10 bits after the point."""
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
