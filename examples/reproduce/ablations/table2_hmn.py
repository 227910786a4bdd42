"""Table 2: condensed against real images at each budget, for one dataset."""

from ablations.bundles import finished
from ablations.judging import evaluate_rows
from ablations.study import Ablation, Findings, Study, named
from hmnpack.bundle import Bundle
from hmnpack.evaluation import BUNDLE_ROW, WHOLE_ROW
from hmnpack.page.paper import paper_score


def measure(study: Study) -> Findings:
    """Return the bundle's row and the baselines of every budget."""
    rows = []
    for ipc in study.ipcs:
        bundle = finished(study, ipc)
        protocol = study.protocol(ipc, {"baselines": True, "rows": study.scale.rows})
        paper = _paper_values(study, bundle)
        rows += [
            named(row, row.name, ipc, paper.get(row.name))
            for row in evaluate_rows(study, bundle, protocol)
        ]
    return Findings(tuple(rows))


def _paper_values(study: Study, bundle: Bundle) -> dict[str, float]:
    """Return the paper's accuracies for the dataset, identified by its label, and the budget."""
    manifest = bundle.manifest
    facts = manifest.source.model_copy(update={"name": study.label})
    score = paper_score(manifest.model_copy(update={"source": facts}))
    return {BUNDLE_ROW: score.accuracy, WHOLE_ROW: score.whole} if score else {}


ABLATION = Ablation(
    title="Table 2: condensed and real images",
    varies="the budget, for one of the paper's datasets or your own",
    measures="accuracy of ConvNets trained on a bundle condensed over budget and double-end "
    "pruned; and on real images: random ones within the same float budget, JPEG files "
    "within the same bytes, as many as the bundle decodes to, and the full dataset",
    paper={},  # hmnpack.page.paper has the values for five datasets
    ipcs=(1, 10, 50),
    measure=measure,
)
