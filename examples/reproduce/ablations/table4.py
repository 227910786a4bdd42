"""Table 4: cross-architecture generalisation."""

from dataclasses import replace

from ablations.bundles import finished
from ablations.judging import evaluate_rows
from ablations.study import Ablation, Findings, Study, named

NETWORKS = ("convnet", "vgg16", "resnet18", "densenet121")


def measure(study: Study) -> Findings:
    """Return a row for every budget and architecture."""
    scale = study.scale
    short = replace(study, scale=replace(scale, training=scale.training * scale.large))
    rows = []
    for ipc in study.ipcs:
        bundle = finished(study, ipc)
        for network in study.networks:
            (row,) = evaluate_rows(study, bundle, short.protocol(ipc, {"network.name": network}))
            paper = study.paper_value(ABLATION.paper, network, ipc)
            rows.append(named(row, network, ipc, paper))
    return Findings(tuple(rows))


ABLATION = Ablation(
    title="Table 4: other architectures",
    varies="the trained architecture, in its variant for 32 pixels (`--networks`), and the budget",
    measures="accuracy of networks trained on one bundle per budget, condensed with ConvNets",
    paper={
        ("convnet", 1): 65.7,
        ("convnet", 10): 73.7,
        ("convnet", 50): 76.9,
        ("vgg16", 1): 58.5,
        ("vgg16", 10): 64.3,
        ("vgg16", 50): 70.2,
        ("resnet18", 1): 56.8,
        ("resnet18", 10): 62.9,
        ("resnet18", 50): 69.1,
        ("densenet121", 1): 50.7,
        ("densenet121", 10): 56.9,
        ("densenet121", 50): 65.1,
    },
    ipcs=(1, 10, 50),
    measure=measure,
)
