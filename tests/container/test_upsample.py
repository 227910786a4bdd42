"""The decoder layer, against the definition of a transposed convolution."""

import pytest
import torch

from hmnpack.container.upsample import double


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (5, 3), (1, 7)])
@pytest.mark.parametrize("channels", [(1, 1), (3, 2), (8, 10)])
def test_double_equals_the_definition(size, channels):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, channels[0], *size, generator=generator, dtype=torch.float64)
    weight = torch.randn(*channels, 4, 4, generator=generator, dtype=torch.float64)
    bias = torch.randn(channels[1], generator=generator, dtype=torch.float64)
    height, width = size
    expected = bias[:, None, None].repeat(2, 1, 2 * height, 2 * width)
    for i in range(height):
        for j in range(width):
            # Input pixel (i, j) adds its kernel to the output pixels from (2 i - 1, 2 j - 1) on.
            for k in range(4):
                for m in range(4):
                    y, z = 2 * i - 1 + k, 2 * j - 1 + m
                    if 0 <= y < 2 * height and 0 <= z < 2 * width:
                        expected[:, :, y, z] += x[:, :, i, j] @ weight[:, :, k, m]
    torch.testing.assert_close(double(x, (weight, bias)), expected, atol=1e-12, rtol=1e-12)
