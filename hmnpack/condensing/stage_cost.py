"""What determines the cost of a run, and the cost of one of its stages."""

from dataclasses import dataclass
from typing import Literal

from hmnpack.container.cost import decode_flops
from hmnpack.matching.footprint import StepShape, feature_step, gradient_step
from hmnpack.networks.profile import NetworkProfile, profile_network
from hmnpack.schema.config import CompressConfig, NetworkConfig, Precision
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.stages import StageName

Work = Literal["training", "features", "gradients", "decoding"]


@dataclass(frozen=True)
class Run:
    """Everything that determines the cost of a run.

    Attributes:
        config: The run's settings.
        spec: The condensed container, including the images that pruning will drop.
        images: Number of real images to condense.
        feature_classes: Classes per chunk in feature matching; None: all.
        view_bytes: Size limit of the view cache, in bytes; None: unlimited.
        held_views: Bytes of cached views that stay in memory; None: all of them.
        gradient_classes: Classes per chunk in gradient matching; None: all.
        keep: Images per class after pruning; None: nothing is pruned.
        held_out: Number of real images in the validation split.
        trained_at_once: Networks of the pool, or of pruning, trained as one batch; None: all.
        in_file: Whether the real images are read from a file when they are needed.
    """

    config: CompressConfig
    spec: ContainerSpec
    images: int
    feature_classes: int | None = None
    view_bytes: int | None = None
    held_views: int | None = None
    gradient_classes: int | None = None
    keep: int | None = None
    held_out: int = 0
    trained_at_once: int | None = None
    in_file: bool = False

    def profile(self, network: NetworkConfig) -> NetworkProfile:
        """Return the cost of one image of this run in a network."""
        return profile_network(network, self.spec.classes, self.spec.image)

    @property
    def feature_step(self) -> StepShape:
        """Sizes of a feature matching step through the pool's networks."""
        match, network = self.config.match, self.config.pool.network
        return feature_step(match, network, self.spec, match.parts_of(self.spec.each))

    @property
    def gradient_step(self) -> StepShape:
        """Sizes of a gradient matching step through its network."""
        return gradient_step(self.config.gradient, self.spec)


@dataclass(frozen=True)
class Part:
    """Work of one kind at one precision.

    Attributes:
        work: Kind of work.
        flops: Floating-point operations.
        precision: Precision of the arithmetic.
        pieces: Equal pieces that are distributed over the ranks; 1: every rank does all the work.
    """

    work: Work
    flops: int
    precision: Precision
    pieces: int = 1


@dataclass(frozen=True)
class StageCost:
    """The cost of one stage of a run.

    Attributes:
        name: Name of the stage.
        parts: Work of the stage, by kind.
        bytes: Peak memory.
    """

    name: StageName
    parts: tuple[Part, ...]
    bytes: int

    @property
    def flops(self) -> int:
        """Total floating-point operations."""
        return sum(part.flops for part in self.parts)


def decoding(run: Run, steps: int, images: int, *, pieces: int) -> Part:
    """Return the cost of decoding: forward, backward to the memories, backward to the weights."""
    return Part("decoding", 3 * steps * decode_flops(run.spec, images), "float32", pieces)


def data_bytes(run: Run) -> int:
    """Return the bytes of the real images."""
    return 0 if run.in_file else run.images * run.spec.image.elements
