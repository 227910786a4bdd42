"""What a run costs, stage by stage: operations, and memory at the peak (pure arithmetic).

Left out, at a few per cent in all: augmentation, normalisation, pooling, parts, the optimisers,
quick networks that only watch, and the distances of features: that of `characteristic` comes to a
tenth of feature matching with 64 real and 32 synthetic images of each class.

Memory is a model: the images, networks with gradients and momentum, and what they take while they
work (:mod:`hmnpack.matching.footprint`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Literal

from hmnpack.container.cost import decode_flops, decoder_bytes
from hmnpack.matching.footprint import (
    StepShape,
    feature_step,
    gradient_step,
    kept_bytes,
    load_of_features,
    load_of_gradients,
)
from hmnpack.networks import flops
from hmnpack.networks.flops import FLOAT, Passes
from hmnpack.networks.profile import NetworkProfile, profile_network
from hmnpack.pruning import hardest_of, needs_held_out
from hmnpack.schema.config import (
    BY_MARGIN,
    CompressConfig,
    GradientConfig,
    MatchConfig,
    NetworkConfig,
    Precision,
    TrainConfig,
)
from hmnpack.schema.container import HmnSpec
from hmnpack.schema.stages import StageName, stages_of
from hmnpack.training.loop import TEST_BATCH, images_at_a_time, schedule_of

Work = Literal["training", "features", "gradients", "decoding"]


@dataclass(frozen=True)
class Run:
    """What decides the cost of a run.

    Attributes:
        config: Its settings.
        spec: The container that is condensed, with the images that pruning drops.
        images: Real images that condensing sees.
        feature_classes: Classes whose maps feature matching keeps at a time; None: all.
        view_bytes: Most that it keeps of views; None: no bound.
        gradient_classes: The same of gradient matching.
        keep: Images of each class that pruning keeps; None: nothing is pruned.
        held_out: Real images that were held out of train.
        trained_at_once: Networks of the pool, and of pruning, trained at a time; None: all.
    """

    config: CompressConfig
    spec: HmnSpec
    images: int
    feature_classes: int | None = None
    view_bytes: int | None = None
    gradient_classes: int | None = None
    keep: int | None = None
    held_out: int = 0
    trained_at_once: int | None = None

    def profile(self, network: NetworkConfig) -> NetworkProfile:
        """Return what an image of this run's data costs a network."""
        return profile_network(network, self.spec.classes, self.spec.image)

    @property
    def feature_step(self) -> StepShape:
        """What a step of feature matching takes through the pool's networks."""
        match, network = self.config.match, self.config.pool.network
        return feature_step(match, network, self.spec, match.parts_of(self.spec.each))

    @property
    def gradient_step(self) -> StepShape:
        """What a step of gradient matching takes through its network."""
        return gradient_step(self.config.gradient, self.spec)


@dataclass(frozen=True)
class Part:
    """Work of one kind at one precision.

    Attributes:
        work: Its kind.
        flops: Floating-point operations.
        precision: Of the arithmetic.
        pieces: Equal pieces that ranks share, each of which one rank does; 1: every rank does all.
    """

    work: Work
    flops: int
    precision: Precision
    pieces: int = 1


@dataclass(frozen=True)
class StageCost:
    """What one stage of a run costs.

    Attributes:
        name: Of the stage.
        parts: Its work.
        bytes: Memory at its peak.
    """

    name: StageName
    parts: tuple[Part, ...]
    bytes: int

    @property
    def flops(self) -> int:
        """Floating-point operations of all parts."""
        return sum(part.flops for part in self.parts)


def costs_of(run: Run) -> tuple[StageCost, ...]:
    """Return the cost of each stage that a run has, in their order.

    Left out is pruning where it trains no networks, or it is not known how many images it keeps.

    Raises:
        BadSettings: if a network is unknown, or the images are too small for it.
    """
    found = (_COSTS[stage.name](run) for stage in stages_of(run.config))
    return tuple(cost for cost in found if cost is not None)


def _pool(run: Run) -> StageCost:
    pool, profile = run.config.pool, run.profile(run.config.pool.network)
    epochs = schedule_of(pool.train, run.images, pool.min_steps).epochs
    operations = pool.size * epochs * run.images * profile.flops(flops.TRAINING)
    at_once = min(pool.size, run.trained_at_once or pool.size)
    maps = at_once * pool.train.batch * profile.training_bytes
    # All, untrained and trained; those under way once more, with gradients and momentum.
    weights = (2 * pool.size + 3 * at_once) * profile.weight_bytes
    part = Part("training", operations, pool.train.precision)
    return StageCost("pool", (part,), _data_bytes(run) + weights + maps)


def _warm_up(run: Run) -> StageCost:
    warmup, batch = run.config.warmup, min(run.config.warmup.batch, run.spec.images)
    part = _decoding(run, warmup.steps, batch, pieces=1)
    return StageCost("warm-up", (part,), _data_bytes(run) + decoder_bytes(run.spec, batch))


def _feature_matching(run: Run) -> StageCost:
    match, step = run.config.match, run.feature_step
    profile, classes, each = step.profile, step.classes, step.synthetic
    view = kept_bytes(match, step)
    views = match.views_of(match.parts_of(run.spec.each))
    kept, looks = _views(match, views, view, run.view_bytes)
    real = looks * step.real * profile.flops(flops.FEATURES)
    per_image = profile.flops(flops.FEATURES_TO_IMAGES)
    parts = (
        Part(
            "features", classes * (real + match.steps * each * per_image), match.precision, classes
        ),
        _decoding(run, match.steps, classes * each, pieces=classes),
    )
    maps = load_of_features(step).bytes
    weights = 2 * run.config.pool.size * profile.weight_bytes
    memory = _data_bytes(run) + decoder_bytes(run.spec, classes * each) + weights
    memory += max(1, kept) * view
    return StageCost("matching", parts, memory + (run.feature_classes or classes) * maps)


