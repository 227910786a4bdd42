"""Converts an evaluation, or an audit, to one result document."""

from collections.abc import Mapping

import torch

from hmnpack.evaluation.compare import below_whole, over_random
from hmnpack.evaluation.rows import headline_of
from hmnpack.evaluation.run import Evaluation
from hmnpack.runtime.machine import commit, machine_facts
from hmnpack.schema.audit import Audit, AuditResult
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.result import DataFacts, Figure, Result, Row
from hmnpack.sources import Source, chosen_by_held_out


def result_of(
    found: Mapping[str, Evaluation],
    manifest: Manifest,
    source: Source,
    device: torch.device,
    minutes: float | None,
    command: str,
) -> Result:
    """Return the result of one command; its headline is the first network trained on the bundle.

    The rows of the other networks follow the baselines of the first; their names include the
    network's name.

    Args:
        found: Evaluations by network name.
        manifest: Manifest of the bundle.
        source: The dataset of real images.
        device: Device that the networks were trained on.
        minutes: Wall-clock minutes of all evaluations; None: unknown.
        command: The command line, in printable form.
    """
    (name, one), *others = found.items()
    first, *baselines = one.rows
    for other, more in others:
        baselines += [_named(row, other) for row in more.rows]
    return Result(
        name=f"evaluate {source.name} {manifest.budget.in_words}",
        recipe=manifest.recipe,
        command=command,
        commit=commit(),
        seed=one.config.seed,
        machine=machine_facts(device),
        data=DataFacts(name=source.name, fingerprint=source.train.fingerprint),
        minutes=None if minutes is None else round(minutes, 3),
        **headline_of(first),
        protocol=one.config,
        baselines=tuple(baselines),
        figures=_figures(name, one, manifest),
    )


def audit_result(
    found: Audit,
    manifest: Manifest,
    source: Source,
    device: torch.device,
    minutes: float | None,
    command: str,
) -> AuditResult:
    """Return an audit with everything needed to repeat it.

    Args:
        found: The audit.
        manifest: Manifest of the bundle.
        source: The dataset of real images.
        device: Device that the networks were trained on.
        minutes: Wall-clock minutes; None: unknown.
        command: The command line, in printable form.
    """
    return AuditResult(
        name=f"audit {source.name} {manifest.budget.in_words}",
        command=command,
        commit=commit(),
        seed=found.protocol.seed,
        machine=machine_facts(device),
        data=DataFacts(name=source.name, fingerprint=source.train.fingerprint),
        minutes=None if minutes is None else round(minutes, 3),
        bundle_data_sha256=manifest.data_sha256,
        audit=found,
    )


def _named(row: Row, network: str) -> Row:
    return row.model_copy(update={"name": f"{row.name} ({network})"})


def _figures(network: str, found: Evaluation, manifest: Manifest) -> dict[str, Figure]:
    first, protocol = found.rows[0], found.config
    compared = {
        "points_over_random": over_random(first, found.rows),
        "points_below_whole": below_whole(first, found.rows),
    }
    chosen_by = protocol.held_out and chosen_by_held_out(manifest)
    return {
        **({"held_out_images_chose": True} if chosen_by else {}),
        "images": first.images,
        "floats": manifest.ledger.floats,
        "ipc": manifest.budget.ipc,
        "network": network,
        "width": protocol.network.width,
        "epochs": protocol.train.epochs,
        "bundle_data_sha256": manifest.data_sha256,
        **{name: points for name, points in compared.items() if points is not None},
        **first.figures,
    }
