"""Pruning a bundle to a smaller budget: what is needed, what is chosen, what comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import torch

from hmnpack.augment import flips_where_alike
from hmnpack.bundle import Bundle, read
from hmnpack.container import class_of, container_of, decode
from hmnpack.errors import BadData, BadSettings
from hmnpack.networks import library_version
from hmnpack.pruning.margins import LabelledImages, margins_of
from hmnpack.pruning.search import Search, best_beta
from hmnpack.pruning.select import kept_images
from hmnpack.pruning.shrink import (
    counts_to_keep,
    fewer_counts,
    kept_margins,
    stored_margins,
    with_images,
)
from hmnpack.pruning.trainings import Trainings
from hmnpack.runtime.devices import choose_device, default_on_cpu, kind_of
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.ranks import joined
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import BY_MARGIN, PruneConfig
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.pruning import BetaScore, Pruning
from hmnpack.settings import difference, merged, recordable
from hmnpack.sources import Source, SourceOptions, Split, open_source, seen_and_held_out_by
from hmnpack.training import at_once_on, side_by_side

DOUBLE_END = PruneConfig(strategy="double-end")
"""Algorithm 1 of the paper."""

_DEFAULT_OPTIONS = SourceOptions()


@default_on_cpu
def prune(  # noqa: PLR0913
    bundle: str | Path | Bundle,
    ipc: int,
    config: PruneConfig = DOUBLE_END,
    *,
    settings: Mapping[str, object] | None = None,
    data: str | PathLike[str] | Source | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    source_options: SourceOptions = _DEFAULT_OPTIONS,
    at_once: int | None = None,
    work: str | Path | None = None,
    listener: Listener = no_progress,
) -> Bundle:
    """Prune a bundle to a smaller budget.

    Every class keeps the same number of images, or all of its images where it has fewer: what the
    budget holds is divided as evenly as the counts of the classes allow.

    Under ``torchrun`` every rank calls this, with the same arguments: each does some of the
    trainings, rank 0 tells the listener, and all return the bundle.

    Args:
        bundle: A bundle or its path.
        ipc: The budget, in images per class.
        config: Which images go.
        settings: What is to be other than in it, nested or by dotted path: `margin_epochs`.
        data: The data set that the bundle was made from, or what ``open_source`` takes; only where
            beta is to be chosen. Of its training split those images are used that
            condensing never saw, and its test split never.
        seed: Seed of every random stream.
        device: Where networks are trained: ``auto``, ``cpu``, ``cuda``, ...
        source_options: How ``data`` is opened, where it is a string.
        at_once: Networks that each rank trains at a time, where the memory takes so many; it
            decides no result but its rounding. None: as many as the device takes.
        work: Work directory, which caches what each training gives: an interrupted call resumes
            after the last one that ended. None: nothing is cached.
        listener: Hears of every epoch, in stages ``margins`` and ``pruning``.

    Raises:
        BadSettings: if there is nothing to prune, the strategy lacks what it needs or has what it
            does not look at, or no network is to be trained at once; or ``work`` cannot be
            written to.
        BudgetTooSmall: if what all images share is over the budget.
        BadData: if the data is not what the bundle was made from.
        BadBundle: if the file is not a whole bundle.
        Diverged: if a training fails.
        RankLost: if another rank ended before its time.
    """
    if not isinstance(bundle, Bundle):
        bundle = read(bundle)
    config = merged(config, settings or {})
    counts_to_keep(bundle.manifest.container, ipc)
    check_prune_settings(config, bundle.manifest.source.held_out)
    chooses = needs_held_out(config)
    if chooses and data is None:
        raise BadSettings(
            "double-end chooses its beta on held-out real images: name the data that the bundle "
            "was made from (--data), or give a beta from 0 to 1 (--beta)"
        )
    if data is not None and not chooses:
        what = "a given beta" if config.strategy == "double-end" else config.strategy
        raise BadSettings(
            f"{what} needs no real images, and looks at none; leave the data out (--data)"
        )
    place, held_out = choose_device(device), None
    at_once_on(place, at_once)  # refused before any work
    with joined(place) as world:
        heard = listener if world.rank == 0 else no_progress
        trainings = Trainings(world=world, listener=heard, at_once=at_once)
        if data is not None:
            with world.leader_first():
                source = open_source(data, source_options, heard)
            held_out = _held_out_of(bundle.manifest, source)
        if work is not None:
            facts = _facts(bundle.manifest, ipc, config)
            trainings = trainings.cached_in(Path(work), *facts, seed, kind_of(place))
        return pruned(
            bundle, ipc, config, seed=seed, device=place, held_out=held_out, trainings=trainings
        )


def _held_out_of(manifest: Manifest, source: Source) -> Split:
    try:
        return seen_and_held_out_by(manifest, source)[1]
    except BadData as error:
        raise BadData(f"{error}; or give a beta, for which no data is needed") from error


def _facts(manifest: Manifest, ipc: int, config: PruneConfig) -> tuple[object, ...]:
    """Return what decides the trainings of pruning, but the seed and the device.

    Which images were held out follows from the manifest.
    """
    made_of = manifest.model_copy(update={"scores": ()})
    versions = library_version(config.network)
    return made_of.model_dump_json(), ipc, config.model_dump_json(), *versions


def needs_held_out(config: PruneConfig) -> bool:
    """Return whether beta is to be chosen, for which held-out real images are needed."""
    return config.strategy == "double-end" and config.beta is None


def check_prune_settings(config: PruneConfig, held_out: int) -> None:
    """Check, before any work, that a strategy can do what it is to do.

    Args:
        config: The strategy.
        held_out: Number of real images that were held out of the training split.

    Raises:
        BadSettings: if it cannot.
    """
    if config.beta is not None and config.strategy != "double-end":
        raise BadSettings(
            f"beta {config.beta:g} is for strategy double-end, not {config.strategy}; leave it out"
        )
    if needs_held_out(config) and not held_out:
        raise BadSettings(
            "double-end chooses its beta on held-out real images, and none were held out; give a "
            "beta from 0 to 1, or condense with a holdout that leaves some out of each class"
        )


def pruned(  # noqa: PLR0913
    bundle: Bundle,
    ipc: int,
    config: PruneConfig,
    *,
    seed: int,
    device: torch.device,
    held_out: Split | None = None,
    trainings: Trainings | None = None,
    keep: int | Sequence[int] | None = None,
) -> Bundle:
    """Return a bundle with as many of the images as a smaller budget holds, the most useful first.

    Under several ranks all call this, with the same arguments, and all return the same.

    Args:
        bundle: All images.
        ipc: The budget, in images per class.
        config: Which images go. Flips are left out for data that they do not suit.
        seed: Seed of every random stream.
        device: Where networks are trained.
        held_out: Real images that condensing never saw, if :func:`needs_held_out`.
        trainings: How networks are trained, and what was found before.
        keep: Images to keep, fewer than there are: per class, or of each class. None: as many as
            the budget holds, see :func:`hmnpack.container.budget.as_even_as`.

    Raises:
        BadSettings: if there is nothing to prune, or the strategy lacks what it needs.
        BudgetTooSmall: if what all images share is over the budget.
        Diverged: if a training fails.
    """
    spec, made_from = bundle.manifest.container, bundle.manifest.source
    trainings = trainings or Trainings()
    keep = counts_to_keep(spec, ipc) if keep is None else fewer_counts(spec, ipc, keep)
    check_prune_settings(config, 0 if held_out is None else len(held_out))
    config = _suited(config, made_from.name)
    changes = recordable(
        difference(config, PruneConfig(strategy=config.strategy, beta=config.beta))
    )
    areas, beta = None, config.beta
    scores: tuple[BetaScore, ...] = ()
    if config.strategy in BY_MARGIN:
        trainings = _each_for_itself(trainings, config, spec, device)
        images = _decoded(bundle, device)
        areas = margins_of(images, config, seed, trainings)
        if held_out is not None and needs_held_out(config):
            real = _real(held_out, images)
            beta, scores = best_beta(Search(images, areas, keep, real, config, seed), trainings)
    labels = class_of(spec, torch.arange(spec.images))
    draws = stream(seed, "prune", "random")
    kept = kept_images(areas, labels, keep, config.strategy, beta=beta, generator=draws)
    rows = torch.cat(kept)
    margins = kept_margins(bundle.manifest.margins, rows)
    if areas is not None:
        margins = stored_margins(
            areas, rows, config.margin_epochs, config.seeds, bundle.manifest.classes
        )
    pruning = Pruning(
        strategy=config.strategy,
        config=changes,
        seed=seed,
        instances=spec.instances,
        beta=beta,
        held_out=len(held_out) if held_out is not None and scores else 0,
        scores=scores,
    )
    return with_images(bundle, kept, ipc, pruning, margins)


def _each_for_itself(
    trainings: Trainings, config: PruneConfig, spec: ContainerSpec, device: torch.device
) -> Trainings:
    """Return the trainings in groups of one where networks cannot go side by side."""
    most = at_once_on(device, trainings.at_once)
    return replace(trainings, at_once=side_by_side(config.network, spec.classes, spec.image, most))


def _suited(config: PruneConfig, name: str) -> PruneConfig:
    """Return the settings as they are followed for a data set of that name."""
    augment = flips_where_alike(config.train.augment, (name,))
    train = config.train.model_copy(update={"augment": augment})
    return config.model_copy(update={"train": train})


def _decoded(bundle: Bundle, device: torch.device) -> LabelledImages:
    manifest = bundle.manifest
    container = container_of(manifest.container, bundle.tensors).to(device)
    return LabelledImages(
        decode(container), container.labels(), len(manifest.classes), manifest.normalisation
    )


def _real(split: Split, like: LabelledImages) -> LabelledImages:
    """Return real images beside synthetic ones."""
    device = like.pixels.device
    return LabelledImages(
        split.images.to(device), split.labels.to(device), like.classes, like.normalisation
    )