def _views(match: MatchConfig, views: int, size: int, bound: int | None) -> tuple[int, int]:
    """Return how many views are kept, and how often the real images of one are looked at.

    Args:
        match: Steps.
        views: How many there are; 0: one for each step.
        size: Bytes of a view.
        bound: Most bytes that are kept; None: no bound.
    """
    if not views:
        return 0, match.steps
    views = min(views, match.steps)
    kept = views if bound is None or not size else min(views, bound // size)
    return kept, kept + round(match.steps * (views - kept) / views)


def _gradient_matching(run: Run) -> StageCost:
    gradient, step = run.config.gradient, run.gradient_step
    profile, classes = step.profile, step.classes
    synthetic = classes * step.synthetic
    per_step = classes * step.real * profile.flops(flops.WEIGHT_GRADIENTS)
    per_step += synthetic * profile.flops(_second_derivatives(gradient.network))
    training = gradient.networks * _images_of_training(gradient, run.images)
    training *= profile.flops(flops.TRAINING)
    parts = (
        Part("gradients", gradient.steps * per_step, gradient.precision, classes),
        Part("training", training, gradient.train.precision),
        _decoding(run, gradient.steps, synthetic, pieces=classes),
    )
    memory = _data_bytes(run) + decoder_bytes(run.spec, synthetic) + _gradient_bytes(run)
    return StageCost("gradient", parts, memory)


def _second_derivatives(network: NetworkConfig) -> Passes:
    """Return the passes of synthetic images: a ConvNet's derivatives are written by hand."""
    if network.name == "convnet":
        return flops.SECOND_DERIVATIVES
    return flops.SECOND_DERIVATIVES_BY_AUTOGRAD


def _images_of_training(config: GradientConfig, images: int) -> int:
    """Return how many images one network is trained on: whole batches, between the steps."""
    batch = min(config.train.batch, images)
    after_a_step = ceil(config.train_images / batch) * batch
    return config.train.epochs * images + (config.inner_steps - 1) * after_a_step


def _pruning(run: Run) -> StageCost | None:
    """Return what it takes to choose the images that are kept, if networks are trained for it."""
    prune, image, keep = run.config.prune, run.spec.image, run.keep
    if keep is None or prune.strategy not in BY_MARGIN:
        return None
    margins = _margins(run)
    pictures, data, parts = run.spec.images, _data_bytes(run), [margins]
    networks = [_trained_bytes(run, prune.margins, margins.pieces)]
    if needs_held_out(prune):
        training, test = _choosing_beta(run, keep)
        parts += [training, test]
        pictures, data = pictures + run.spec.classes * keep, data + run.held_out * image.elements
        batch = min(images_at_a_time(TEST_BATCH, image.height, image.width), run.held_out)
        tested = batch * run.profile(prune.network).testing_bytes
        networks += [_trained_bytes(run, prune.train, training.pieces), tested]
    return StageCost(
        "pruning", tuple(parts), data + FLOAT * pictures * image.elements + max(networks)
    )


def _trained_bytes(run: Run, train: TrainConfig, networks: int) -> int:
    """Return what networks of pruning take with gradients and momentum, and the maps of a batch."""
    profile = run.profile(run.config.prune.network)
    one = 3 * profile.weight_bytes + train.batch * profile.training_bytes
    return min(networks, run.trained_at_once or networks) * one


def _margins(run: Run) -> Part:
    """Return the trainings on all images, which tell how hard each is."""
    prune = run.config.prune
    per_image = run.profile(prune.network).flops(flops.TRAINING)
    shown = prune.seeds * prune.margin_epochs * run.spec.images
    return Part("training", shown * per_image, prune.margins.precision, prune.seeds)


def _choosing_beta(run: Run, keep: int) -> tuple[Part, Part]:
    """Return the trainings on what betas leave (once where they leave the same), and their tests.

    Of each class ``keep`` images are left, by every beta.
    """
    prune, profile = run.config.prune, run.profile(run.config.prune.network)
    kept = run.spec.classes * keep
    hardest = {hardest_of(beta, run.spec.each - keep) for beta in prune.betas}
    trainings = len(hardest) * prune.networks
    shown = schedule_of(prune.train, kept, prune.min_steps).epochs * kept
    training, test = (
        trainings * images * profile.flops(passes)
        for images, passes in ((shown, flops.TRAINING), (run.held_out, flops.LOGITS))
    )
    precision = prune.train.precision
    return (
        Part("training", training, precision, trainings),
        Part("features", test, precision, trainings),
    )


_COSTS: dict[StageName, Callable[[Run], StageCost | None]] = {
    "pool": _pool,
    "warm-up": _warm_up,
    "matching": _feature_matching,
    "gradient": _gradient_matching,
    "pruning": _pruning,
}


def _decoding(run: Run, steps: int, images: int, *, pieces: int) -> Part:
    """Forward, and back to the memories and to the weights."""
    return Part("decoding", 3 * steps * decode_flops(run.spec, images), "float32", pieces)


def _data_bytes(run: Run) -> int:
    return run.images * run.spec.image.elements


def _gradient_bytes(run: Run) -> int:
    """Return what the network and one chunk of classes take.

    The network has gradients and momentum. The chunk has the maps of its synthetic images, or of
    its real ones where these are more, and three sets of weight gradients for each class: of real
    and of synthetic images, and the direction of their difference.
    """
    step = run.gradient_step
    maps, weights = load_of_gradients(step).bytes, step.profile.weight_bytes
    return 3 * weights + (run.gradient_classes or step.classes) * (maps + 3 * weights)
