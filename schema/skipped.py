"""What is skipped of a dataset: the reasons that a manifest counts, in words."""

UNREADABLE = "unreadable"
LITTER = "litter"
NO_SUFFIX = "no-suffix"
OUTSIDE = "outside"
UNLISTED = "unlisted"
OTHER = "other"

MOST_REASONS = 16
"""Maximum number of reasons in a manifest."""

_ONE_AND_MANY = {
    UNREADABLE: ("unreadable image", "unreadable images"),
    LITTER: ("hidden or system file or folder", "hidden or system files and folders"),
    NO_SUFFIX: ("file without a suffix", "files without a suffix"),
    OUTSIDE: ("file outside the class folders", "files outside the class folders"),
    UNLISTED: ("image in no list", "images in no list"),
    OTHER: ("other file", "other files"),
}


def skipped_in_words(reason: str, number: int) -> str:
    """Return a reason and its count: ``"4 .heic files"``, ``"1 unreadable image"``."""
    one, many = _ONE_AND_MANY.get(reason, (f".{reason} file", f".{reason} files"))
    return f"{number:,} {one if number == 1 else many}"
