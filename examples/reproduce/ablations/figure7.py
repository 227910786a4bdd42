"""Figure 7: accuracy against the pruning rate of a bundle condensed over budget."""

from ablations.bundles import over_budget, pruned_to
from ablations.judging import evaluate_rows
from ablations.study import Ablation, Findings, Study, named
from hmnpack.bundle import Bundle
from hmnpack.container.budget import ipc_of
from hmnpack.schema.config import PruneStrategy
from hmnpack.schema.result import Row

RATES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
"""Fractions of each class's images to prune."""

STRATEGIES: tuple[PruneStrategy, ...] = ("double-end", "random")
UNPRUNED = "unpruned"


def measure(study: Study) -> Findings:
    """Return, for every budget, a row without pruning and one per rate and strategy."""
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
    """Return the pruned bundle, with at least one image per class and fewer than all."""
    spec = big.manifest.container
    keep = min(spec.each - 1, max(1, round((1 - rate) * spec.each)))
    budget = ipc_of(spec.model_copy(update={"instances": keep}))
    return pruned_to(study, big, budget, strategy, keep)


def _row(study: Study, bundle: Bundle, name: str, ipc: int) -> Row:
    (row,) = evaluate_rows(study, bundle, study.protocol(ipc))
    each = bundle.manifest.container.each
    paper = study.paper_value(ABLATION.paper, name, ipc)
    return named(row, name, ipc, paper, images_per_class=each)


ABLATION = Ablation(
    title="Figure 7: how many images are pruned",
    varies="the fraction of an over-budget bundle's images that is pruned, double-end or at random",
    measures="accuracy of ConvNets trained on the remaining images; beta is chosen on held-out "
    "images for each rate (the paper's text gives two points for two budgets, which are "
    "assumed to be double-end pruning)",
    paper={
        (UNPRUNED, 1): 66.2,
        ("double-end, 30 %", 1): 62.2,
        (UNPRUNED, 50): 76.7,
        ("double-end, 30 %", 50): 76.5,
    },
    ipcs=(1, 10, 50),
    measure=measure,
)
