"""What a failed download or clone leaves in place of a file, told by its first bytes."""

from pathlib import Path

HEAD = 8
"""Number of first bytes that are enough to tell."""

_PAGE = "it is a web page", "download the file itself"

_FOUND = {
    b"version ": ("it is a Git LFS pointer", "run git lfs pull in the repository it came from"),
    b"<!doctyp": _PAGE,
    b"<html": _PAGE,
    bytes(HEAD): ("it is filled with zeros", "download or copy it again"),
}
"""First bytes, in lower case -> what the file is, and what to do."""


def mistaken_for(head: bytes) -> tuple[str, str] | None:
    """Return what a file is instead of what it should be, and what to do; None if unknown.

    Args:
        head: Its first bytes, up to `HEAD`.
    """
    if not head:
        return "it is empty", "download or copy it again"
    shown = head[:HEAD].lower()
    return next((found for start, found in _FOUND.items() if shown.startswith(start)), None)


def first_bytes(path: Path) -> bytes:
    """Return the first bytes of a file; a space if it cannot be read or is no regular file."""
    try:
        if not path.is_file():
            return b" "
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b" "
