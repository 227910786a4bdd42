"""Table 2: condensed images beside real ones, at each budget, for one data set."""

from ablations.bundles import finished
from ablations.judging import judged
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
        numbers = _numbers(study, bundle)
        rows += [
            named(row, row.name, ipc, numbers.get(row.name))
            for row in judged(study, bundle, protocol)
        ]
    return Findings(tuple(rows))


def _numbers(study: Study, bundle: Bundle) -> dict[str, float]:
    """Return what the paper has for the data, by their name in tables, and the budget."""
    manifest = bundle.manifest
    facts = manifest.source.model_copy(update={"name": study.label})
    score = paper_score(manifest.model_copy(update={"source": facts}))
    return {BUNDLE_ROW: score.accuracy, WHOLE_ROW: score.whole} if score else {}


ABLATION = Ablation(
    title="Table 2: condensed images beside real ones",
    varies="the budget, for a data set of your own or one of the paper's",
    measures="accuracy of ConvNets trained on a bundle that was condensed over budget and pruned "
    "at both ends; and on real images: random ones of as many floats, JPEG files of as many bytes, "
    "as many as the bundle decodes to, and all of them",
    paper={},  # of five data sets: hmnpack.page.paper has them
    ipcs=(1, 10, 50),
    measure=measure,
)
