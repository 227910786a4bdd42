"""Where a bundle comes from, how it was made, and what this page does not have."""

from collections.abc import Iterator

from hmnpack.page.events import RunLog
from hmnpack.page.markup import Html, join, name_of, tag
from hmnpack.page.numbers import count, decimal, plural, shape
from hmnpack.page.parts import Part, facts, paragraph
from hmnpack.page.settings import settings
from hmnpack.schema.container import ContainerSpec, HmnSpec
from hmnpack.schema.instances import in_words
from hmnpack.schema.manifest import Manifest

CLASSES = 200
"""Most classes that are listed by name."""


def provenance_part(manifest: Manifest) -> Part:
    """Return the section of the data's origin, the container, and how it was made."""
    return Part("provenance", "Provenance", facts(_facts(manifest)))


def settings_part(manifest: Manifest) -> Part:
    """Return the section of every setting that decided the bytes."""
    if manifest.recipe is None:
        said = "The file was made by hand: it has no settings."
        return Part("settings", "Settings", paragraph(said))
    said = (
        f"{', '.join(_chosen(manifest))}. With the data, the settings decide every byte of the "
        "file on one kind of device and with one version of hmnpack."
    )
    changes = settings(
        "What differs from the recipe", manifest.config, "All other settings are the recipe's."
    )
    return Part("settings", "Settings", join((paragraph(said), changes)))


def _chosen(manifest: Manifest) -> Iterator[str]:
    yield f"Recipe {manifest.recipe}"
    if manifest.seed is not None:
        yield f"seed {manifest.seed}"
    if manifest.holdout is not None:
        yield f"{decimal(100 * manifest.holdout)} % of each class held out for choices"


def missing_part(manifest: Manifest, log: RunLog | None) -> Part | None:
    """Return the section with one sentence on each thing that a page can have and this has not."""
    items = [tag("li", *words) for words in _missing(manifest, log)]
    return Part("missing", "Not on this page", tag("ul", *items)) if items else None


def _missing(manifest: Manifest, log: RunLog | None) -> Iterator[tuple[object, ...]]:
    if manifest.margins is None:
        yield ("How hard each image is to learn: the file has no margins.",)
    if not manifest.provenance.prunings:
        yield ("Pruning: every image that was condensed is in the file.",)
    if log is None:
        yield "Curves of the run: no log was given (", tag("code", "--log run.jsonl"), ")."


def _facts(manifest: Manifest) -> Iterator[tuple[str, object]]:
    source, spec, made = manifest.source, manifest.container, manifest.provenance
    skipped = "".join(
        f"; {plural(number, f'{kind} image')} left out" for kind, number in source.skipped.items()
    )
    images = plural(source.train_images, "training image")
    yield "Data", join((name_of(source.name), f", {images}{skipped}"))
    if source.size is not None:
        yield "Resized to", shape((source.size, source.size))
    if source.test_split is not None:
        part = decimal(100 * source.test_split.part)
        yield "Test split", f"{part} % of the data, drawn with seed {source.test_split.seed}"
    yield "Held out", f"{plural(source.held_out, 'image')} of these that condensing never saw"
    yield "Fingerprint of the data", tag("code", source.fingerprint)
    yield "Classes", _classes(manifest.classes)
    sides = (spec.image.channels, spec.image.height, spec.image.width)
    yield (
        "Images",
        f"{count(spec.images)} of {shape(sides)}, {in_words(spec.instances)} of each class",
    )
    yield "Mean of the channels", _channels(manifest.normalisation.mean)
    yield "Deviation of the channels", _channels(manifest.normalisation.std)
    yield from _container(spec)
    yield "Made with", f"hmnpack {made.hmnpack}, torch {made.torch}, on {made.device}"
    real = "real images (the synthetic ones may resemble them)"
    yield "Started from", real if made.real_images_used_to_start else "noise"
    yield "Format", f"version {manifest.format_version}"
    yield "sha256 of the stored numbers", tag("code", manifest.data_sha256)


def _classes(names: tuple[str, ...]) -> Html:
    shown = [part for name in names[:CLASSES] for part in (", ", name_of(name))][1:]
    left = f" and {count(len(names) - CLASSES)} more" if len(names) > CLASSES else ""
    return join((f"{count(len(names))}: ", *shown, left))


def _container(spec: ContainerSpec) -> Iterator[tuple[str, object]]:
    if not isinstance(spec, HmnSpec):
        yield "Container", f"{spec.kind}: plain pixels"
        return
    yield "Container", f"{spec.kind}, a grid of {shape((spec.grid, spec.grid))} cells"
    yield (
        "Channels",
        f"{spec.dataset_channels} of the data set, {spec.class_channels} of the class, "
        f"{spec.instance_channels} of the image",
    )
    width = spec.extractor_channels
    read = f"a convolution of {shape((1, 1))} to {plural(width, 'channel')}" if width else "none"
    yield "Extractor of a class", read
    widths = ", ".join(map(str, spec.layer_channels))
    between = f"{spec.activation} between the layers, output sigmoid"
    yield "Decoder", f"channels {widths}; {between}"


def _channels(values: tuple[float, ...]) -> str:
    return ", ".join(decimal(value, 4) for value in values)
