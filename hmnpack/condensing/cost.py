"""The cost of a run, stage by stage: operations and peak memory (pure arithmetic).

Not counted, a few per cent in total: augmentation, normalisation, pooling, partitioning, the
optimisers, probe networks and feature distances. The largest of these, the `characteristic`
distance, adds a tenth to feature matching with 64 real and 32 synthetic images per class.

Memory is modelled: the images, the networks with gradients and momentum, and their activations
(:mod:`hmnpack.matching.footprint`).
"""

from collections.abc import Callable
from dataclasses import replace
from math import ceil

from hmnpack.condensing.rival_cost import rival_cost
from hmnpack.condensing.stage_cost import Part, Run, StageCost, data_bytes, decoding
from hmnpack.container.cost import decoder_bytes
from hmnpack.matching.footprint import bytes_per_view, feature_load, gradient_load
from hmnpack.networks import flops
from hmnpack.networks.flops import FLOAT, Passes
from hmnpack.pruning import hardest_of, needs_held_out
from hmnpack.schema.config import (
    BY_MARGIN,
    GradientConfig,
    MatchConfig,
    NetworkConfig,
    TrainConfig,
)
from hmnpack.schema.idc import IdcConfig
from hmnpack.schema.stages import StageName, stages_of
from hmnpack.training.loop import TEST_BATCH, images_at_a_time, schedule_of


def costs_of(run: Run) -> tuple[StageCost, ...]:
    """Return the cost of each stage of a run, in order.

    Pruning is omitted if it trains no networks, or if the number of images to keep is unknown.

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
    # Initial and final weights of all; those in training also hold weights, gradients, momentum.
    weights = (2 * pool.size + 3 * at_once) * profile.weight_bytes
    part = Part("training", operations, pool.train.precision)
    return StageCost("pool", (part,), data_bytes(run) + weights + maps)


def _warm_up(run: Run) -> StageCost:
    warmup, batch = run.config.warmup, min(run.config.warmup.batch, run.spec.images)
    part = decoding(run, warmup.steps, batch, pieces=1)
    return StageCost("warm-up", (part,), data_bytes(run) + decoder_bytes(run.spec, batch))


def _feature_matching(run: Run) -> StageCost:
    match, step = run.config.match, run.feature_step
    profile, classes, each = step.profile, step.classes, step.synthetic
    view = bytes_per_view(match, step)
    views = match.views_of(match.parts_of(run.spec.each))
    cached, computed = _views(match, views, view, run.view_bytes)
    real = computed * step.real * profile.flops(flops.FEATURES)
    per_image = profile.flops(flops.FEATURES_TO_IMAGES)
    parts = (
        Part(
            "features", classes * (real + match.steps * each * per_image), match.precision, classes
        ),
        decoding(run, match.steps, classes * each, pieces=classes),
    )
    maps = feature_load(step).bytes
    weights = 2 * run.config.pool.size * profile.weight_bytes
    memory = data_bytes(run) + decoder_bytes(run.spec, classes * each) + weights
    memory += min(max(1, cached) * view, max(view, run.held_views or cached * view))
    return StageCost("matching", parts, memory + (run.feature_classes or classes) * maps)


def _views(match: MatchConfig, views: int, size: int, bound: int | None) -> tuple[int, int]:
    """Return the number of cached views, and of computations of a view's real features.

    Args:
        match: Settings; only the number of steps matters.
        views: Number of distinct views; 0: a new one at each step.
        size: Bytes of a view.
        bound: Size limit of the cache, in bytes; None: unlimited.
    """
    if not views:
        return 0, match.steps
    views = min(views, match.steps)
    cached = views if bound is None or not size else min(views, bound // size)
    return cached, cached + round(match.steps * (views - cached) / views)


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
        decoding(run, gradient.steps, synthetic, pieces=classes),
    )
    memory = data_bytes(run) + decoder_bytes(run.spec, synthetic) + _gradient_bytes(run)
    return StageCost("gradient", parts, memory)


def as_gradient_matching(run: Run) -> Run:
    """Return a run with the settings of the method ``idc``, if it has it, as gradient matching's.

    It is our gradient matching under another optimiser.
    """
    rival = run.config.rival
    if not isinstance(rival, IdcConfig):
        return run
    return replace(run, config=run.config.model_copy(update={"gradient": rival.gradient}))


def _rival(run: Run) -> StageCost:
    if isinstance(run.config.rival, IdcConfig):
        return replace(_gradient_matching(as_gradient_matching(run)), name="rival")
    return rival_cost(run)


def _second_derivatives(network: NetworkConfig) -> Passes:
    """Return the passes over synthetic images; a ConvNet has hand-written derivatives."""
    if network.has_own_derivatives:
        return flops.SECOND_DERIVATIVES
    return flops.SECOND_DERIVATIVES_BY_AUTOGRAD


def _images_of_training(config: GradientConfig, images: int) -> int:
    """Return the images that a network is trained on, before and (full batches) between steps."""
    batch = min(config.train.batch, images)
    after_a_step = ceil(config.train_images / batch) * batch
    return config.train.epochs * images + (config.inner_steps - 1) * after_a_step


def _pruning(run: Run) -> StageCost | None:
    """Return the cost of choosing the images to keep, or None if no network is trained for it."""
    prune, image, keep = run.config.prune, run.spec.image, run.keep
    if keep is None or prune.strategy not in BY_MARGIN:
        return None
    margins = _margins(run)
    decoded, data, parts = run.spec.images, data_bytes(run), [margins]
    networks = [_trained_bytes(run, prune.margins, margins.pieces)]
    if needs_held_out(prune):
        training, test = _choosing_beta(run, keep)
        parts += [training, test]
        decoded, data = decoded + run.spec.classes * keep, data + run.held_out * image.elements
        batch = min(images_at_a_time(TEST_BATCH, image.height, image.width), run.held_out)
        tested = batch * run.profile(prune.network).testing_bytes
        networks += [_trained_bytes(run, prune.train, training.pieces), tested]
    return StageCost(
        "pruning", tuple(parts), data + FLOAT * decoded * image.elements + max(networks)
    )


def _trained_bytes(run: Run, train: TrainConfig, networks: int) -> int:
    """Return the bytes of pruning's networks in training, with the activations of a batch."""
    profile = run.profile(run.config.prune.network)
    one = 3 * profile.weight_bytes + train.batch * profile.training_bytes
    return min(networks, run.trained_at_once or networks) * one


