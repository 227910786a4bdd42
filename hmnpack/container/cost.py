"""What decoding a container's images costs: operations and memory (pure arithmetic)."""

from itertools import pairwise

from hmnpack.networks.flops import FLOAT
from hmnpack.schema.container import ContainerSpec, HmnSpec


def decode_flops(spec: HmnSpec, images: int) -> int:
    """Return the operations of decoding so many images, with what classes share computed once.

    By the definition of a transposed convolution with kernel 4 and stride 2: each input pixel goes
    to 16 output pixels. The final resize is not counted.

    Args:
        spec: The container.
        images: Number of images.
    """
    cells, first = spec.grid**2, spec.layer_channels[1]
    shared = 2 * 16 * spec.shared_channels * first * cells
    if spec.extractor_channels is not None:
        shared += 2 * spec.extractor_channels * spec.dataset_channels * cells
    own = 2 * 16 * spec.instance_channels * first * cells
    for depth, (before, after) in enumerate(pairwise(spec.layer_channels[1:]), 1):
        own += 2 * 16 * before * after * cells * 4**depth
    return spec.classes * shared + images * own


def decoder_outputs(spec: HmnSpec) -> int:
    """Return the numbers in the outputs of a decoder's layers, for one image."""
    layers = enumerate(spec.layer_channels[1:], 1)
    return sum(channels * (spec.grid << depth) ** 2 for depth, channels in layers)


def decoder_bytes(spec: HmnSpec, images: int) -> int:
    """Return what the decoder keeps of its maps, and the images with their gradient."""
    return FLOAT * images * 2 * (decoder_outputs(spec) + spec.image.elements)


def prepared_bytes(spec: ContainerSpec, images: int) -> int:
    """Return what decoding and augmenting images keeps until the way back, with their gradient.

    Of a 64-pixel image augmenting kept some four times its size, as counted by its operations.
    """
    decoded = decoder_bytes(spec, images) if isinstance(spec, HmnSpec) else 0
    return decoded + FLOAT * images * 5 * spec.image.elements
