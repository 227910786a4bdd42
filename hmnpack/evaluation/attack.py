"""Membership attacks on networks that are trained on a bundle, and on real images."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hmnpack.evaluation.baselines import as_long, random_real
from hmnpack.evaluation.bench import Bench, TrainingSet
from hmnpack.evaluation.compare import BUNDLE_ROW
from hmnpack.evaluation.membership import Losses, bootstrap, interval
from hmnpack.evaluation.real_parts import RealParts
from hmnpack.evaluation.trainer import trained_networks
from hmnpack.runtime.seeds import stream
from hmnpack.schema.audit import Attack, Interval
from hmnpack.schema.manifest import Manifest
from hmnpack.sources import Split
from hmnpack.sources.lazy import in_memory
from hmnpack.training import losses

CONTROL_ROW = "random real, not condensed"
MEMBERS_ROW = "random real, condensed"


@dataclass(frozen=True)
class Attacked:
    """Attacks on the networks of all rows.

    Attributes:
        rows: The bundle's, the control's, and that of networks trained on condensed images.
        over_control: Mean AUC of the first row minus that of the second.
        network: The first network of the control.
    """

    rows: tuple[Attack, ...]
    over_control: Interval
    network: nn.Module


def attacked(bench: Bench, manifest: Manifest, own: TrainingSet, parts: RealParts) -> Attacked:
    """Train the networks of all rows, and attack each.

    The networks of the bundle's row are those that ``evaluate`` trains. The others are trained for
    as many steps, on as many random real images of each class as the bundle has, or all.

    Args:
        bench: What the rows have in common.
        manifest: Manifest of the bundle.
        own: Images of the bundle.
        parts: The real images.
    """
    long, repeats = as_long(bench, manifest), bench.config.repeats
    networks = trained_networks(bench, BUNDLE_ROW, [own] * repeats)
    control = trained_on(long, manifest, CONTROL_ROW, parts.control)
    reference = trained_on(long, manifest, MEMBERS_ROW, parts.condensed)
    of_bundle, bundle_aucs = _attack(bench, BUNDLE_ROW, (networks, [own] * repeats), parts)
    of_control, control_aucs = _attack(bench, CONTROL_ROW, control, parts)
    of_reference, _ = _attack(bench, MEMBERS_ROW, reference, parts)
    difference = of_bundle.auc.value - of_control.auc.value
    return Attacked(
        rows=(of_bundle, of_control, of_reference),
        over_control=interval(difference, bundle_aucs - control_aucs),
        network=control[0][0],
    )


_Row = tuple[list[nn.Module], list[TrainingSet]]
"""The networks of a row, and the images that each was trained on."""


def trained_on(bench: Bench, manifest: Manifest, row: str, split: Split) -> _Row:
    """Train the networks of a row, each on random real images.

    Args:
        bench: What the rows have in common.
        manifest: Manifest of the bundle, which sets the number of images of each class.
        row: Name of the row.
        split: Images to draw from.
    """
    seed, counts = bench.config.seed, manifest.container.counts
    streams = [stream(seed, "images", row, index) for index in range(bench.config.repeats)]
    sets = [random_real(split, manifest.classes, counts, generator) for generator in streams]
    return trained_networks(bench, row, sets), sets


def _attack(bench: Bench, name: str, row: _Row, parts: RealParts) -> tuple[Attack, Tensor]:
    """Attack the networks of a row; also return the mean AUC of each resample."""
    networks, sets = row
    own = name == MEMBERS_ROW
    members = sets if own else [_set_of(parts.members)] * len(networks)
    found = Losses(
        _losses(bench, networks, members),
        _losses(bench, networks, [_set_of(parts.non_members)] * len(networks)),
        own=own,
    )
    aucs = found.aucs
    resampled = bootstrap(found, stream(bench.config.seed, "audit", "bootstrap"))
    attack = Attack(
        name=name,
        images=len(sets[0].labels),
        members=found.members.shape[1],
        non_members=found.non_members.shape[1],
        aucs=aucs,
        auc=interval(sum(aucs) / len(aucs), resampled),
    )
    return attack, resampled


def _set_of(split: Split) -> TrainingSet:
    return TrainingSet(split.images, split.labels, split.images.numel())


def _losses(bench: Bench, networks: Sequence[nn.Module], sets: Sequence[TrainingSet]) -> Tensor:
    """Return the losses of each network on its images: float32 [R, N]."""
    rows = [
        losses(network, in_memory(one.images), one.labels, normalisation=bench.normalisation)
        for network, one in zip(networks, sets, strict=True)
    ]
    return torch.stack(rows)
