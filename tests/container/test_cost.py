"""Operations of a decoder, against torch's counter on plain layers."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hmnpack.container.cost import decode_flops, decoder_outputs


@pytest.mark.parametrize("extractor", [None, 4])
def test_decode_flops_equal_torchs_count(hmn, extractor):
    """With plain transposed convolutions; what a class shares is computed once."""
    spec = hmn(extractor_channels=extractor, decoder_channels=(5, 7))
    classes, side = spec.classes, spec.grid
    own = torch.empty(spec.images, spec.instance_channels, side, side, device="meta")
    shared = torch.empty(classes, spec.shared_channels, side, side, device="meta")

    def layer(before, after):
        return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, device="meta")

    with FlopCounterMode(display=False) as counter:
        if extractor:
            memory = torch.empty(1, spec.dataset_channels, side, side, device="meta")
            nn.Conv2d(spec.dataset_channels, classes * extractor, 1, device="meta")(memory)
        layer(spec.shared_channels, 5)(shared)
        layer(7, 3)(layer(5, 7)(layer(spec.instance_channels, 5)(own)))
    assert counter.get_total_flops() == decode_flops(spec, spec.images)


def test_decoder_outputs_are_the_sum_over_the_layers(hmn):
    assert decoder_outputs(hmn(decoder_channels=(5,))) == 5 * 8**2 + 3 * 16**2
