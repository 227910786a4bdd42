"""Figure 6: accuracy by how long is trained on a bundle; and by how long it was condensed."""

from collections.abc import Iterator

from ablations.bundles import in_budget
from ablations.judging import judged
from ablations.scale import part_of, part_of_gradient
from ablations.study import Ablation, Findings, Study, named
from hmnpack.bundle import Bundle
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.result import Row
from hmnpack.training.loop import schedule_of

TRAINING = (1 / 32, 1 / 8, 1 / 4, 1 / 2, 1.0)
CONDENSING = (1 / 4, 1 / 2, 1.0)
"""Parts of all steps at which there is a point."""

PAPERS_STEP = 900
"""The one step for which the paper's text gives accuracies."""


def measure(study: Study) -> Findings:
    """Return rows by steps of training, on the bundle and on real images, then of condensing."""
    rows: list[Row] = []
    for ipc in study.ipcs:
        rows += _by_training(study, in_budget(study, ipc), ipc)
        if not study.given:
            rows += _by_condensing(study, ipc)
    return Findings(tuple(rows))


def _by_training(study: Study, bundle: Bundle, ipc: int) -> Iterator[Row]:
    protocol = study.protocol(ipc)
    total = schedule_of(protocol.train, bundle.manifest.container.images, protocol.min_steps).total
    points = {max(1, round(total * part)) for part in study.scale.thinned(TRAINING)}
    for steps in sorted(points | ({PAPERS_STEP} if total > PAPERS_STEP else set())):
        changes = {
            "train.epochs": 0,  # so that few images are trained on for as many steps
            "min_steps": steps,
            "baselines": True,
            "rows": ("floats",),
        }
        for row in judged(study, bundle, study.protocol(ipc, changes)):
            name = f"{row.name}: {steps} steps of training"
            yield named(row, name, ipc, study.papers(ABLATION.paper, name, ipc))


def _by_condensing(study: Study, ipc: int) -> Iterator[Row]:
    whole = study.config({})
    for part in study.scale.thinned(CONDENSING):
        changes = _condensed_for(whole, part)
        steps = _steps(study.config(changes))
        (row,) = judged(study, in_budget(study, ipc, changes), study.protocol(ipc))
        yield named(row, f"bundle: {steps} steps of condensing", ipc)


def _condensed_for(whole: CompressConfig, part: float) -> dict[str, object]:
    steps = {"match.steps": part_of(whole.match.steps, part)}
    return steps | part_of_gradient(whole.gradient, part)


def _steps(config: CompressConfig) -> int:
    return config.match.steps + config.gradient.steps


ABLATION = Ablation(
    title="Figure 6: steps of training on a bundle, and of condensing it",
    varies="how many steps networks are trained for on a bundle that was condensed within the "
    "budget, and on as many floats of real images (the paper: of IDC's); and, which the paper does "
    "not show, how many steps the bundle was condensed for",
    measures="accuracy of ConvNets; each point is a training, or a condensing, of its own with a "
    "whole schedule (the paper's curve is one training on its way)",
    paper={(f"bundle: {PAPERS_STEP} steps of training", 1): 60.1},
    ipcs=(1, 10, 50),
    measure=measure,
)
