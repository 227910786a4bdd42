"""Prunes a bundle to a smaller budget: checks the inputs, selects images, builds the new bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from hmnpack.augment import flips_where_alike
from hmnpack.bundle import Bundle, read
from hmnpack.bundle.opened import AnyFile
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
from hmnpack.runtime.devices import choose_device, kind_of
from hmnpack.runtime.numbers import as_integer
from hmnpack.runtime.paths import AnyPath, path_of
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.ranks import joined
from hmnpack.runtime.seeds import stream
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.config import BY_MARGIN, PruneConfig
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.pruning import BetaScore, Pruning
from hmnpack.settings import difference, merged, recordable
from hmnpack.sources import (
    Source,
    SourceOptions,
    Split,
    as_recorded,
    open_source,
    seen_and_held_out_by,
)
from hmnpack.sources.lazy import on_device
from hmnpack.training import at_once_on, side_by_side

DOUBLE_END = PruneConfig(strategy="double-end")
"""Algorithm 1 of the paper."""

_DEFAULT_OPTIONS = SourceOptions()


@with_torch_defaults
def prune(  # noqa: PLR0913
    bundle: AnyFile | Bundle,
    ipc: int,
    config: PruneConfig = DOUBLE_END,
    *,
    settings: Mapping[str, object] | None = None,
    data: AnyPath | Source | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    source_options: SourceOptions = _DEFAULT_OPTIONS,
    at_once: int | None = None,
    work: AnyPath | None = None,
    listener: Listener = no_progress,
) -> Bundle:
    """Prune a bundle to a smaller budget.

    All classes retain equally many images. A class with fewer retains all of its images, and the
    rest of the budget is divided evenly among the others.

    Under ``torchrun`` every rank calls this function, with the same arguments. Each rank runs some
    of the trainings, only rank 0 calls the listener, and all ranks return the bundle.

    Args:
        bundle: A bundle or its path.
        ipc: The budget, in images per class.
        config: How images are selected.
        settings: Overrides of ``config``, nested or by dotted path: `margin_epochs`.
        data: The dataset that the bundle was made from, or anything that ``open_source`` accepts.
            Only allowed if beta is to be selected. Only the held-out images of its training split
            are used, never its test split.
        seed: Seed of every random stream.
        device: Device to train on: ``auto``, ``cpu``, ``cuda``, ...
        source_options: How ``data`` is opened, if it is a string: size and skipping of bad
            images are those of the bundle unless given here.
        at_once: Number of networks that each rank trains as one batch, if memory allows. It affects
            results only by rounding. None: the device's default.
        work: Work directory, which caches the result of each training, so that an interrupted call
            resumes after the last complete one. None: nothing is cached.
        listener: Called after every epoch, in the stages ``margins`` and ``pruning``.

    Raises:
        BadSettings: if there is nothing to prune; if the strategy lacks an input or does not use
            one that was given; if ``at_once`` is less than 1; or if ``work`` cannot be written.
        BudgetTooSmall: if the tensors shared by all images exceed the budget.
        BadData: if the bundle was made from another dataset.
        BadBundle: if the file is not a valid bundle.
        Diverged: if a training diverges.
        RankLost: if another rank ends prematurely.
    """
    if not isinstance(bundle, Bundle):
        bundle = read(bundle)
    ipc, seed, at_once = as_integer(ipc), as_integer(seed), as_integer(at_once)
    config = merged(config, settings or {})
    counts_to_keep(bundle.manifest.container, ipc)
    check_rows(bundle.manifest.container, config)
    check_prune_settings(config, bundle.manifest.source.held_out)
    chooses = needs_held_out(config)
    if chooses and data is None:
        raise BadSettings(
            "double-end selects beta on held-out real images; name the dataset that the bundle "
            "was made from (--data), or give a beta from 0 to 1 (--beta)"
        )
    if data is not None and not chooses:
        given = " with a given beta" if config.strategy == "double-end" else ""
        raise BadSettings(
            f"{config.strategy}{given} does not use real images; omit the dataset (--data)"
        )
    place, held_out = choose_device(device), None
    at_once_on(place, at_once)  # checked before any work
    with joined(place) as world:
        rank_listener = listener if world.rank == 0 else no_progress
        trainings = Trainings(world=world, listener=rank_listener, at_once=at_once)
        if data is not None:
            with world.leader_first():
                options = as_recorded(bundle.manifest, source_options, data)
                source = open_source(data, options, rank_listener, needs_test=False)
            held_out = _held_out_of(bundle.manifest, source)
        if work is not None:
            facts = _facts(bundle.manifest, ipc, config)
            trainings = trainings.cached_in(path_of(work), *facts, seed, kind_of(place))
        return pruned(
            bundle, ipc, config, seed=seed, device=place, held_out=held_out, trainings=trainings
        )


def _held_out_of(manifest: Manifest, source: Source) -> Split:
    try:
        return seen_and_held_out_by(manifest, source)[1]
    except BadData as error:
        raise BadData(f"{error}; or give a beta, which needs no dataset") from error


def _facts(manifest: Manifest, ipc: int, config: PruneConfig) -> tuple[object, ...]:
    """Return everything that affects the trainings except seed and device: their cache key.

    The manifest determines which images were held out.
    """
    made_of = manifest.model_copy(update={"scores": ()})
    versions = library_version(config.network)
    return made_of.model_dump_json(), ipc, config.model_dump_json(), *versions


def needs_held_out(config: PruneConfig) -> bool:
    """Return whether beta must be selected, which requires held-out real images."""
    return config.strategy == "double-end" and config.beta is None


def check_rows(spec: ContainerSpec, config: PruneConfig) -> None:
    """Check that a strategy does not select single images of those that share a stored row.

    Raises:
        BadSettings: if it does.
    """
    if spec.images_per_row > 1 and config.strategy in BY_MARGIN:
        raise BadSettings(
            f"{config.strategy} pruning selects single images, but {spec.images_per_row} images "
            f"of {spec.kind} share a stored row; use the strategy random or none"
        )


def check_prune_settings(config: PruneConfig, held_out: int) -> None:
    """Check, before any work, that a strategy has the inputs it needs.

    Args:
        config: The strategy and its settings.
        held_out: Number of held-out images of the training split.

    Raises:
        BadSettings: if an input is missing, or beta is set for a strategy that does not use it.
    """
    if config.beta is not None and config.strategy != "double-end":
        raise BadSettings(
            f"strategy {config.strategy} does not use beta, got {config.beta:g}; omit it, or "
            "choose double-end"
        )
    if needs_held_out(config) and not held_out:
        raise BadSettings(
            "double-end selects beta on held-out real images, but none were held out; give a beta "
            "from 0 to 1, or condense with a holdout that leaves some out of each class"
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
    """Return a bundle with as many images as a smaller budget holds, the most useful first.

    Under several ranks every rank calls this function, with the same arguments and the same result.

    Args:
        bundle: The bundle to prune.
        ipc: The budget, in images per class.
        config: How images are selected. Flips are disabled for datasets they do not suit.
        seed: Seed of every random stream.
        device: Device to train on.
        held_out: Held-out real images, if :func:`needs_held_out`.
        trainings: Runs trainings and holds the results of earlier ones.
        keep: Images to retain, fewer than the bundle has: one count for all classes, or one per
            class. None: as many as the budget holds, see
            :func:`hmnpack.container.budget.as_even_as`.

    Raises:
        BadSettings: if there is nothing to prune, or the strategy lacks an input.
        BudgetTooSmall: if the tensors shared by all images exceed the budget.
        Diverged: if a training diverges.
    """
    spec, made_from = bundle.manifest.container, bundle.manifest.source
    trainings = trainings or Trainings()
    keep = counts_to_keep(spec, ipc) if keep is None else fewer_counts(spec, ipc, keep)
    check_rows(spec, config)
    check_prune_settings(config, 0 if held_out is None else len(held_out))
    config = _suitable(config, made_from.name)
    changes = recordable(
        difference(config, PruneConfig(strategy=config.strategy, beta=config.beta))
    )
    areas, beta = None, config.beta
    scores: tuple[BetaScore, ...] = ()
    if config.strategy in BY_MARGIN:
        trainings = _batched_if_possible(trainings, config, spec, device)
        images = _decoded(bundle, device)
        areas = margins_of(images, config, seed, trainings)
        if held_out is not None and needs_held_out(config):
            real = _real(held_out, images)
            beta, scores = best_beta(Search(images, areas, keep, real, config, seed), trainings)
    row = spec.images_per_row
    labels = class_of(spec, torch.arange(0, spec.images, row))
    draws, kept_rows = stream(seed, "prune", "random"), [count // row for count in keep]
    kept = kept_images(areas, labels, kept_rows, config.strategy, beta=beta, generator=draws)
    members = [rows[:, None] * row + torch.arange(row, device=rows.device) for rows in kept]
    kept = tuple(images.flatten() for images in members)
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


def _batched_if_possible(
    trainings: Trainings, config: PruneConfig, spec: ContainerSpec, device: torch.device
) -> Trainings:
    """Return the trainings, with batches of one where the network cannot be trained in batches."""
    most = at_once_on(device, trainings.at_once)
    return replace(trainings, at_once=side_by_side(config.network, spec.classes, spec.image, most))


def _suitable(config: PruneConfig, name: str) -> PruneConfig:
    """Return the settings, without flips if they do not suit a dataset of that name."""
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
    """Return real images on the device and with the normalisation of the synthetic ones."""
    device = like.pixels.device
    return LabelledImages(
        on_device(split.pixels, device), split.labels.to(device), like.classes, like.normalisation
    )
