"""Figure 7: accuracy by how many images are pruned of a bundle that was condensed over budget."""

from ablations.bundles import over_budget, pruned_to
from ablations.judging import judged
from ablations.study import Ablation, Findings, Study, named
from hmnpack.bundle import Bundle
from hmnpack.container.budget import ipc_of
from hmnpack.schema.config import PruneStrategy
from hmnpack.schema.result import Row

RATES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
"""Parts of the images of each class that are pruned."""

STRATEGIES: tuple[PruneStrategy, ...] = ("double-end", "random")
UNPRUNED = "unpruned"


def measure(study: Study) -> Findings:
    """Return a row of all images of every budget, and one for each rate and strategy."""
    rows = []
    for ipc in study.ipcs:
        big = over_budget(study, ipc)
        rows.append(_row(study, big, UNPRUNED, ipc))
        for rate in study.scale.thinned(RATES):
            for strategy in STRATEGIES:
                left = _left(study, big, rate, strategy)
                rows.append(_row(study, left, f"{strategy}, {100 * rate:.0f} %", ipc))
    return Findings(tuple(rows))


def _left(study: Study, big: Bundle, rate: float, strategy: PruneStrategy) -> Bundle:
    """Return what is left of the images, at least one of each class and fewer than all."""
    spec = big.manifest.container
    keep = min(spec.each - 1, max(1, round((1 - rate) * spec.each)))
    budget = ipc_of(spec.model_copy(update={"instances": keep}))
    return pruned_to(study, big, budget, strategy, keep)


def _row(study: Study, bundle: Bundle, name: str, ipc: int) -> Row:
    (row,) = judged(study, bundle, study.protocol(ipc))
    each = bundle.manifest.container.each
    paper = study.papers(ABLATION.paper, name, ipc)
    return named(row, name, ipc, paper, images_per_class=each)


ABLATION = Ablation(
    title="Figure 7: how many images are pruned",
    varies="the part of an over-budget bundle's images that is pruned, at both ends or at random",
    measures="accuracy of ConvNets trained on what is left; beta is chosen on held-out images for "
    "each part (the paper's text gives two points of two budgets, which are taken to be of "
    "double-end pruning)",
    paper={
        (UNPRUNED, 1): 66.2,
        ("double-end, 30 %", 1): 62.2,
        (UNPRUNED, 50): 76.7,
        ("double-end, 30 %", 50): 76.5,
    },
    ipcs=(1, 10, 50),
    measure=measure,
)
