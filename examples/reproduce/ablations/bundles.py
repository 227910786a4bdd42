"""Bundles compared by a study: condensed once per work directory, then pruned."""

from collections.abc import Mapping
from pathlib import Path

from packing import Packing
from torch import Tensor

from ablations.study import Study
from hmnpack.bundle import Bundle, read
from hmnpack.container.budget import images_within
from hmnpack.errors import BadSettings
from hmnpack.pruning import Trainings, needs_held_out, pruned
from hmnpack.runtime.devices import choose_device
from hmnpack.runtime.kept import read_state, write_state
from hmnpack.schema.config import PruneConfig, PruneStrategy


def in_budget(study: Study, ipc: int, changes: Mapping[str, object] | None = None) -> Bundle:
    """Return a bundle condensed within the budget, without pruning.

    Args:
        study: The study.
        ipc: The budget, in images per class.
        changes: Condensing settings, by dotted path.

    Raises:
        BadSettings: if bundles were given and none of them has this budget.
    """
    if study.given:
        return _given(study, ipc, over=False)
    return _packing(study, ipc, PruneConfig(), changes or {}).bundle(None)


def over_budget(study: Study, ipc: int) -> Bundle:
    """Return a bundle with more images than the budget holds, to be pruned.

    Raises:
        BadSettings: if bundles were given and none of them is over the budget.
    """
    if study.given:
        return _given(study, ipc, over=True)
    packing = _packing(study, ipc, PruneConfig(strategy="random"), {})  # the cheapest strategy
    packing.bundle(None)
    assert packing.unpruned is not None
    return read(packing.unpruned)


def finished(study: Study, ipc: int) -> Bundle:
    """Return the bundle reported in the paper's tables: condensed over budget, double-end pruned.

    If bundles were given, return the one within the budget.
    """
    if study.given:
        return _given(study, ipc, over=False)
    return pruned_to(study, over_budget(study, ipc), ipc, "double-end")


def pruned_to(
    study: Study, big: Bundle, ipc: int, strategy: PruneStrategy, keep: int | None = None
) -> Bundle:
    """Return a bundle pruned by a strategy, from the work directory if it exists there.

    Beta is chosen on held-out images that are disjoint from the images rows are tested on.

    Args:
        study: The study.
        big: The unpruned bundle.
        ipc: The budget, in images per class.
        strategy: How to choose the images to prune.
        keep: Images per class to keep; None: the number that fits the budget.
    """
    config = _prune_config(study, strategy)
    facts = big.manifest.data_sha256, study.seed, config.model_dump_json(), ipc, keep, study.on
    path = study.work / f"{study.name('pruned', *facts)}.hmn"
    if path.exists():
        return read(path)
    margins = study.name("margins", *facts[:2], config.network, config.seeds, config.margins)
    bundle = pruned(
        big,
        ipc,
        config,
        seed=study.seed,
        device=choose_device(study.device),
        held_out=study.chosen_by(big) if needs_held_out(config) else None,
        trainings=_cached_trainings(study, f"{margins}.pt", f"{path.stem}.pt"),
        keep=keep,
    )
    bundle.save(path)
    return bundle


def _packing(study: Study, ipc: int, prune: PruneConfig, changes: Mapping[str, object]) -> Packing:
    """Return the condensing run of a bundle; settings of later pruning do not affect its name."""
    config = study.config(changes).model_copy(update={"prune": prune})
    facts = study.source.train.fingerprint, ipc, config.model_dump_json()
    output = study.work / f"{study.name(f'ipc{ipc}', *facts)}.hmn"
    is_over = prune.strategy != "none"
    return Packing(
        study.source,
        ipc,
        config,
        output,
        study.device,
        listener=study.listener,
        unpruned=output.with_suffix(".over.hmn") if is_over else None,
    )


def _prune_config(study: Study, strategy: PruneStrategy) -> PruneConfig:
    """Return the pruning settings; a given beta applies to double-end only."""
    config = study.config({}).prune
    beta = config.beta if strategy == "double-end" else None
    return config.model_copy(update={"strategy": strategy, "beta": beta})


def _cached_trainings(study: Study, margins: str, betas: str) -> Trainings:
    """Return trainings that are cached in files as they finish; all strategies share margins."""
    files = {"margins/": study.work / margins, "beta/": study.work / betas}
    done = {name: value for path in files.values() for name, value in _read(path).items()}

    def keep() -> None:
        for begin, path in files.items():
            found = {name: value for name, value in done.items() if name.startswith(begin)}
            write_state(path, found)

    return Trainings(done=done, check=keep, listener=study.listener)


def _read(path: Path) -> dict[str, Tensor]:
    return read_state(path) if path.exists() else {}


def _given(study: Study, ipc: int, *, over: bool) -> Bundle:
    for bundle in study.given:
        spec = bundle.manifest.container
        is_over = spec.images > images_within(spec, ipc)
        if is_over if over else bundle.manifest.budget.ipc == ipc:
            return bundle
    kind = "over the budget of" if over else "of"
    raise BadSettings(f"no --bundle is {kind} ipc {ipc}; name one, or leave out --bundle")
