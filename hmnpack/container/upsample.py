"""The decoder's layer: ConvTranspose2d(kernel 4, stride 2, padding 1), in binary32.

Shape legend: N images, Cin and Cout channels, H W sides.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from hmnpack.runtime.torch_state import exact_convolutions

Layer = tuple[Tensor, Tensor | None]
"""Weight [Cin, Cout, 4, 4] and bias [Cout] of a layer, as in ``torch.nn.ConvTranspose2d``."""


def double(x: Tensor, layer: Layer) -> Tensor:
    """Upsample maps [N, Cin, H, W] to twice the side: [N, Cout, 2H, 2W].

    Channels are last in memory, which is the faster order for few channels.
    """
    weight, bias = layer
    with exact_convolutions(x.device):
        return F.conv_transpose2d(
            x.contiguous(memory_format=torch.channels_last), weight, bias, stride=2, padding=1
        )
