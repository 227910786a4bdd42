"""Sections on the origin of a bundle, its settings, and the information that is missing."""

from collections.abc import Iterator

from hmnpack.page.events import RunLog
from hmnpack.page.markup import Html, join, name_of, tag
from hmnpack.page.numbers import count, decimal, plural, shape
from hmnpack.page.parts import Part, facts, paragraph
from hmnpack.page.settings import settings
from hmnpack.schema.container import ContainerSpec, HmnSpec
from hmnpack.schema.instances import in_words
from hmnpack.schema.manifest import Made, Manifest
from hmnpack.schema.skipped import skipped_in_words

CLASSES = 200
"""Maximum number of classes listed by name."""


def provenance_part(manifest: Manifest) -> Part:
    """Return the section on the data, the container, and the software that made the bundle."""
    return Part("provenance", "Provenance", facts(_facts(manifest)))


def settings_part(manifest: Manifest) -> Part:
    """Return the section on the settings, which determine the bytes of the file."""
    if manifest.recipe is None:
        said = "The file was not made by a recipe and records no settings."
        if any(edit.made for edit in manifest.provenance.edits or ()):
            said = "The classes were made in several runs; see the provenance."
        return Part("settings", "Settings", paragraph(said))
    said = f"{', '.join(_chosen(manifest))}."
    if not manifest.provenance.edits:
        said += (
            " For the same data, kind of device and version of hmnpack, the settings determine "
            "every byte of the file."
        )
    changes = settings(
        "Settings that differ from the recipe",
        manifest.config,
        "All other settings are the recipe's.",
    )
    return Part("settings", "Settings", join((paragraph(said), changes)))


def _chosen(manifest: Manifest) -> Iterator[str]:
    yield f"Recipe {manifest.recipe}"
    if manifest.seed is not None:
        yield f"seed {manifest.seed}"
    if manifest.holdout is not None:
        yield f"{decimal(100 * manifest.holdout)} % of each class held out for validation"


def missing_part(manifest: Manifest, log: RunLog | None) -> Part | None:
    """Return the section with one sentence on each optional section that this page lacks."""
    items = [tag("li", *words) for words in _missing(manifest, log)]
    return Part("missing", "Not on this page", tag("ul", *items)) if items else None


def _missing(manifest: Manifest, log: RunLog | None) -> Iterator[tuple[object, ...]]:
    if manifest.margins is None:
        yield ("Learning difficulty of the images: the file has no margins.",)
    if not manifest.provenance.prunings:
        yield ("Pruning: the file contains all condensed images.",)
    if log is None:
        yield "Curves of the run: no log was given (", tag("code", "--log run.jsonl"), ")."


def _facts(manifest: Manifest) -> Iterator[tuple[str, object]]:
    source, spec, made = manifest.source, manifest.container, manifest.provenance
    yield "Data", _data(manifest)
    if source.size is not None:
        yield "Resized to", shape((source.size, source.size))
    for kind, listed in (("Training", source.train_list), ("Test", source.test_list)):
        if listed is not None:
            yield f"{kind} images", join(("listed in ", tag("code", listed)))
    for kind, column in (("Images", source.image_column), ("Labels", source.label_column)):
        if column is not None:
            yield f"{kind} read from", f"column {column}"
    if source.classes is not None:
        yield "Classes chosen", _classes(source.classes)
    if source.test_split is not None:
        part = decimal(100 * source.test_split.part)
        yield "Test split", f"{part} % of the data, sampled with seed {source.test_split.seed}"
    yield from _split(manifest)
    yield "Classes", _classes(manifest.classes)
    sides = (spec.image.channels, spec.image.height, spec.image.width)
    yield (
        "Images",
        f"{count(spec.images)} of {shape(sides)}, {in_words(spec.instances)} per class",
    )
    yield "Mean per channel", _channels(manifest.normalisation.mean)
    yield "Standard deviation per channel", _channels(manifest.normalisation.std)
    yield from _container(spec)
    yield "Made with", f"hmnpack {made.hmnpack}, torch {made.torch}, on {made.device}"
    real = "real images (the synthetic ones may resemble them)"
    yield "Initialised from", real if made.real_images_used_to_start else "noise"
    for edit in made.edits or ():
        to = "to" if edit.made else "of"
        yield f"{edit.operation.capitalize()} {to}", tag("code", ", ".join(edit.files))
        for classes in edit.made or ():
            yield plural(classes.classes, "class", "classes"), _made(classes)
    yield "Format", f"version {manifest.format_version}"
    yield "sha256 of the tensors", tag("code", manifest.data_sha256)


def _data(manifest: Manifest) -> Html:
    source = manifest.source
    images = "; the file does not record its training split"
    if manifest.names_training_split:
        images = f", {plural(source.train_images, 'training image')}"
    skipped = "".join(
        f"; {skipped_in_words(reason, number)} skipped" for reason, number in source.skipped.items()
    )
    return join((name_of(source.name), f"{images}{skipped}"))


def _split(manifest: Manifest) -> Iterator[tuple[str, object]]:
    source = manifest.source
    if manifest.names_training_split:
        yield "Held out", f"{plural(source.held_out, 'image')} of these, not used for condensation"
        yield "Fingerprint of the training split", tag("code", source.fingerprint)


def _made(found: Made) -> Html:
    """Return the data and the recipe that some classes of an appended file were made by."""
    words = f", {plural(found.source.train_images, 'training image')}"
    if found.recipe is not None:
        words += f"; recipe {found.recipe}"
    if found.seed is not None:
        words += f", seed {found.seed}"
    return join(
        (name_of(found.source.name), words, "; fingerprint ", tag("code", found.source.fingerprint))
    )


def _classes(names: tuple[str, ...]) -> Html:
    shown = [part for name in names[:CLASSES] for part in (", ", name_of(name))][1:]
    left = f" and {count(len(names) - CLASSES)} more" if len(names) > CLASSES else ""
    return join((f"{count(len(names))}: ", *shown, left))


def _container(spec: ContainerSpec) -> Iterator[tuple[str, object]]:
    if not isinstance(spec, HmnSpec):
        yield "Container", f"{spec.kind}: {spec.summary}"
        return
    yield "Container", f"{spec.kind}, a grid of {shape((spec.grid, spec.grid))} cells"
    yield (
        "Channels",
        f"{spec.dataset_channels} in the dataset memory, {spec.class_channels} in class memories, "
        f"{spec.instance_channels} in instance memories",
    )
    width = spec.extractor_channels
    read = f"{shape((1, 1))} convolution to {plural(width, 'channel')}" if width else "none"
    yield "Extractor per class", read
    widths = ", ".join(map(str, spec.layer_channels))
    between = f"{spec.activation} between layers, sigmoid output"
    yield "Decoder", f"channels {widths}; {between}"


def _channels(values: tuple[float, ...]) -> str:
    return ", ".join(decimal(value, 4) for value in values)
