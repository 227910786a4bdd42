"""The decoder layer as a matrix product, against torch's transposed convolution."""

import pytest
import torch
from torch.nn import functional as F

from hmnpack.container.upsample import double, double_to_images, layer_of, to_rows


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (4, 4), (5, 3), (1, 7), (3, 8), (2, 10), (2, 24)])
@pytest.mark.parametrize("channels", [(1, 1), (3, 2), (8, 10)])
def test_double_equals_a_transposed_convolution(size, channels):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, channels[0], *size, generator=generator, dtype=torch.float64)
    weight = torch.randn(*channels, 4, 4, generator=generator, dtype=torch.float64)
    bias = torch.randn(channels[1], generator=generator, dtype=torch.float64)
    ours = double_to_images(to_rows(x), layer_of(weight, bias, size[1], planar=True))
    theirs = F.conv_transpose2d(x, weight, bias, stride=2, padding=1)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-12)
    last = double(to_rows(x), layer_of(weight, bias, size[1]))
    torch.testing.assert_close(last, to_rows(theirs), atol=1e-12, rtol=1e-12)


def test_double_passes_the_gradient_check():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 2, 3, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, w, b: double(to_rows(x), layer_of(w, b, 2)), (x, weight, bias)
    )
