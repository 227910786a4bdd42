"""How much memory matching takes, and how many classes therefore go at a time.

A model: the maps that a pass keeps for the way back, in float32; what libraries take for themselves
comes on top.
"""

from dataclasses import dataclass

from hmnpack.networks.flops import FLOAT, convolutions_of, is_counted, maps_of
from hmnpack.schema.config import MatchConfig, NetworkConfig
from hmnpack.schema.container import ImageShape

GRIDS = {"characteristic": 4}
"""By objective, the largest side of a map that it takes as it is; of the others any."""

FREQUENCIES = 512
"""Random frequencies of `characteristic`, for each step and block."""

LARGEST_MAP = 2**31 - 1
"""Most numbers of a map: some of an accelerator's kernels count them in 32 bits."""

KEPT_BYTES = 4 * 2**30
"""Most that is kept of views where no bound is known; of more views, some are computed again."""

CPU_CHUNK = 64 * 32 * 32
"""Pixels at a time on a CPU: layers then stay in its cache, and memory is used again at once."""


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
    maps = maps_of(network, image)
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
    return Load(images * size, images * max(maps_of(network, image)))


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
    maps = maps_of(network, image)
    return FLOAT * (7 * sum(maps) // 2 + 2 * max(maps))


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
    layers = convolutions_of(network, image)
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


def classes_at_once(classes: int, load: Load, max_memory: int | None) -> int:
    """Return how many of some classes go in one chunk: at least one, and all that fit.

    Args:
        classes: Number of classes.
        load: What one class takes.
        max_memory: Bound, in bytes, or None.
    """
    fitting = LARGEST_MAP // load.numbers
    if max_memory is not None:
        fitting = min(fitting, max_memory // load.bytes)
    return min(classes, max(1, fitting))


def kept_of_views(max_memory: int | None) -> int:
    """Return the most bytes that are kept of views, where so many are free (None: unknown)."""
    return KEPT_BYTES if max_memory is None else max_memory // 2


def feature_classes(  # noqa: PLR0913
    match: MatchConfig,
    network: NetworkConfig,
    image: ImageShape,
    images: int,
    *,
    classes: int,
    on_cpu: bool,
    max_memory: int | None,
) -> int:
    """Return how many classes are done at a time, in the memory that kept views leave.

    Args:
        match: Settings.
        network: What is matched through.
        image: Shape of an image.
        images: Of each class.
        classes: All of them.
        on_cpu: Where little at a time is fastest.
        max_memory: Bytes, elsewhere; None: no bound.
    """
    if on_cpu:
        return min(classes, max(1, CPU_CHUNK // (images * image.height * image.width)))
    if not is_counted(network):
        return classes
    if max_memory is not None and match.views:
        max_memory -= kept_of_views(max_memory)
    return classes_at_once(classes, load_of_features(network, image, images), max_memory)


def gradient_classes(  # noqa: PLR0913
    network: NetworkConfig,
    image: ImageShape,
    *,
    synthetic: int,
    real: int,
    classes: int,
    held: int,
    on_cpu: bool,
    max_memory: int | None,
) -> int:
    """Return how many classes are done at a time.

    On a CPU one: its slices stay in the cache. Elsewhere as many as the memory allows, of a
    ConvNet; other networks go class by class anyway.

    Args:
        network: What is matched through.
        image: Shape of an image.
        synthetic: Images of each class.
        real: Images of each class.
        classes: All of them.
        held: Bytes that the images of all classes take meanwhile.
        on_cpu: Where one at a time is fastest.
        max_memory: Bytes, elsewhere; None: no bound.
    """
    if on_cpu or network.name != "convnet":
        return 1
    load = load_of_gradients(network, image, synthetic, real)
    left = None if max_memory is None else max(0, max_memory - held)
    return classes_at_once(classes, load, left)
