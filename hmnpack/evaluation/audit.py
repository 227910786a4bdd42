"""Audits a bundle: what its images, and networks trained on them, give away about the real images.

The real images fall into three parts: the condensed ones, which the bundle was made from; and of
those that were not condensed (the test split, or the held-out images) one half as non-members, the
other half for the control's networks.
"""

from collections.abc import Mapping

import torch

from hmnpack.bundle import Bundle, read
from hmnpack.bundle.opened import AnyFile
from hmnpack.bundle.pictures import to_uint8
from hmnpack.evaluation.attack import attacked
from hmnpack.evaluation.bench import Bench
from hmnpack.evaluation.checks import fitting_test_split
from hmnpack.evaluation.distances import compared, nearest_by_features, nearest_by_pixels
from hmnpack.evaluation.membership import RESAMPLES
from hmnpack.evaluation.pairs import nearest_pairs, picture_of
from hmnpack.evaluation.real_parts import RealParts, condensed_of, parts_of
from hmnpack.evaluation.run import bench_of, bundle_set, config_of
from hmnpack.runtime.devices import choose_device
from hmnpack.runtime.numbers import as_integer
from hmnpack.runtime.paths import AnyPath
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.audit import Audit
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.sources import Source, SourceOptions, as_recorded, as_seen, open_source
from hmnpack.sources.lazy import in_memory
from hmnpack.training import at_once_on

_DEFAULT_OPTIONS = SourceOptions()


@with_torch_defaults
def audit(  # noqa: PLR0913
    bundle: AnyFile | Bundle,
    data: AnyPath | Source,
    config: EvaluateConfig | None = None,
    *,
    protocol: str | None = None,
    settings: Mapping[str, object] | None = None,
    pictures: bool = True,
    device: str | torch.device = "auto",
    source_options: SourceOptions = _DEFAULT_OPTIONS,
    at_once: int | None = None,
    listener: Listener = no_progress,
) -> Audit:
    """Measure how much a bundle gives away about the real images that it was made from.

    It measures, first, the distance from each synthetic image to the nearest condensed real image,
    by pixels and by the features of a network, beside the same distance of real images that were
    not condensed. Secondly, a membership attack by the loss on networks trained on the bundle,
    beside networks trained on as many random real images.

    The result shows what these two find. It is not a guarantee, and not differential privacy.

    Args:
        bundle: A bundle or its path.
        data: The dataset that the bundle was made from, or anything that ``open_source`` accepts.
        config: Complete training settings, in place of a protocol. With ``held_out``, the images
            that were not condensed are the held-out images, otherwise the test split.
        protocol: Name of the protocol: ``paper`` or ``short``. ``short`` if ``config`` is missing
            too.
        settings: Overrides, nested or by dotted path: `train.epochs`.
        pictures: Include a picture of the nearest pairs, which shows real images.
        device: Device to train on: ``auto``, ``cpu``, ``cuda``, ...
        source_options: How ``data`` is opened, if it is a string; see :func:`hmnpack.evaluate`.
        at_once: Number of networks of a row trained as one batch. None: the device's default.
        listener: Called after every epoch; each row of networks is a stage.

    Raises:
        BadData: if the dataset is not the one that the bundle was made from, or a class has fewer
            than two images that were not condensed.
        BadBundle: if the file is not a valid bundle.
        BadSettings: if a setting or protocol is unknown or a value invalid.
        Diverged: if a training diverges.
    """
    if not isinstance(bundle, Bundle):
        bundle = read(bundle)
    manifest = bundle.manifest
    config = config_of(config, protocol, settings, manifest)
    config = config.model_copy(update={"baselines": False})
    place = choose_device(device)
    most = at_once_on(place, as_integer(at_once))
    options = as_recorded(manifest, source_options, data)
    source = open_source(data, options, listener, needs_test=not config.held_out)
    tested = as_seen(manifest, source) if config.held_out else source
    bench = bench_of(manifest, tested, config, place, listener, at_once=most)
    others = fitting_test_split(manifest, tested)
    parts = parts_of(condensed_of(manifest, source), others, manifest.classes, config.seed)
    return _measured(bench, bundle, parts, pictures)


def _measured(bench: Bench, bundle: Bundle, parts: RealParts, pictures: bool) -> Audit:
    """Train the networks of all rows, and return what distances and attacks give."""
    own = bundle_set(bundle)
    found = attacked(bench, bundle.manifest, own, parts)
    synthetic, real = to_uint8(in_memory(own.images)), parts.condensed.images
    others = parts.non_members.images
    indices, distances = nearest_by_pixels(synthetic, real, bench.device)
    usual = nearest_by_pixels(others, real, bench.device)[1]
    space, by_features = nearest_by_features(
        found.network, (synthetic, others), real, normalisation=bench.normalisation
    )
    pairs = nearest_pairs(own.labels, indices, distances, parts.condensed)
    shown = real[indices[[pair.image for pair in pairs]]]
    return Audit(
        protocol=bench.config,
        held_out=bench.config.held_out,
        condensed=len(parts.condensed),
        mixed_in=parts.mixed_in,
        nearest=(compared("pixels", distances, usual), compared(space, *by_features)),
        pairs=tuple(pairs),
        picture=picture_of(pairs, synthetic, shown) if pictures else None,
        attacks=found.rows,
        over_control=found.over_control,
        resamples=RESAMPLES,
    )
