"""Memory model of matching, and the chunk size in classes that follows from it.

The model counts the activations stored for the backward pass, in float32. Workspaces of libraries
are not included.
"""

from dataclasses import dataclass

from hmnpack.container.cost import prepared_bytes
from hmnpack.networks.flops import FLOAT
from hmnpack.networks.profile import NetworkProfile, profile_network
from hmnpack.schema.config import GradientConfig, MatchConfig, NetworkConfig
from hmnpack.schema.container import ContainerSpec, ImageShape

GRIDS = {"characteristic": 4}
"""Objective -> largest side of a feature map that it does not pool; other objectives never pool."""

FREQUENCIES = 512
"""Number of random frequencies of `characteristic`, per view and block."""

LARGEST_MAP = 2**31 - 1
"""Maximum number of elements of a feature map: some accelerator kernels index with 32 bits."""

VIEW_CACHE_BYTES = 4 * 2**30
"""Size limit of the view cache if free memory is unknown; views beyond it are recomputed."""

HELD_VIEWS_BYTES = 2**28
"""Cached views that stay in memory on a CPU, in bytes; further ones go to a temporary file."""

CPU_CHUNK = 64 * 32 * 32
"""Pixels per chunk on a CPU: activations then stay in the CPU's cache, and memory is reused."""


@dataclass(frozen=True)
class StepShape:
    """Sizes of one matching step.

    Attributes:
        network: Architecture of the matching network.
        image: Shape of an image.
        classes: Number of classes K.
        synthetic: Synthetic images per class.
        real: Real images per class.
        held: Bytes that the step holds besides the chunk of classes.
        caches_views: Whether half of the memory is reserved for the view cache.
    """

    network: NetworkConfig
    image: ImageShape
    classes: int
    synthetic: int
    real: int
    held: int = 0
    caches_views: bool = False

    @property
    def profile(self) -> NetworkProfile:
        """Cost of one image in the network."""
        return profile_network(self.network, self.classes, self.image)


