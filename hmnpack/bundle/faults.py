"""Exceptions for invalid files: one class per kind of violation."""

import contextlib
from collections.abc import Iterator

from hmnpack.errors import BadBundle

_LONGEST = 60
"""Maximum characters of a quoted value."""


class NotABundle(BadBundle):
    """The path is not a readable file, or the file is not a safetensors file."""


class Truncated(BadBundle):
    """The file is shorter than its header states."""


class TrailingBytes(BadBundle):
    """The file is longer than its header states."""


class HeaderTooLarge(NotABundle):
    """The first 8 bytes state a header length over 1 MiB."""


class BadHeader(BadBundle):
    """The header is not JSON as specified by FORMAT.md."""


class UnknownVersion(BadBundle):
    """This version of hmnpack does not read the file's format version."""


class UnknownContainer(BadBundle):
    """This version of hmnpack does not decode the container or the coding of its floats."""


class UnknownLabels(BadBundle):
    """This version of hmnpack does not support the kind of labels."""


class BadManifest(BadBundle):
    """A key of the manifest is missing, unknown or invalid."""


class NotCanonical(BadManifest):
    """The manifest is not canonical JSON."""


class BadClassName(BadManifest):
    """A class name is not usable as a folder name, or equals another one on disk."""


class BadSize(BadManifest):
    """A size is negative, or exceeds the limits for readers."""


class OverBudget(BadBundle):
    """The file stores more than its budget allows."""


class LedgerMismatch(BadBundle):
    """The ledger, the container and the stored tensors are inconsistent."""


class Corrupted(BadBundle):
    """A sha256 does not match: the file has changed since it was written."""


class NotFinite(BadBundle):
    """A tensor contains an infinity or NaN."""


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Prefix errors about a file with its name, and convert OSError to NotABundle.

    Raises:
        BadBundle: the error, of the same class, with the name.
    """
    try:
        yield
    except BadBundle as fault:
        raise type(fault)(f"{name}: {fault}") from fault.__cause__
    except OSError as error:
        raise NotABundle(f"{name}: cannot be read ({error.strerror or error})") from error


def quoted(value: object) -> str:
    """Return an untrusted value as one printable line of at most 60 characters."""
    text = ascii(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
