"""What a run costs, stage by stage: operations, and memory at the peak (pure arithmetic).

Left out, at a few per cent in all: augmentation, normalisation, pooling, k-means, the optimisers,
and the distances of features: those of `mmd` and `characteristic` come to a tenth of feature
matching with 64 real and 32 synthetic images of each class, and so does the regression of `krr`,
beside the pass that it takes.

Memory is a model: the real images, networks with gradients and momentum, and the maps that a pass
keeps for the way back, in float32; what libraries take for themselves comes on top.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Literal

from hmnpack import flops
from hmnpack.flops import Layer, Passes
from hmnpack.recipes import needs_pool
from hmnpack.schema.config import (
    CompressConfig,
    GradientConfig,
    MatchConfig,
    NetworkConfig,
    Precision,
)
from hmnpack.schema.container import HmnSpec, ImageShape

Work = Literal["training", "features", "gradients", "decoding"]

_FLOAT = 4


@dataclass(frozen=True)
class Run:
    """What decides the cost of a run.

    Attributes:
        config: Its settings.
        spec: The container.
        images: Real images that condensing sees.
        feature_classes: Classes whose maps feature matching keeps at a time; None: all.
        gradient_classes: The same of gradient matching.
    """

    config: CompressConfig
    spec: HmnSpec
    images: int
    feature_classes: int | None = None
    gradient_classes: int | None = None

    def layers(self, network: NetworkConfig) -> tuple[Layer, ...]:
        """Return the layers of a network for this run's data."""
        return flops.layers_of(network, self.spec.classes, self.spec.image)


@dataclass(frozen=True)
class Part:
    """Work of one kind at one precision, in floating-point operations."""

    work: Work
    flops: int
    precision: Precision


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes:
        name: ``pool``, ``warm-up``, ``feature matching`` or ``gradient matching``.
        parts: Its work.
        bytes: Memory at its peak.
    """

    name: str
    parts: tuple[Part, ...]
    bytes: int

    @property
    def flops(self) -> int:
        """Floating-point operations of all parts."""
        return sum(part.flops for part in self.parts)


def stages_of(run: Run) -> tuple[Stage, ...]:
    """Return the stages that a run has, in their order.

    Raises:
        BadSettings: if a network is used whose operations are not known, see :func:`is_known`.
    """
    config = run.config
    stages = []
    if needs_pool(config):
        stages.append(_pool(run))
    if config.warmup.images != "none" and config.warmup.steps:
        stages.append(_warm_up(run))
    if config.match.steps:
        stages.append(_feature_matching(run))
    if config.gradient.networks:
        stages.append(_gradient_matching(run))
    return tuple(stages)


def is_known(config: CompressConfig) -> bool:
    """Return whether the operations of every network that a run uses are known."""
    return all(flops.is_counted(network) for network in _networks_of(config))


def matched_through(config: CompressConfig) -> NetworkConfig:
    """Return the architecture of gradient matching: where it starts from the pool, the pool's."""
    starts_from_pool = config.gradient.start == "pool"
    return config.pool.network if starts_from_pool else config.gradient.network


