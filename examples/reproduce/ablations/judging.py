"""Rows of a study's table: networks trained on a bundle, one per seed, cached in files."""

from functools import partial

from record import cached_rows, over_seeds

from ablations.study import Study
from hmnpack.bundle import Bundle
from hmnpack.evaluation import evaluate
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.result import Row
from hmnpack.sources import SourceOptions


def evaluate_rows(study: Study, bundle: Bundle, protocol: EvaluateConfig) -> list[Row]:
    """Return the rows of a bundle over the study's seeds, with each seed's accuracy.

    Results of networks that were trained before are read from the work directory.

    Args:
        study: The study.
        bundle: Training data of the networks.
        protocol: Evaluation settings, baselines included; its seed and repeats are ignored.
    """
    source = study.tested(bundle)
    tested_on = source.test.fingerprint if source.test else ""
    wanted = protocol.model_copy(update={"seed": 0, "repeats": 1})
    name = study.name("rows", bundle.manifest.data_sha256, tested_on, wanted.model_dump_json())
    files = {seed: study.work / f"{name}.seed-{seed}.json" for seed in study.seeds}
    options = SourceOptions(cache_dir=study.work)

    def trained(seed: int) -> tuple[Row, ...]:
        config = wanted.model_copy(update={"seed": seed})
        return evaluate(
            bundle,
            source,
            config,
            device=study.device,
            source_options=options,
            listener=study.listener,
        ).rows

    for seed, path in files.items():
        cached_rows(path, partial(trained, seed))
    each = zip(*(over_seeds([path]) for path in files.values()), strict=True)
    return [
        _with_seeds(row, dict(zip(files, ones, strict=True)))
        for row, ones in zip(over_seeds(files.values()), each, strict=True)
    ]


def _with_seeds(row: Row, of_seed: dict[int, Row]) -> Row:
    found = {f"accuracy_seed_{seed}": one.accuracy_mean for seed, one in of_seed.items()}
    return row.model_copy(update={"figures": {**row.figures, **found}})
