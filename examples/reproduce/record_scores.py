"""Train networks on a file one at a time, and write their score into it when all are there.

    python examples/reproduce/record_scores.py --bundle examples/bundles/fashion-mnist-ipc1.hmn \
        --data fashion-mnist --protocol paper --networks 5 --work runs/

The score is that of `hmnpack evaluate --record`, which has to find it in one go. Here every network
is kept in the work folder, so an interrupted command goes on where it was, and several processes
can each train some of them (`--only 3 4`, which records nothing) before one puts them together.
With `--name` it also writes a result, which is a row of the front page's table; `--packed` names
the proxy's result that says how long the file took to pack.
"""

import argparse
import json
import platform
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from statistics import fmean

import torch
from ablations.study import digest
from record import RESULTS, kept_rows, over_seeds, said, write_result

from hmnpack.bundle import Bundle, read
from hmnpack.cli.settings import evaluate_config
from hmnpack.evaluation import BUNDLE_ROW, Evaluation, TrainingSet
from hmnpack.evaluation.bench import Bench
from hmnpack.evaluation.controls import Material, control_rows
from hmnpack.evaluation.run import bench_of, bundle_set, score_of
from hmnpack.flops import TRAINING, is_counted, layers_of, network_flops
from hmnpack.page.paper import paper_score
from hmnpack.runtime import choose_device
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.protocols import PROTOCOLS, protocol_of
from hmnpack.schema.result import DataFacts, Figure, Result, Row
from hmnpack.scores import record, refuse_recording
from hmnpack.sources import Source, SourceOptions, open_source
from hmnpack.version import __version__


def main() -> None:
    """Train, and unless only some networks are asked for record, what the command line says."""
    typed = _arguments()
    refuse_recording(typed.bundle)
    bundle, source = read(typed.bundle), open_source(typed.data, SourceOptions(), said)
    config = _protocol(typed, bundle.manifest)
    pieces = Pieces(bundle, source, config, choose_device(typed.device), typed.work)
    typed.work.mkdir(parents=True, exist_ok=True)
    if typed.only:
        pieces.accuracies(typed.only)
        return
    evaluation = pieces.evaluation()
    scores = record(typed.bundle, bundle, evaluation, device=typed.device).scores
    mean, count = fmean(scores[-1].accuracies), len(scores[-1].accuracies)
    print(f"{typed.bundle}: {mean:.2f} % of {count} networks is recorded")
    if typed.name:
        _write(typed, bundle.manifest, config, evaluation)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bundle", type=Path, required=True, help="the .hmn file")
    parser.add_argument("--data", required=True, help="what `hmnpack evaluate` takes")
    parser.add_argument("--protocol", default="paper", choices=PROTOCOLS, help="to start from")
    parser.add_argument("--net", help="a network's name [default: the protocol's]")
    parser.add_argument("--networks", type=int, default=5, help="how many")
    parser.add_argument("--only", type=int, nargs="+", metavar="I", help="train these, from 0 on")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any setting; repeatable"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="folder of what is done")
    parser.add_argument("--name", help="also write a result of this name")
    parser.add_argument("--label", help="name of the data in tables")
    parser.add_argument("--packed", type=Path, help="result of the proxy that packed the file")
    typed = parser.parse_args()
    if any(not 0 <= index < typed.networks for index in typed.only or ()):
        parser.error(f"--only {typed.only}: networks are numbered 0 to {typed.networks - 1}")
    return typed


def _protocol(typed: argparse.Namespace, manifest: Manifest) -> EvaluateConfig:
    """Return how the bundle is judged, as `hmnpack evaluate` would with the same words."""
    base = protocol_of(typed.protocol, manifest)
    options = {"network.name": typed.net, "repeats": typed.networks, "seed": typed.seed}
    return evaluate_config(typed.set, options, base)


def _write(
    typed: argparse.Namespace, manifest: Manifest, config: EvaluateConfig, evaluation: Evaluation
) -> None:
    """Write the result, whose rows are those of the evaluation."""
    headline, *controls = evaluation.rows
    settings, source = manifest.config, manifest.source
    write_result(
        RESULTS,
        device=typed.device,
        typed_data=typed.data,
        name=typed.name,
        recipe=settings.recipe if settings else None,
        seed=typed.seed,
        data=DataFacts(name=typed.label or source.name, fingerprint=source.fingerprint),
        accuracy_mean=headline.accuracy_mean,
        accuracy_std=headline.accuracy_std,
        accuracy_ci95=headline.accuracy_ci95,
        networks=headline.networks,
        controls=tuple(controls),
        figures={
            "ipc": manifest.budget.ipc,
            "images": headline.images,
            "floats": manifest.ledger.floats,
            "budget_floats": manifest.budget.floats,
            "held_out_of_packing": source.held_out,
            "protocol": typed.protocol,
            "network": config.network.name,
            "width": config.network.width,
            "epochs": headline.figures.get("epochs"),
            **_operations(manifest, config.network, headline),
            **_packing(typed.packed),
            **_of_paper(manifest),
        },
    )