def _margins(run: Run) -> Part:
    """Return the cost of the trainings on all images, which measure the margins."""
    prune = run.config.prune
    per_image = run.profile(prune.network).flops(flops.TRAINING)
    shown = prune.seeds * prune.margin_epochs * run.spec.images
    return Part("training", shown * per_image, prune.margins.precision, prune.seeds)


def _choosing_beta(run: Run, keep: int) -> tuple[Part, Part]:
    """Return the cost of the trainings that compare betas, and of their evaluation.

    Every beta leaves ``keep`` images per class. Betas that leave the same images share a training.
    """
    prune, profile = run.config.prune, run.profile(run.config.prune.network)
    remaining = run.spec.classes * keep
    hardest = {hardest_of(beta, run.spec.each - keep) for beta in prune.betas}
    trainings = len(hardest) * prune.networks
    shown = schedule_of(prune.train, remaining, prune.min_steps).epochs * remaining
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
    "rival": _rival,
    "pruning": _pruning,
}


def _gradient_bytes(run: Run) -> int:
    """Return the bytes of the network and of one chunk of classes.

    The network holds gradients and momentum. The chunk holds the activations of its synthetic
    images, or of its real ones if these are more, and three sets of weight gradients per class: of
    the real images, of the synthetic images, and the derivative of the distance between them.
    """
    step = run.gradient_step
    maps, weights = gradient_load(step).bytes, step.profile.weight_bytes
    return 3 * weights + (run.gradient_classes or step.classes) * (maps + 3 * weights)
