"""Figure 6: accuracy against steps of training on a bundle, and against steps of condensing."""

from collections.abc import Iterator

from ablations.bundles import in_budget
from ablations.judging import evaluate_rows
from ablations.scale import part_of, part_of_gradient
from ablations.study import Ablation, Findings, Study, named
from hmnpack.bundle import Bundle
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.result import Row
from hmnpack.training.loop import schedule_of

TRAINING = (1 / 32, 1 / 8, 1 / 4, 1 / 2, 1.0)
CONDENSING = (1 / 4, 1 / 2, 1.0)
"""Fractions of all steps at which a point is measured."""

PAPER_STEP = 900
"""The only step for which the paper's text gives an accuracy."""


def measure(study: Study) -> Findings:
    """Return rows by training steps, on the bundle and on real images, then by condensing steps."""
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
    for steps in sorted(points | ({PAPER_STEP} if total > PAPER_STEP else set())):
        changes = {
            "train.epochs": 0,  # so that `min_steps` alone decides
            "min_steps": steps,
            "baselines": True,
            "rows": ("floats",),
        }
        for row in evaluate_rows(study, bundle, study.protocol(ipc, changes)):
            name = f"{row.name}: {steps} steps of training"
            yield named(row, name, ipc, study.paper_value(ABLATION.paper, name, ipc))


def _by_condensing(study: Study, ipc: int) -> Iterator[Row]:
    whole = study.config({})
    for part in study.scale.thinned(CONDENSING):
        changes = _condensed_for(whole, part)
        steps = _steps(study.config(changes))
        (row,) = evaluate_rows(study, in_budget(study, ipc, changes), study.protocol(ipc))
        yield named(row, f"bundle: {steps} steps of condensing", ipc)


def _condensed_for(whole: CompressConfig, part: float) -> dict[str, object]:
    steps = {"match.steps": part_of(whole.match.steps, part)}
    return steps | part_of_gradient(whole.gradient, part)


def _steps(config: CompressConfig) -> int:
    return config.match.steps + config.gradient.steps


ABLATION = Ablation(
    title="Figure 6: steps of training on a bundle and of condensing it",
    varies="the training steps of networks, on a bundle condensed within the budget and on real "
    "images within the same float budget (the paper: on IDC's images); and the steps of "
    "condensing, which the paper does not show",
    measures="accuracy of ConvNets; each point is a separate training or condensing run with a "
    "complete schedule (the paper's curve follows a single training)",
    paper={(f"bundle: {PAPER_STEP} steps of training", 1): 60.1},
    ipcs=(1, 10, 50),
    measure=measure,
)
