"""Text for people: numbers, sizes, and names that came from elsewhere. Imports nothing heavy."""

from collections.abc import Sequence

from hmnpack.schema.container import ContainerSpec, HmnSpec, ImageShape

KILO = 1000


def safe(name: str) -> str:
    """Return a name out of a file or a folder as one printable line.

    Names in a `.hmn` are text that a stranger may have chosen: escape sequences among them would
    reach the terminal. (Rich's own markup is another matter: tables show plain text only.)
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def size(count: int) -> str:
    """Return a number of bytes in the largest unit that leaves at least one: ``"122.9 kB"``."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < KILO:
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= KILO
    return f"{amount:.1f} GB"


def share(part: int, whole: int) -> str:
    """Return a part as a percentage of the whole: ``"99.7 %"``."""
    return f"{100 * part / whole:.1f} %"


def shape(image: ImageShape) -> str:
    """Return the shape of an image: ``"3 x 32 x 32"``."""
    return f"{image.channels} x {image.height} x {image.width}"


def several(names: Sequence[str], most: int = 10) -> str:
    """Return a count and the first names: ``"100: apple, aquarium fish, ..."``."""
    shown = ", ".join(names[:most])
    return f"{len(names)}: {shown}{', ...' if len(names) > most else ''}"


def container(spec: ContainerSpec) -> str:
    """Return what a container is, in one line."""
    if not isinstance(spec, HmnSpec):
        return f"{spec.kind}: plain pixels"
    extractor = f"1x1 to {spec.extractor_channels}" if spec.extractor_channels else "identity"
    return (
        f"{spec.kind}: {spec.grid} x {spec.grid} grid; channels {spec.dataset_channels} (data set) "
        f"+ {spec.class_channels} (class) + {spec.instance_channels} (image); "
        f"extractor {extractor}"
    )