def _packing(path: Path | None) -> dict[str, Figure]:
    """Return what a proxy says of packing: what it took, the pool's included."""
    if path is None:
        return {}
    figures = Result.model_validate_json(path.read_text(encoding="utf-8")).figures
    parts = (figures[f"processor_minutes_{part}"] for part in ("pool", "after_pool"))
    minutes = sum(float(part) for part in parts if part is not None)
    found = {"packed_by": path.name, "processor_minutes_packing": round(minutes, 1)}
    return found | {name: figures[name] for name in ("flops_packing", "peak_gb") if name in figures}


def _operations(manifest: Manifest, network: NetworkConfig, row: Row) -> dict[str, Figure]:
    """Return the operations of training one network of a row."""
    epochs = row.figures.get("epochs")
    if not (is_counted(network) and isinstance(epochs, int)):
        return {}
    layers = layers_of(network, len(manifest.classes), manifest.container.image)
    return {"flops_network": epochs * row.images * network_flops(layers, TRAINING)}


def _of_paper(manifest: Manifest) -> dict[str, Figure]:
    found = paper_score(manifest)
    return {} if found is None else {"paper_accuracy": found.accuracy, "paper_std": found.std}


@dataclass(frozen=True)
class Pieces:
    """An evaluation of which every network of the bundle, and every control row, is a file.

    A file is named by everything that decides what is in it, down to the version of torch; bundles
    of the same data and budget share control rows.

    Attributes:
        bundle: What is judged.
        source: The data to test on.
        config: Network, training, control rows, repeats, seed.
        device: Where to train.
        work: Folder of the files.
    """

    bundle: Bundle
    source: Source
    config: EvaluateConfig
    device: torch.device
    work: Path

    def evaluation(self) -> Evaluation:
        """Return what ``hmnpack.evaluate`` does; train what is not there yet."""
        sets = [self.images] * self.config.repeats
        accuracies = self.accuracies(range(self.config.repeats))
        score = score_of(self.bench, self.source, self.images, accuracies)
        controls = (row for name in self.config.control_rows for row in self._control(name))
        return Evaluation((self.bench.row(BUNDLE_ROW, sets, accuracies), *controls), score)

    def accuracies(self, networks: Iterable[int]) -> list[float]:
        """Return the accuracy of some networks, in percent; train those that are not there.

        Args:
            networks: Their numbers, from 0.
        """
        alone = {"repeats": 1, "rows": (), "controls": False}
        own = self.bundle.manifest.model_copy(update={"scores": ()}).model_dump_json()
        files = {index: self._file(alone, own, index) for index in networks}
        for index, file in files.items():
            kept_rows(file, partial(self._network, index))
        return [row.accuracy_mean for file in files.values() for row in over_seeds([file])]

    @cached_property
    def bench(self) -> Bench:
        """What all rows have in common."""
        return bench_of(self.bundle.manifest, self.source, self.config, self.device, said)

    @cached_property
    def images(self) -> TrainingSet:
        """What the bundle decodes to."""
        return bundle_set(self.bundle)

    def _network(self, index: int) -> list[Row]:
        sets = [self.images] * self.config.repeats
        accuracy = self.bench.trained(BUNDLE_ROW, [index], sets, before=index)
        return [self.bench.row(BUNDLE_ROW, sets[:1], accuracy)]

    def _control(self, name: str) -> list[Row]:
        changes = {"rows": (name,), "controls": True}
        bench = replace(self.bench, config=self.bench.config.model_copy(update=changes))
        material = Material(self.source, self.bundle.manifest, SourceOptions().cache_root)
        manifest = self.bundle.manifest
        shared = [part.model_dump_json() for part in (manifest.budget, manifest.normalisation)]
        file = self._file(changes, *shared, manifest.container.instances)
        kept_rows(file, partial(control_rows, bench, material))
        return [Row.model_validate(row) for row in json.loads(file.read_text())]

    def _file(self, changes: dict[str, object], *facts: object) -> Path:
        test = self.source.test
        name = digest(
            (self.source.train.fingerprint, test.fingerprint if test else ""),
            self.bench.config.model_copy(update=changes).model_dump_json(),
            (__version__, str(torch.__version__), platform.python_version(), self.device.type),
            *facts,
        )
        return self.work / f"score-{name}.json"


if __name__ == "__main__":
    main()