def synthetic_each(match: MatchConfig, spec: HmnSpec) -> int:
    """Return the synthetic images of each class in a step of feature matching."""
    return min(match.synthetic_batch, spec.instances // min(match.parts, spec.instances))


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
    return _FLOAT * (7 * sum(maps) // 2 + 2 * max(maps))


def _networks_of(config: CompressConfig) -> Iterator[NetworkConfig]:
    if needs_pool(config):
        yield config.pool.network
    if config.gradient.networks:
        yield matched_through(config)


def _pool(run: Run) -> Stage:
    pool, layers = run.config.pool, run.layers(run.config.pool.network)
    steps = ceil(run.images / pool.train.batch)
    epochs = max(pool.train.epochs, ceil(pool.min_steps / steps))
    operations = pool.size * epochs * run.images * flops.network_flops(layers, flops.TRAINING)
    maps = pool.train.batch * _first_order_bytes(pool.network, run.spec.image)
    weights = (2 * pool.size + 2) * _weight_bytes(layers)  # all, untrained and trained; one trains
    part = Part("training", operations, pool.train.precision)
    return Stage("pool", (part,), _data_bytes(run) + weights + maps)


def _warm_up(run: Run) -> Stage:
    warmup, batch = run.config.warmup, min(run.config.warmup.batch, run.spec.images)
    parts = [_decoding(run, warmup.steps, batch)]
    if warmup.images == "kmeans":
        per_image = flops.network_flops(run.layers(run.config.pool.network), flops.FEATURES)
        parts.append(Part("features", run.images * per_image, "float32"))
    return Stage("warm-up", tuple(parts), _data_bytes(run) + _decoder_bytes(run, batch))


def _feature_matching(run: Run) -> Stage:
    match, network = run.config.match, run.config.pool.network
    layers, classes = run.layers(network), run.spec.classes
    each = synthetic_each(match, run.spec)
    views = min(match.views or match.steps, match.steps)
    real = views * match.real_batch * flops.network_flops(layers, flops.FEATURES)
    per_image = flops.network_flops(layers, flops.FEATURES_TO_IMAGES)
    if match.krr:  # the last features of all synthetic images are had before any way back
        per_image += flops.network_flops(layers, flops.FEATURES)
    trained = match.classification > 0 and match.classifier == "trained"
    if trained:
        per_image += flops.network_flops(layers, flops.LOSS_TO_IMAGES)
    parts = (
        Part("features", classes * (real + match.steps * each * per_image), match.precision),
        _decoding(run, match.steps, classes * each),
    )
    networks = 2 if trained else 1
    maps = networks * each * _first_order_bytes(network, run.spec.image)
    weights = 2 * run.config.pool.size * _weight_bytes(layers)
    memory = _data_bytes(run) + _decoder_bytes(run, classes * each) + weights
    memory += classes * max(1, match.views) * _kept_bytes(match, network, run.spec.image)
    return Stage("feature matching", parts, memory + (run.feature_classes or classes) * maps)


def _gradient_matching(run: Run) -> Stage:
    gradient, layers = run.config.gradient, run.layers(matched_through(run.config))
    each = min(gradient.synthetic_batch, run.spec.instances)
    synthetic = run.spec.classes * each

    def work(images: int, passes: Passes) -> int:
        return images * flops.network_flops(layers, passes)

    per_step = work(run.spec.classes * gradient.real_batch, flops.WEIGHT_GRADIENTS)
    per_step += work(synthetic, _second_derivatives(run.config))
    trained = gradient.networks * _images_of_training(gradient, run.images)
    parts = [
        Part("gradients", gradient.steps * per_step, gradient.precision),
        Part("training", work(trained, flops.TRAINING), gradient.train.precision),
        _decoding(run, gradient.steps, synthetic),
    ]
    if gradient.real == "kmeans":
        chosen = gradient.networks * run.images
        parts.append(Part("features", work(chosen, flops.FEATURES), "float32"))
    memory = _data_bytes(run) + _decoder_bytes(run, synthetic) + _gradient_bytes(run, layers, each)
    return Stage("gradient matching", tuple(parts), memory)


def _second_derivatives(config: CompressConfig) -> Passes:
    """Return the passes of synthetic images: a ConvNet's derivatives are written by hand."""
    if matched_through(config).name == "convnet":
        return flops.SECOND_DERIVATIVES
    return flops.SECOND_DERIVATIVES_BY_AUTOGRAD


def _images_of_training(config: GradientConfig, images: int) -> int:
    """Return how many images one network is trained on: whole batches, between the steps."""
    batch = min(config.train.batch, images)
    after_a_step = ceil(config.train_images / batch) * batch
    return config.train.epochs * images + (config.inner_steps - 1) * after_a_step


def _decoding(run: Run, steps: int, images: int) -> Part:
    """Forward, and back to the memories and to the weights."""
    return Part("decoding", 3 * steps * flops.decode_flops(run.spec, images), "float32")


def _data_bytes(run: Run) -> int:
    return run.images * run.spec.image.elements


def _weight_bytes(layers: tuple[Layer, ...]) -> int:
    return _FLOAT * sum(layer.weights for layer in layers)


def _maps(network: NetworkConfig, image: ImageShape) -> list[int]:
    """Return the numbers in the output of each convolution, for one image."""
    layers = flops.layers_of(network, 1, image)
    return [layer.outputs for layer in layers if layer.kind != "classifier"]


def _first_order_bytes(network: NetworkConfig, image: ImageShape) -> int:
    """Return what one way back keeps of an image: each convolution's output, normalised or not."""
    return _FLOAT * 2 * sum(_maps(network, image))


def _kept_bytes(match: MatchConfig, network: NetworkConfig, image: ImageShape) -> int:
    """Return what is kept of a class's real images for a view, if that is not little.

    Outputs of blocks are a quarter of the convolutions', after pooling. They are kept of every
    image where distributions are compared, and the last ones where a regression is made; else only
    of the images' mean, which is little unless it is kept for many views.
    """
    outputs = [_FLOAT * numbers // 4 for numbers in _maps(network, image)]
    compared = 0 if match.blocks == "last" or match.cells else sum(outputs)
    last = match.real_batch * outputs[-1] if match.krr else 0
    if match.objective == "mmd":
        return match.real_batch * compared + last
    return (compared if match.views else 0) + last


def _decoder_bytes(run: Run, images: int) -> int:
    """Return what the decoder keeps of its maps, and the images with their gradient."""
    return _FLOAT * images * 2 * (flops.decoder_outputs(run.spec) + run.spec.image.elements)


def _gradient_bytes(run: Run, layers: tuple[Layer, ...], each: int) -> int:
    """Return what the network and one chunk of classes take.

    The network has gradients and momentum. The chunk has the maps of its synthetic images, or of
    its real ones where these take more, and three sets of weight gradients for each class: of real
    and of synthetic images, and the direction of their difference.
    """
    gradient, network = run.config.gradient, matched_through(run.config)
    maps = max(
        each * bytes_per_image(network, run.spec.image),
        gradient.real_batch * _first_order_bytes(network, run.spec.image),
    )
    weights = _weight_bytes(layers)
    return 3 * weights + (run.gradient_classes or run.spec.classes) * (maps + 3 * weights)
