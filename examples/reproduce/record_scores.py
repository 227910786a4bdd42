"""Train networks on a file, optionally in several processes, and record their score in it.

    python examples/reproduce/record_scores.py --bundle examples/bundles/fashion-mnist-ipc1.hmn \
        --data fashion-mnist --protocol paper --networks 5 --work runs/

The score equals that of `hmnpack evaluate --record --work runs/`. Here several processes can each
train some of the networks (`--only 3 4`, which records nothing) before one combines them. Rerun an
interrupted command to resume it. `--name` also writes a result, which becomes a row of the README's
table; `--packed` gives the proxy's result with the resources used to condense the file.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from record import RESULTS, print_progress, write_result

from hmnpack.bundle import Bundle, read
from hmnpack.evaluation import BUNDLE_ROW, Evaluation, evaluate
from hmnpack.evaluation.result import result_of
from hmnpack.evaluation.run import bench_of, bundle_set
from hmnpack.evaluation.scores import check_recordable, record
from hmnpack.evaluation.trainer import train_row
from hmnpack.networks.flops import TRAINING
from hmnpack.networks.profile import profile_network
from hmnpack.page.paper import paper_score
from hmnpack.registry import PROTOCOLS
from hmnpack.runtime.devices import choose_device
from hmnpack.runtime.kept import Store
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.result import DataFacts, Figure, Result, Row
from hmnpack.settings import evaluate_config, protocol_of
from hmnpack.sources import Source, SourceOptions, open_source


def main() -> None:
    """Train the networks, and record the score unless `--only` is given."""
    args = _arguments()
    check_recordable(args.bundle)
    bundle, source = read(args.bundle), open_source(args.data, SourceOptions(), print_progress)
    config = _protocol(args, bundle.manifest)
    if args.only:
        _train(args, bundle, source, config)
        return
    evaluation = evaluate(
        bundle, source, config, device=args.device, work=args.work, listener=print_progress
    )
    scores = record(args.bundle, bundle, evaluation, device=args.device).scores
    mean, count = fmean(scores[-1].accuracies), len(scores[-1].accuracies)
    print(f"{args.bundle}: {mean:.2f} % of {count} networks recorded")
    if args.name:
        _write(args, bundle.manifest, source, evaluation)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bundle", type=Path, required=True, help="the .hmn file")
    parser.add_argument(
        "--data", required=True, help="dataset name or path, as for `hmnpack evaluate`"
    )
    parser.add_argument("--protocol", default="paper", choices=PROTOCOLS, help="base protocol")
    parser.add_argument("--net", help="network name [default: the protocol's]")
    parser.add_argument("--networks", type=int, default=5, help="number of networks")
    parser.add_argument(
        "--only",
        type=int,
        nargs="+",
        metavar="I",
        help="only train these networks, numbered from 0",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any setting; repeatable"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="work directory")
    parser.add_argument("--name", help="also write a result of this name")
    parser.add_argument("--label", help="dataset name in tables")
    parser.add_argument("--packed", type=Path, help="result of the proxy run that made the file")
    args = parser.parse_args()
    if any(not 0 <= index < args.networks for index in args.only or ()):
        parser.error(f"--only {args.only}: networks are numbered 0 to {args.networks - 1}")
    return args


def _protocol(args: argparse.Namespace, manifest: Manifest) -> EvaluateConfig:
    """Return the evaluation settings, as `hmnpack evaluate` with the same options."""
    base = protocol_of(args.protocol, manifest)
    options = {"network.name": args.net, "repeats": args.networks, "seed": args.seed}
    return evaluate_config(args.set, options, base)


def _train(
    args: argparse.Namespace, bundle: Bundle, source: Source, config: EvaluateConfig
) -> None:
    """Train the networks given by `--only`; their results go to the work directory."""
    bench = bench_of(bundle.manifest, source, config, choose_device(args.device), print_progress)
    store = Store(args.work)
    store.check_writable()
    sets = [bundle_set(bundle)] * config.repeats
    train_row(replace(bench, store=store), BUNDLE_ROW, sets, args.only)


def _write(
    args: argparse.Namespace, manifest: Manifest, source: Source, evaluation: Evaluation
) -> None:
    """Write the evaluation's result, with the other values of the README's table."""
    network, made_from = evaluation.config.network, manifest.source
    result = result_of(
        {network.name: evaluation}, manifest, source, choose_device(args.device), None, ""
    )
    figures = {
        "budget_floats": manifest.budget.floats,
        "held_out_of_packing": made_from.held_out,
        "protocol": args.protocol,
        **_operations(manifest, network, evaluation.rows[0]),
        **_packing(args.packed),
        **_of_paper(manifest),
    }
    own = {
        "name": args.name,
        "data": DataFacts(name=args.label or made_from.name, fingerprint=made_from.fingerprint),
        "figures": result.figures | figures,
    }
    write_result(RESULTS, device=args.device, typed_data=args.data, **dict(result) | own)


def _packing(path: Path | None) -> dict[str, Figure]:
    """Return the resources used to condense the file, including the pool, from a proxy's result."""
    if path is None:
        return {}
    figures = Result.model_validate_json(path.read_text(encoding="utf-8")).figures
    parts = (figures[f"processor_minutes_{part}"] for part in ("pool", "after_pool"))
    minutes = sum(float(part) for part in parts if part is not None)
    found = {"packed_by": path.name, "processor_minutes_packing": round(minutes, 1)}
    return found | {name: figures[name] for name in ("flops_packing", "peak_gb") if name in figures}


def _operations(manifest: Manifest, network: NetworkConfig, row: Row) -> dict[str, Figure]:
    """Return the FLOPs of training one network of a row."""
    epochs = row.figures.get("epochs")
    if not isinstance(epochs, int):
        return {}
    profile = profile_network(network, len(manifest.classes), manifest.container.image)
    return {"flops_network": epochs * row.images * profile.flops(TRAINING)}


def _of_paper(manifest: Manifest) -> dict[str, Figure]:
    found = paper_score(manifest)
    return {} if found is None else {"paper_accuracy": found.accuracy, "paper_std": found.std}


if __name__ == "__main__":
    main()
