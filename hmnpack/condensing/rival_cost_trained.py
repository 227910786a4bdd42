"""The cost of CAFE, IDM and MTT: operations and memory (pure arithmetic)."""

from hmnpack.condensing.stage_cost import Part, Run
from hmnpack.matching.network_queue import TRAINED
from hmnpack.networks import flops
from hmnpack.schema.cafe import CafeConfig
from hmnpack.schema.idm import IdmConfig
from hmnpack.schema.mtt import MttConfig

Work = tuple[tuple[Part, ...], int]
"""The work of a method without decoding, and the bytes that it holds besides images and a network.
"""


def cafe_cost(run: Run, rival: CafeConfig) -> Work:
    """Return the work of CAFE.

    Synthetic images pass once to the class means, and once with gradients. Before each step but the
    first of a network, it is trained on all of them. The last features of all real images are held.
    """
    profile, synthetic, real = run.profile(rival.network), _synthetic(run, rival), _real(run, rival)
    per_class = (real + synthetic) * profile.flops(flops.FEATURES)
    per_class += synthetic * profile.flops(flops.FEATURES_TO_IMAGES)
    trainings = rival.iterations * (rival.image_steps - 1) * rival.epochs
    shown = trainings * run.spec.images * profile.flops(flops.TRAINING)
    parts = (
        Part("features", rival.steps * run.spec.classes * per_class, "float32"),
        Part("training", shown, "float32"),
    )
    maps = max(synthetic, min(rival.batch, run.spec.images)) * profile.training_bytes
    last = profile.blocks[-1]
    features = flops.FLOAT * run.spec.classes * real * last.channels * last.pixels
    return parts, features + max(maps, real * profile.testing_bytes)


def idm_cost(run: Run, rival: IdmConfig) -> Work:
    """Return the work of IDM: matching, and the training of two networks after each step."""
    profile, synthetic, real = run.profile(rival.network), _synthetic(run, rival), _real(run, rival)
    per_class = real * profile.flops(flops.FEATURES)
    per_class += synthetic * profile.flops(flops.FEATURES_TO_IMAGES)
    batch = min(rival.train_batch, run.images)
    shown = (rival.steps - 1) * TRAINED * rival.train_steps * batch
    parts = (
        Part("features", rival.steps * run.spec.classes * per_class, "float32"),
        Part("training", shown * profile.flops(flops.TRAINING), "float32"),
    )
    maps = max(max(synthetic, batch) * profile.training_bytes, real * profile.testing_bytes)
    return parts, maps + 2 * rival.queue * profile.weight_bytes


def mtt_cost(run: Run, rival: MttConfig) -> Work:
    """Return the work of MTT: that of the experts, and that of a student at each step.

    A student's steps are taken once, and once more for the gradient. Its weights before each step
    are held, but the graph of one step only. Experts that the cache has are counted, too.
    """
    profile = run.profile(rival.network)
    every = run.spec.classes * _synthetic(run, rival)
    batch = min(rival.student_batch or every, every)
    per_image = profile.flops(flops.TRAINING) + profile.flops(flops.UNROLLED_STEP)
    shown = rival.experts * rival.epochs * run.images
    parts = (
        Part("training", shown * profile.flops(flops.TRAINING), "float32"),
        Part("gradients", rival.steps * rival.student_steps * batch * per_image, "float32"),
    )
    held = (rival.student_steps + 6) * profile.weight_bytes
    second = 3 * batch * profile.training_bytes  # the maps, their gradients and those of these
    return parts, max(second + held, min(rival.expert_batch, run.images) * profile.training_bytes)


def _synthetic(run: Run, rival: CafeConfig | IdmConfig | MttConfig) -> int:
    """Return the synthetic images per class and step."""
    return min(rival.synthetic_batch, run.spec.smallest)


def _real(run: Run, rival: CafeConfig | IdmConfig) -> int:
    """Return the real images per class and step."""
    return min(rival.real_batch, max(1, run.images // run.spec.classes))
