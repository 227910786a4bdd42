"""Bytes that networks and decoders take while they work, beside the images (pure arithmetic).

A model: the maps that a pass keeps for the way back, in float32; what libraries take for themselves
comes on top.
"""

from dataclasses import dataclass

from hmnpack import flops
from hmnpack.flops import Layer
from hmnpack.schema.config import MatchConfig, NetworkConfig
from hmnpack.schema.container import ContainerSpec, HmnSpec, ImageShape

FLOAT = 4

GRIDS = {"characteristic": 4}
"""By objective, the largest side of a map that it takes as it is; of the others any."""

FREQUENCIES = 512
"""Random frequencies of `characteristic`, for each step and block."""


@dataclass(frozen=True)
class Load:
    """What matching one class takes at once.

    Attributes:
        bytes: Memory of its maps.
        numbers: In the largest of them.
    """

    bytes: int
    numbers: int


def load_of_features(network: NetworkConfig, image: ImageShape, images: int) -> Load:
    """Return what so many images of a class take in feature matching, with the way back.

    A network keeps its convolutions' outputs, these normalised and passed on, and a quarter of
    them after pooling; on the way back one and a half of the largest come and go.

    Args:
        network: What is matched through.
        image: Shape of an image.
        images: Real or synthetic ones.
    """
    maps = _maps(network, image)
    size = FLOAT * (9 * sum(maps) // 4 + 3 * max(maps) // 2)
    return Load(images * size, images * max(maps))


def load_of_gradients(network: NetworkConfig, image: ImageShape, synthetic: int, real: int) -> Load:
    """Return what a class takes in gradient matching: its synthetic or its real images.

    Args:
        network: What is matched through.
        image: Shape of an image.
        synthetic: Images of the class.
        real: Images of the class; none takes more than a synthetic one.
    """
    images = max(synthetic, real)
    size = bytes_per_image(network, image)
    return Load(images * size, images * max(_maps(network, image)))


def bytes_per_image(network: NetworkConfig, image: ImageShape) -> int:
    """Return the bytes that a network takes for one synthetic image while gradients are matched.

    Of every convolution three and a half maps of the size of its output are kept in float32: the
    normalised map, its derivative, the loss's gradient, and, a quarter each after pooling, the
    block's output and its gradient; two more of the largest come and go.

    Args:
        network: A network whose layers are known.
        image: Shape of the image.

    Example:
        >>> bytes_per_image(NetworkConfig(), ImageShape(channels=3, height=32, width=32))
        3457024
    """
    maps = _maps(network, image)
    return FLOAT * (7 * sum(maps) // 2 + 2 * max(maps))


def first_order_bytes(network: NetworkConfig, image: ImageShape) -> int:
    """Return what one way back keeps of an image: each convolution's output, normalised or not."""
    return FLOAT * 2 * sum(_maps(network, image))


def tested_bytes(network: NetworkConfig, image: ImageShape) -> int:
    """Return what an image takes where no way back follows: two of the largest map."""
    return FLOAT * 2 * max(_maps(network, image))


def kept_bytes(match: MatchConfig, network: NetworkConfig, image: ImageShape, classes: int) -> int:
    """Return what is kept of a view: its real side.

    Outputs of blocks are a quarter of the convolutions', after pooling, and may be averaged over a
    grid. They are kept of every image where distributions are compared, else only of the images'
    mean.

    Args:
        match: What is compared.
        network: What is matched through.
        image: Shape of an image.
        classes: Number of classes.
    """
    layers = _convolutions(network, image)
    outputs = [layer.outputs // 4 for layer in layers]
    cells = GRIDS.get(match.objective, 0)
    grids = [cells**2 * layer.channels for layer in layers]
    compared = sum(map(min, outputs, grids) if cells else outputs)
    images = 1 if match.objective == "features" else match.real_batch
    shared = frequency_bytes(compared) if match.objective == "characteristic" else 0
    return FLOAT * classes * images * compared + shared


def frequency_bytes(features: int) -> int:
    """Return what the frequencies of `characteristic` take, for so many features."""
    return FLOAT * FREQUENCIES * features


def decoder_bytes(spec: HmnSpec, images: int) -> int:
    """Return what the decoder keeps of its maps, and the images with their gradient."""
    return FLOAT * images * 2 * (flops.decoder_outputs(spec) + spec.image.elements)


def prepared_bytes(spec: ContainerSpec, images: int) -> int:
    """Return what decoding and augmenting images keeps until the way back, with their gradient.

    Of a 64-pixel image augmenting kept some four times its size, as counted by its operations.
    """
    decoded = decoder_bytes(spec, images) if isinstance(spec, HmnSpec) else 0
    return decoded + FLOAT * images * 5 * spec.image.elements


def weight_bytes(layers: tuple[Layer, ...]) -> int:
    """Return the bytes of the weights of layers."""
    return FLOAT * sum(layer.weights for layer in layers)


def _maps(network: NetworkConfig, image: ImageShape) -> list[int]:
    """Return the numbers in the output of each convolution, for one image."""
    return [layer.outputs for layer in _convolutions(network, image)]


def _convolutions(network: NetworkConfig, image: ImageShape) -> list[Layer]:
    return [layer for layer in flops.layers_of(network, 1, image) if layer.kind != "classifier"]
