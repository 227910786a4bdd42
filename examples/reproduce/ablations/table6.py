"""Table 6: pruning strategies for a bundle condensed over budget."""

from statistics import mean

from ablations.bundles import in_budget, over_budget, pruned_to
from ablations.judging import evaluate_rows
from ablations.study import Ablation, Findings, Study, named
from hmnpack.bundle import Bundle
from hmnpack.evaluation.rows import half_interval
from hmnpack.schema.config import PruneStrategy
from hmnpack.schema.result import Figure, Row

STRATEGIES: tuple[PruneStrategy, ...] = ("double-end", "easy", "hard", "random")
IN_BUDGET = "in-budget"


def measure(study: Study) -> Findings:
    """Return a row for every budget and strategy, and the margin of double-end over random."""
    rows: list[Row] = []
    figures: dict[str, Figure] = {}
    for ipc in study.ipcs:
        big = over_budget(study, ipc)
        figures[f"instances_over_budget_ipc{ipc}"] = big.manifest.container.each
        of = {name: _row(study, pruned_to(study, big, ipc, name), name, ipc) for name in STRATEGIES}
        rows += of.values()
        if not study.given:
            rows.append(_row(study, in_budget(study, ipc), IN_BUDGET, ipc))
        figures |= _above_random(study, of["double-end"], of["random"], ipc)
    return Findings(tuple(rows), figures)


def _row(study: Study, bundle: Bundle, name: str, ipc: int) -> Row:
    (row,) = evaluate_rows(study, bundle, study.protocol(ipc))
    prunings = bundle.manifest.provenance.prunings
    beta = {"beta": prunings[-1].beta} if name == "double-end" else {}
    return named(row, name, ipc, study.paper_value(ABLATION.paper, name, ipc), **beta)


def _above_random(study: Study, row: Row, random: Row, ipc: int) -> dict[str, Figure]:
    """Return the mean per-seed difference in points, and half the width of its 95 % interval."""
    names = [f"accuracy_seed_{seed}" for seed in study.seeds]
    differences = [_number(row, name) - _number(random, name) for name in names]
    return {
        f"double_end_above_random_ipc{ipc}": mean(differences),
        f"double_end_above_random_ci95_ipc{ipc}": half_interval(differences),
    }


def _number(row: Row, name: str) -> float:
    return float(row.figures[name] or 0.0)


ABLATION = Ablation(
    title="Table 6: pruning strategies",
    varies="the strategy, applied to one over-budget bundle; `in-budget` was condensed within the "
    "budget",
    measures="accuracy of ConvNets trained on the remaining images, with the same seeds; "
    "`double-end` chooses its beta on held-out images (the paper: on the test split)",
    paper={
        ("double-end", 1): 65.7,
        ("double-end", 10): 73.7,
        ("double-end", 50): 76.9,
        ("easy", 1): 65.3,
        ("easy", 10): 73.1,
        ("easy", 50): 76.6,
        ("random", 1): 65.2,
        ("random", 10): 72.9,
        ("random", 50): 75.3,
        (IN_BUDGET, 1): 65.1,
        (IN_BUDGET, 10): 73.2,
        (IN_BUDGET, 50): 75.4,
    },
    ipcs=(1, 10, 50),
    measure=measure,
)