def feature_step(
    match: MatchConfig, network: NetworkConfig, spec: ContainerSpec, parts: int
) -> StepShape:
    """Return the sizes of a feature matching step, which covers one part of each class.

    Args:
        match: Settings.
        network: Architecture of the matching networks.
        spec: The condensed container.
        parts: Parts per class.
    """
    return StepShape(
        network=network,
        image=spec.image,
        classes=spec.classes,
        synthetic=min(match.synthetic_batch, spec.smallest // parts),
        real=match.real_batch,
        caches_views=match.views > 0,
    )


def gradient_step(
    gradient: GradientConfig, spec: ContainerSpec, classes: int | None = None
) -> StepShape:
    """Return the sizes of a gradient matching step.

    Args:
        gradient: Settings.
        spec: The condensed container.
        classes: Number of classes on one rank; None: all.
    """
    classes = spec.classes if classes is None else classes
    synthetic = min(gradient.synthetic_batch, spec.smallest)
    return StepShape(
        network=gradient.network,
        image=spec.image,
        classes=classes,
        synthetic=synthetic,
        real=gradient.real_batch,
        held=prepared_bytes(spec, classes * synthetic),
    )


@dataclass(frozen=True)
class Memory:
    """Memory available for one chunk of classes.

    Attributes:
        on_cpu: Whether the device is a CPU, where small chunks are fastest.
        most: Limit in bytes on other devices; None: unlimited.
    """

    on_cpu: bool
    most: int | None = None


@dataclass(frozen=True)
class Load:
    """Memory requirements of matching one class.

    Attributes:
        bytes: Bytes of its activations.
        elements: Number of elements of the largest feature map.
    """

    bytes: int
    elements: int


def feature_load(step: StepShape, *, real: bool = False) -> Load:
    """Return the requirements of one class in feature matching, including the backward pass.

    A network stores its layers' outputs, the normalised outputs, and an eighth of both after
    pooling. The backward pass temporarily needs one and a half times the largest.

    Args:
        step: Sizes of the step.
        real: Whether to count the real images, otherwise the synthetic ones.
    """
    profile, images = step.profile, step.real if real else step.synthetic
    size = FLOAT * (9 * profile.kept // 8 + 3 * profile.largest // 2)
    return Load(images * size, images * profile.largest)


def gradient_load(step: StepShape) -> Load:
    """Return the requirements of one class in gradient matching, for the larger of its two sides.

    Args:
        step: Sizes of the step. A real image needs no more than a synthetic one.
    """
    images = max(step.synthetic, step.real)
    return Load(images * bytes_per_image(step), images * step.profile.largest)


def bytes_per_image(step: StepShape) -> int:
    """Return the bytes that a network needs per synthetic image in gradient matching.

    For every layer, a ConvNet stores three and a half maps of the size of its output in float32
    (training stores two): the normalised map, its derivative, the loss's gradient, and, at a
    quarter of the size after pooling, the block's output and its gradient. Two more of the largest
    size are temporary. Other networks are assumed to need the same multiple of their training
    memory.

    Example:
        >>> image = ImageShape(channels=3, height=32, width=32)
        >>> bytes_per_image(StepShape(NetworkConfig(), image, classes=10, synthetic=1, real=1))
        3457024
    """
    return FLOAT * (7 * step.profile.kept // 4 + 2 * step.profile.largest)


def bytes_per_view(match: MatchConfig, step: StepShape) -> int:
    """Return the bytes of a cached view: its real features.

    These are block outputs, possibly pooled to a grid. An objective that compares distributions
    needs those of every real image; otherwise the class means suffice.

    Args:
        match: Settings.
        step: Sizes of the step.
    """
    cells = GRIDS.get(match.objective)
    compared = sum(
        block.channels * (block.pixels if cells is None else min(block.pixels, cells**2))
        for block in step.profile.blocks
    )
    images = 1 if match.objective == "features" else step.real
    shared = frequency_bytes(compared) if match.objective == "characteristic" else 0
    return FLOAT * step.classes * images * compared + shared


def frequency_bytes(features: int) -> int:
    """Return the bytes of the frequencies of `characteristic` for a number of features."""
    return FLOAT * FREQUENCIES * features


def classes_at_once(classes: int, load: Load, max_memory: int | None) -> int:
    """Return the largest chunk size that fits, at least 1.

    Args:
        classes: Number of classes.
        load: Requirements of one class.
        max_memory: Limit in bytes; None: unlimited.
    """
    fitting = LARGEST_MAP // load.elements
    if max_memory is not None:
        fitting = min(fitting, max_memory // load.bytes)
    return min(classes, max(1, fitting))


def view_cache_bytes(max_memory: int | None) -> int:
    """Return the size limit of the view cache in bytes, given the free memory (None: unknown)."""
    return VIEW_CACHE_BYTES if max_memory is None else max_memory // 2


def feature_classes(step: StepShape, memory: Memory, *, real: bool = False) -> int:
    """Return the chunk size of feature matching, in the memory that the view cache leaves.

    Args:
        step: Sizes of the step.
        memory: Available memory.
        real: Whether the chunk is of real images, otherwise of synthetic ones.
    """
    if memory.on_cpu:
        pixels = (step.real if real else step.synthetic) * step.image.height * step.image.width
        return min(step.classes, max(1, CPU_CHUNK // pixels))
    most = memory.most
    if most is not None and step.caches_views:
        most -= view_cache_bytes(most)
    return classes_at_once(step.classes, feature_load(step, real=real), most)


def gradient_classes(step: StepShape, memory: Memory) -> int:
    """Return the chunk size of gradient matching.

    It is 1 on a CPU, where slices of a class stay in the cache, and for networks other than a
    ConvNet, which are processed class by class anyway. Otherwise memory decides.

    Args:
        step: Sizes of the step.
        memory: Available memory.
    """
    if memory.on_cpu or not step.network.has_own_derivatives:
        return 1
    left = None if memory.most is None else max(0, memory.most - step.held)
    return classes_at_once(step.classes, gradient_load(step), left)
