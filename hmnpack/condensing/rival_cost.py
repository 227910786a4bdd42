"""The cost of the methods to compare with: operations and peak memory (pure arithmetic).

Classes are matched one at a time.
"""

from collections.abc import Callable
from typing import Any

from hmnpack.condensing.rival_cost_trained import cafe_cost, idm_cost, mtt_cost
from hmnpack.condensing.stage_cost import Part, Run, StageCost, data_bytes, decoding
from hmnpack.container.cost import decoder_bytes
from hmnpack.matching.footprint import (
    StepShape,
    bytes_per_image,
    feature_load,
)
from hmnpack.networks import flops
from hmnpack.schema.dc import DcConfig
from hmnpack.schema.dm import DmConfig


def rival_cost(run: Run) -> StageCost:
    """Return the cost of the stage of a method to compare with.

    Args:
        run: A run with such a method, other than ``idc``, which is our gradient matching.
    """
    rival = run.config.rival
    assert rival is not None  # noqa: S101 - only such a run has this stage
    parts, maps = RIVAL_COSTS[rival.method](run, rival)
    drawn = run.spec.classes * min(rival.synthetic_batch, run.spec.smallest)
    parts = (*parts, decoding(run, rival.steps, drawn, pieces=1))
    weights = 3 * run.profile(rival.network).weight_bytes
    memory = data_bytes(run) + decoder_bytes(run.spec, drawn) + weights
    return StageCost("rival", parts, memory + maps)


def step_shape(run: Run, rival: DcConfig | DmConfig) -> StepShape:
    """Return the sizes of a step on the images."""
    return StepShape(
        network=rival.network,
        image=run.spec.image,
        classes=run.spec.classes,
        synthetic=min(rival.synthetic_batch, run.spec.smallest),
        real=min(rival.real_batch, max(1, run.images // run.spec.classes)),
    )


def _dc(run: Run, rival: DcConfig) -> tuple[tuple[Part, ...], int]:
    """Return the work of DC, and the bytes of a class's activations and of three gradients.

    Gradients of all weights are taken by double backward. Before each step but the first of a
    network, it is trained on all synthetic images.
    """
    step, profile = step_shape(run, rival), run.profile(rival.network)
    per_class = step.real * profile.flops(flops.TRAINING)
    per_class += step.synthetic * profile.flops(flops.SECOND_DERIVATIVES_BY_AUTOGRAD)
    trainings = rival.iterations * (rival.image_steps - 1) * rival.epochs
    shown = trainings * run.spec.images * profile.flops(flops.TRAINING)
    maps = max(step.synthetic * bytes_per_image(step), step.real * profile.training_bytes)
    parts = (
        Part("gradients", rival.steps * step.classes * per_class, "float32"),
        Part("training", shown, "float32"),
    )
    return parts, maps + 3 * profile.weight_bytes


def _dm(run: Run, rival: DmConfig) -> tuple[tuple[Part, ...], int]:
    """Return the work of DM, and the bytes of a class's activations."""
    step, profile = step_shape(run, rival), run.profile(rival.network)
    per_class = step.real * profile.flops(flops.FEATURES)
    per_class += step.synthetic * profile.flops(flops.FEATURES_TO_IMAGES)
    work = Part("features", rival.steps * step.classes * per_class, "float32")
    return (work,), feature_load(step).bytes


RIVAL_COSTS: dict[str, Callable[[Run, Any], tuple[tuple[Part, ...], int]]] = {
    "dc": _dc,
    "dm": _dm,
    "cafe": cafe_cost,
    "idm": idm_cost,
    "mtt": mtt_cost,
}
"""Name of a method -> its work without decoding, and the bytes that a class needs at a time."""
