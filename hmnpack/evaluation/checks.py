"""Whether a bundle, real images and a network go together."""

from hmnpack.errors import BadData, BadSettings
from hmnpack.networks import build_network
from hmnpack.runtime.seeds import stream
from hmnpack.schema.class_names import storable_class_names
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Manifest
from hmnpack.sources import Source, Split


def fitting_test_split(manifest: Manifest, source: Source) -> Split:
    """Return the test split of the data.

    Args:
        manifest: Of the bundle.
        source: The data set.

    Raises:
        BadData: if it has no test split, or is not of the bundle's shape and classes.
    """
    image = manifest.container.image
    if source.image != image:
        raise BadData(
            f"{source.name}: images are {_shape(source.image)}, but the bundle's are "
            f"{_shape(image)}; evaluate on the data that it was made from ({manifest.source.name})"
        )
    if len(source.classes) != len(manifest.classes):
        raise BadData(
            f"{source.name} has {len(source.classes)} classes, but the bundle has "
            f"{len(manifest.classes)}; evaluate on the data that it was made from"
        )
    stored = storable_class_names(source.classes)
    for label, (theirs, ours) in enumerate(zip(stored, manifest.classes, strict=True)):
        if theirs != ours:
            raise BadData(
                f"class {label} of {source.name} is {theirs!r}, but {ours!r} in the bundle; "
                "evaluate on the data that it was made from"
            )
    if source.test is None or not len(source.test):
        held_out = manifest.source.held_out
        instead = f", or test on the {held_out:,} images held out of train (--held-out)"
        raise BadData(
            f"{source.name} has no test split to evaluate on; give the data a test/ or val/ part"
            + (instead if held_out else "")
        )
    return source.test


def check_rows(config: EvaluateConfig, image: ImageShape) -> None:
    """Check, before any training, that the baselines can be made of such images.

    Raises:
        BadSettings: if there are to be pictures, and JPEG has no such number of channels.
    """
    if "bytes" in config.baseline_rows and image.channels not in (1, 3):
        raise BadSettings(
            f"JPEG holds 1 or 3 channels, not {image.channels}; leave out the row `bytes`, for "
            "instance by the setting rows=floats"
        )


def check_network(network: NetworkConfig, manifest: Manifest) -> None:
    """Check, before data are opened, that a network takes a bundle's images.

    Args:
        network: Its name and sizes.
        manifest: Of the bundle.

    Raises:
        BadSettings: if its name is unknown, or it does not.
        MissingExtra: if its name needs a package that is not installed.
    """
    classes, image = len(manifest.classes), manifest.container.image
    build_network(network, classes=classes, image=image, generator=stream(0, "check"))


def _shape(image: ImageShape) -> str:
    return f"{image.channels}x{image.height}x{image.width}"
