"""Checks that a bundle, a dataset and a network are compatible."""

from hmnpack.errors import BadData, BadSettings
from hmnpack.networks import build_network
from hmnpack.runtime.seeds import stream
from hmnpack.schema.class_names import storable_class_names
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Manifest
from hmnpack.sources import Source, Split, other_size


def fitting_test_split(manifest: Manifest, source: Source) -> Split:
    """Return the test split of a dataset that matches the bundle.

    Args:
        manifest: Manifest of the bundle.
        source: The dataset.

    Raises:
        BadData: if the dataset has no test split, or its image shape or classes are not the
            bundle's.
    """
    image = manifest.container.image
    if source.image != image:
        raise BadData(
            f"{source.name}: images are {_shape(source.image)}, but the bundle's are "
            f"{_shape(image)}; evaluate on the dataset it was made from ({manifest.source.name})"
            + other_size(manifest, source)
        )
    if len(source.classes) != len(manifest.classes):
        raise BadData(
            f"{source.name} has {len(source.classes)} classes, but the bundle has "
            f"{len(manifest.classes)}; evaluate on the dataset it was made from"
        )
    stored = storable_class_names(source.classes)
    for label, (theirs, ours) in enumerate(zip(stored, manifest.classes, strict=True)):
        if theirs != ours:
            raise BadData(
                f"class {label} of {source.name} is {theirs!r}, but {ours!r} in the bundle; "
                "evaluate on the dataset it was made from"
            )
    if source.test_problem:
        raise source.test_problem
    if source.test is None or not len(source.test):
        held_out = manifest.source.held_out
        instead = f", or test on the {held_out:,} held-out training images (--held-out)"
        raise BadData(
            f"{source.name} has no test split to evaluate on; give the dataset a test/ or val/ part"
            + (instead if held_out else "")
        )
    return source.test


def check_rows(config: EvaluateConfig, image: ImageShape) -> None:
    """Check, before any training, that the requested baselines support this image shape.

    Raises:
        BadSettings: if the JPEG baseline is requested and the images have neither 1 nor 3 channels.
    """
    if "bytes" in config.baseline_rows and image.channels not in (1, 3):
        raise BadSettings(
            f"JPEG supports 1 or 3 channels, not {image.channels}; omit the row `bytes`, for "
            "instance with the setting rows=floats"
        )


def check_network(network: NetworkConfig, manifest: Manifest) -> None:
    """Check, before the dataset is opened, that a network accepts the bundle's images.

    Args:
        network: Name and sizes of the network.
        manifest: Manifest of the bundle.

    Raises:
        BadSettings: if the name is unknown, or the network does not accept images of this shape.
        MissingExtra: if the network needs a package that is not installed.
    """
    classes, image = len(manifest.classes), manifest.container.image
    build_network(network, classes=classes, image=image, generator=stream(0, "check"))


def _shape(image: ImageShape) -> str:
    return f"{image.channels}x{image.height}x{image.width}"
