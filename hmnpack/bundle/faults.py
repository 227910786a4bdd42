"""One class per rule that a file can break, each with its own way of being refused."""

import contextlib
from collections.abc import Iterator
from os import PathLike, fspath

from hmnpack.errors import BadBundle

_LONGEST = 60
"""Characters of a quoted value."""


class NotABundle(BadBundle):
    """The path is no readable file, or the file is no safetensors file."""


class Truncated(BadBundle):
    """The file ends before its header says."""


class TrailingBytes(BadBundle):
    """The file goes on after its header says that it ends."""


class HeaderTooLarge(NotABundle):
    """The first 8 bytes announce a header over 1 MiB."""


class BadHeader(BadBundle):
    """The header is not the JSON that FORMAT.md describes."""


class UnknownVersion(BadBundle):
    """The format version is not one that this hmnpack reads."""


class UnknownContainer(BadBundle):
    """The container, or the coding of its numbers, is not one that this hmnpack decodes."""


class UnknownLabels(BadBundle):
    """The labels are of a kind that this hmnpack does not know."""


class BadManifest(BadBundle):
    """A key of the manifest is missing, unknown, or breaks its rule."""


class NotCanonical(BadManifest):
    """The manifest is not written as canonical JSON."""


class BadClassName(BadManifest):
    """A class name could not be the name of a folder, or two could not be told apart."""


class BadSize(BadManifest):
    """A size is negative, absurd, or more than a reader accepts."""


class OverBudget(BadBundle):
    """The file stores more than its budget allows."""


class LedgerMismatch(BadBundle):
    """The ledger, the container and the stored tensors are not about the same tensors."""


class Corrupted(BadBundle):
    """A sha256 does not match: bits of the file have changed since it was written."""


class NotFinite(BadBundle):
    """A tensor holds an infinity or something that is not a number."""


@contextlib.contextmanager
def naming(path: str | PathLike[str]) -> Iterator[None]:
    """Put the path in front of every refusal, and refuse what the system cannot read.

    Raises:
        BadBundle: the refusal, with the path.
    """
    shown = fspath(path)
    try:
        yield
    except BadBundle as fault:
        raise type(fault)(f"{shown}: {fault}") from fault.__cause__
    except OSError as error:
        raise NotABundle(f"{shown}: cannot be read ({error.strerror or error})") from error


def quoted(value: object) -> str:
    """Return a value of a file as one printable line of 60 characters at most."""
    text = ascii(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
