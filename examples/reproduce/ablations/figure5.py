"""Figure 5: memory per image against number of images, at the same budget."""

from ablations.bundles import in_budget
from ablations.judging import evaluate_rows
from ablations.study import Ablation, Findings, Study, named
from hmnpack.container.budget import plan
from hmnpack.errors import BudgetTooSmall
from hmnpack.schema.config import ContainerConfig
from hmnpack.schema.container import HmnSpec

CHANNELS = (1, 2, 4, 8, 12)
"""Instance channels to try, in addition to the planner's choice."""


def measure(study: Study) -> Findings:
    """Return a row for every budget and number of channels that fits it."""
    rows = []
    for ipc in study.ipcs:
        for channels in _channels(study, ipc):
            bundle = in_budget(study, ipc, {"container.instance_channels": channels})
            spec = bundle.manifest.container
            (row,) = evaluate_rows(study, bundle, study.protocol(ipc))
            name = f"{channels} channels" if channels > 1 else "1 channel"
            paper = study.paper_value(ABLATION.paper, name, ipc)
            rows.append(named(row, name, ipc, paper, images_per_class=spec.each))
    return Findings(tuple(rows))


def _channels(study: Study, ipc: int) -> list[int]:
    own = _planned(study, ipc, None).instance_channels
    fitting = tuple(channels for channels in CHANNELS if _fits(study, ipc, channels))
    return sorted({own, *study.scale.thinned(fitting)})


def _fits(study: Study, ipc: int, channels: int) -> bool:
    try:
        _planned(study, ipc, channels)
    except BudgetTooSmall:
        return False
    return True


def _planned(study: Study, ipc: int, channels: int | None) -> HmnSpec:
    config = ContainerConfig(instance_channels=channels)
    return plan(ipc, len(study.source.classes), study.source.image, config)


ABLATION = Ablation(
    title="Figure 5: memory per image and number of images",
    varies="the channels of each image's memory, and thereby how many images fit the budget",
    measures="accuracy of ConvNets trained on bundles condensed within the budget (the paper's "
    "text gives two points: 85 and 13 images per class, which correspond to 2 and 12 "
    "channels)",
    paper={("2 channels", 1): 65.1, ("12 channels", 1): 48.2},
    ipcs=(1, 10),
    measure=measure,
    takes_bundles=False,
)
