"""Compute and memory cost of decoding a container's images (pure arithmetic)."""

from itertools import pairwise

from hmnpack.networks.flops import FLOAT
from hmnpack.schema.container import ContainerSpec, HallucinatorSpec, HmnSpec, LinearBasisSpec


def decode_flops(spec: ContainerSpec, images: int) -> int:
    """Return the operations of decoding images; what a class shares is computed once.

    By the definition of a transposed convolution with kernel 4 and stride 2, each input pixel
    contributes to 16 output pixels. Resizing is not counted.

    Args:
        spec: The container.
        images: Number of images.
    """
    if isinstance(spec, LinearBasisSpec):
        return images * 2 * spec.bases * spec.half_elements
    if isinstance(spec, HallucinatorSpec):
        kernels = 9 * (spec.basis_channels + spec.image.channels)
        return images * 2 * kernels * spec.style_elements
    if not isinstance(spec, HmnSpec):
        return 0
    cells, first = spec.grid**2, spec.layer_channels[1]
    shared = 2 * 16 * spec.shared_channels * first * cells
    if spec.extractor_channels is not None:
        shared += 2 * spec.extractor_channels * spec.dataset_channels * cells
    own = 2 * 16 * spec.instance_channels * first * cells
    for depth, (before, after) in enumerate(pairwise(spec.layer_channels[1:]), 1):
        own += 2 * 16 * before * after * cells * 4**depth
    return spec.classes * shared + images * own


def decoder_outputs(spec: HmnSpec) -> int:
    """Return the total elements of the decoder layers' outputs, for one image."""
    layers = enumerate(spec.layer_channels[1:], 1)
    return sum(channels * (spec.grid << depth) ** 2 for depth, channels in layers)


def decoder_bytes(spec: ContainerSpec, images: int) -> int:
    """Return the bytes of the decoder's maps and of the images, both with gradients."""
    maps = 0
    if isinstance(spec, HmnSpec):
        maps = decoder_outputs(spec)
    elif isinstance(spec, LinearBasisSpec):
        maps = spec.half_elements
    elif isinstance(spec, HallucinatorSpec):
        maps = 3 * spec.style_elements + spec.image.elements
    return FLOAT * images * 2 * (maps + spec.image.elements)


def prepared_bytes(spec: ContainerSpec, images: int) -> int:
    """Return the bytes that decoding and augmentation hold until the backward pass.

    Images and their gradient are included. Augmentation holds about four times the size of an
    image, counted over its operations at 64 pixels.
    """
    decoded = decoder_bytes(spec, images) if isinstance(spec, HmnSpec) else 0
    return decoded + FLOAT * images * 5 * spec.image.elements
