"""Measure replay from `.hmn` files in Avalanche: accuracy on all classes after the last experience.

    python examples/reproduce/avalanche_replay.py --bundle examples/bundles/digits.hmn --data digits

The classes of the file arrive in pairs. A network learns them in Avalanche without replay, with
replay of random real images within the file's float budget, and with `HmnBuffer`: the file, divided
into pairs of classes by `hmnpack.split`. The file was condensed with all classes at hand, so this
measures the memory, not condensing in stages (`figure4.py` does). Needs the extra `avalanche`.
Writes a result JSON.
"""

import argparse
from collections.abc import Sequence
from importlib.metadata import version

import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.scenarios import CLScenario
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.training.plugins import ReplayPlugin
from avalanche.training.supervised import Naive
from record import RESULTS, write_result
from torch import Tensor, nn
from torch.utils.data import Dataset

import hmnpack
from hmnpack.augment import normalise
from hmnpack.evaluation.rows import headline_of, statistics_of
from hmnpack.integrations.avalanche import HmnBuffer
from hmnpack.runtime.seeds import seeded_rng, stream
from hmnpack.schema.manifest import Normalisation
from hmnpack.schema.result import DataFacts, Row
from hmnpack.sources import Source, Split
from hmnpack.training import accuracy

TITLES = {
    "hmn": "replay of condensed images",
    "real": "replay of random real images, same floats",
    "none": "no replay",
}


class Normalised(Dataset[tuple[Tensor, int]]):
    """Normalised images with int labels, as Avalanche expects them.

    Args:
        split: The images.
        rows: Which of them, int64 [n].
        normalisation: Mean and deviation of the channels.
    """

    def __init__(self, split: Split, rows: Tensor, normalisation: Normalisation) -> None:
        self.images = normalise(split.images[rows].float() / 255, normalisation)
        self.targets: list[int] = split.labels[rows].tolist()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], self.targets[index]


def main() -> None:
    """Train every row over the seeds and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bundle", required=True, help="a file of all classes")
    parser.add_argument("--data", required=True, help="the dataset that it was made from")
    parser.add_argument("--epochs", type=int, default=10, help="epochs of an experience")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    source = hmnpack.open_source(args.data)
    pairs = [source.classes[i : i + 2] for i in range(0, len(source.classes), 2)]
    parts = hmnpack.split(args.bundle, *pairs)
    rows = {name: [] for name in TITLES}
    for seed in args.seeds:
        for name, found in rows.items():
            with seeded_rng(stream(seed, "avalanche")):
                found.append(_learned(name, source, parts, args.epochs))
            print(f"seed {seed}, {TITLES[name]}: {found[-1]:.1f} %", flush=True)
    images = {"hmn": sum(part.manifest.container.images for part in parts), "none": 0}
    first, *others = [
        Row(
            name=TITLES[name],
            images=len(source.train) + images.get(name, real_images(parts)),
            **statistics_of(found),
        )
        for name, found in rows.items()
    ]
    write_result(
        RESULTS,
        device="cpu",
        typed_data=args.data,
        name=f"avalanche-{source.name}",
        data=DataFacts(name=source.name, fingerprint=source.train.fingerprint),
        **headline_of(first),
        baselines=tuple(others),
        figures={
            "title": "Class-incremental learning in Avalanche, with replay from files",
            "avalanche": version("avalanche-lib"),
            "experiences": len(pairs),
            "epochs": args.epochs,
            "condensed_images": images["hmn"],
            "real_images": real_images(parts),
            "bytes_of_files": sum(part.nbytes for part in parts),
            "seeds": " ".join(map(str, args.seeds)),
        },
    )


def real_images(parts: Sequence[hmnpack.Bundle]) -> int:
    """Return how many real images have the floats of the file's budget."""
    return sum(len(part.manifest.classes) for part in parts) * parts[0].manifest.budget.ipc


def _learned(name: str, source: Source, parts: Sequence[hmnpack.Bundle], epochs: int) -> float:
    """Return the accuracy on all classes after the last experience, in percent."""
    by = parts[0].manifest.normalisation
    network = nn.Sequential(
        nn.Flatten(),
        nn.Linear(source.image.elements, 128),
        nn.ReLU(),
        nn.Linear(128, len(source.classes)),
    )
    strategy = Naive(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9),
        train_mb_size=32,
        train_epochs=epochs,
        plugins=_plugins(name, source, parts, by),
        evaluator=None,
    )
    for experience in _benchmark(source, parts, by).train_stream:
        strategy.train(experience)
    test = source.test
    if test is None:
        raise SystemExit(f"{source.name} has no test split to test on")
    return accuracy(network, test.images, test.labels, normalisation=by)


def _plugins(
    name: str, source: Source, parts: Sequence[hmnpack.Bundle], by: Normalisation
) -> list[ReplayPlugin]:
    if name == "none":
        return []
    if name == "real":
        return [ReplayPlugin(mem_size=real_images(parts))]
    memory = HmnBuffer(
        parts, classes=source.classes, transform=lambda image: normalise(image[None], by)[0]
    )
    return [ReplayPlugin(mem_size=memory.max_size, storage_policy=memory)]


def _benchmark(source: Source, parts: Sequence[hmnpack.Bundle], by: Normalisation) -> CLScenario:
    found = []
    for part in parts:
        labels = torch.tensor([source.classes.index(name) for name in part.manifest.classes])
        rows = torch.isin(source.train.labels, labels).nonzero().flatten()
        found.append(as_classification_dataset(Normalised(source.train, rows, by)))
    return benchmark_from_datasets(train=found)


if __name__ == "__main__":
    main()
