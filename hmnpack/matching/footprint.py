"""How much memory matching takes, and how many classes therefore go at a time.

A model: the maps that a pass keeps for the way back, in float32; what libraries take for themselves
comes on top.
"""

from dataclasses import dataclass

from hmnpack.container.cost import prepared_bytes
from hmnpack.networks.flops import FLOAT
from hmnpack.networks.profile import NetworkProfile, profile_network
from hmnpack.schema.config import GradientConfig, MatchConfig, NetworkConfig
from hmnpack.schema.container import ContainerSpec, ImageShape

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
class StepShape:
    """What one step of matching takes through a network.

    Attributes:
        network: What is matched through.
        image: Shape of an image.
        classes: Number of classes K.
        synthetic: Synthetic images of each class.
        real: Real images of each class.
        held: Bytes that the step takes beside the classes that go at a time.
        keeps_views: Whether half of the memory is for the real side of views.
    """

    network: NetworkConfig
    image: ImageShape
    classes: int
    synthetic: int
    real: int
    held: int = 0
    keeps_views: bool = False

    @property
    def profile(self) -> NetworkProfile:
        """What an image costs the network."""
        return profile_network(self.network, self.classes, self.image)


def feature_step(
    match: MatchConfig, network: NetworkConfig, spec: ContainerSpec, parts: int
) -> StepShape:
    """Return the shape of a step of feature matching: one part of each class.

    Args:
        match: Settings.
        network: What is matched through.
        spec: The container that is condensed.
        parts: Parts of each class.
    """
    return StepShape(
        network=network,
        image=spec.image,
        classes=spec.classes,
        synthetic=min(match.synthetic_batch, spec.smallest // parts),
        real=match.real_batch,
        keeps_views=match.views > 0,
    )


def gradient_step(
    gradient: GradientConfig, spec: ContainerSpec, classes: int | None = None
) -> StepShape:
    """Return the shape of a step of gradient matching.

    Args:
        gradient: Settings.
        spec: The container that is condensed.
        classes: Number of classes that one rank does; None: all.
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
    """What there is for the classes that go at a time.

    Attributes:
        on_cpu: Whether it is a CPU's, where little at a time is fastest.
        most: Bytes, elsewhere; None: no bound.
    """

    on_cpu: bool
    most: int | None = None


@dataclass(frozen=True)
class Load:
    """What matching one class takes at once.

    Attributes:
        bytes: Memory of its maps.
        numbers: In the largest of them.
    """

    bytes: int
    numbers: int


def load_of_features(step: StepShape, *, real: bool = False) -> Load:
    """Return what the images of a class take in feature matching, with the way back.

    A network keeps its layers' outputs, these normalised, and an eighth of both after pooling; on
    the way back one and a half of the largest come and go.

    Args:
        step: A step.
        real: Whether it is the real images, else the synthetic ones.
    """
    profile, images = step.profile, step.real if real else step.synthetic
    size = FLOAT * (9 * profile.kept // 8 + 3 * profile.largest // 2)
    return Load(images * size, images * profile.largest)


def load_of_gradients(step: StepShape) -> Load:
    """Return what a class takes in gradient matching: its synthetic or its real images.

    Args:
        step: A step; no real image takes more than a synthetic one.
    """
    images = max(step.synthetic, step.real)
    return Load(images * bytes_per_image(step), images * step.profile.largest)


def bytes_per_image(step: StepShape) -> int:
    """Return the bytes that a network takes for one synthetic image while gradients are matched.

    For every layer of a ConvNet three and a half maps of the size of its output are kept in
    float32, of which training keeps two: the normalised map, its derivative, the loss's gradient,
    and, a quarter each after pooling, the block's output and its gradient. Two more of the largest
    come and go. Other networks are taken to keep as much, in proportion to training.

    Example:
        >>> image = ImageShape(channels=3, height=32, width=32)
        >>> bytes_per_image(StepShape(NetworkConfig(), image, classes=10, synthetic=1, real=1))
        3457024
    """
    return FLOAT * (7 * step.profile.kept // 4 + 2 * step.profile.largest)


def kept_bytes(match: MatchConfig, step: StepShape) -> int:
    """Return what is kept of a view: its real side.

    These are outputs of blocks, which may be averaged over a grid. They are kept of every image
    where distributions are compared, else only of the images' mean.

    Args:
        match: What is compared.
        step: A step.
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


def feature_classes(step: StepShape, memory: Memory, *, real: bool = False) -> int:
    """Return how many classes feature matching does at a time, in what kept views leave.

    Args:
        step: A step.
        memory: Where.
        real: Whether it is their real images, else the synthetic ones.
    """
    if memory.on_cpu:
        pixels = (step.real if real else step.synthetic) * step.image.height * step.image.width
        return min(step.classes, max(1, CPU_CHUNK // pixels))
    most = memory.most
    if most is not None and step.keeps_views:
        most -= kept_of_views(most)
    return classes_at_once(step.classes, load_of_features(step, real=real), most)


def gradient_classes(step: StepShape, memory: Memory) -> int:
    """Return how many classes gradient matching does at a time.

    On a CPU one: its slices stay in the cache. Elsewhere as many as the memory allows, of a
    ConvNet; other networks go class by class anyway.

    Args:
        step: A step.
        memory: Where.
    """
    if memory.on_cpu or step.network.name != "convnet":
        return 1
    left = None if memory.most is None else max(0, memory.most - step.held)
    return classes_at_once(step.classes, load_of_gradients(step), left)
