"""Class names: which may be stored, and how others are changed until they may."""

import json
import unicodedata
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, FailFast
from pydantic_core import PydanticCustomError

MAX_CLASS_NAME = 200
"""Longest class name, in bytes of UTF-8: file systems stop at 255."""


def class_name_fault(name: str) -> str | None:
    """Return why a class name may not be stored, or None where it may.

    Names become folder names, HTML and terminal text: a reader escapes them for the last two, and
    the first is why separators, control characters and names of whole folders are refused here.
    """
    if not name.strip():
        return "is empty"
    if len(name.encode("utf-8", "surrogatepass")) > MAX_CLASS_NAME:
        return f"is longer than {MAX_CLASS_NAME} bytes"
    if any(_is_invisible(character) for character in name):
        return "has a control, formatting or line-breaking character"
    if any(separator in name for separator in "/\\"):
        return "has a path separator"
    if name != name.strip() or name.startswith(".") or name.endswith("."):
        return "starts or ends with a space or a dot"
    return None


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 40 else name[:37] + "...")


def same_on_disk(name: str) -> str:
    """Return the form under which file systems may take two names for one."""
    return unicodedata.normalize("NFKC", name).casefold()


def storable_class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names as a bundle may store them: as they are, wherever that is possible.

    Separators and control characters become ``_``, spaces and dots at the ends go, long names are
    cut, and names that file systems would take for an earlier one get a number.
    """
    stored: list[str] = []
    taken: set[str] = set()
    for label, name in enumerate(names):
        plain = name if class_name_fault(name) is None else _mended(name) or f"class {label}"
        text, number = plain, label
        while same_on_disk(text) in taken:
            text, number = f"{_cut(plain)} ({number})", number + 1
        taken.add(same_on_disk(text))
        stored.append(text)
    return tuple(stored)


def listed_bytes(names: Sequence[str]) -> int:
    """Return the bytes that class names take in a header, where they are JSON within JSON."""
    return len(json.dumps(json.dumps(names, ensure_ascii=False), ensure_ascii=False).encode())


def _mended(name: str) -> str:
    dark = "".join("_" if c in "/\\" or _is_invisible(c) else c for c in name)
    return _cut("".join(" " if c.isspace() else c for c in dark))


def _cut(name: str) -> str:
    return name.encode()[: MAX_CLASS_NAME - 20].decode(errors="ignore").strip(" .")


def _storable(names: tuple[str, ...]) -> tuple[str, ...]:
    seen: dict[str, str] = {}
    for name in names:
        fault = class_name_fault(name)
        if fault:
            raise PydanticCustomError(
                "class_name",
                "class name {name} {fault}",
                {"name": _shown(name), "fault": fault},
            )
        twin = seen.get(same_on_disk(name))
        if twin is not None:
            raise PydanticCustomError(
                "class_name",
                "class names {twin} and {name} are one on disk",
                {"twin": _shown(twin), "name": _shown(name)},
            )
        seen[same_on_disk(name)] = name
    return names


ClassNames = Annotated[tuple[str, ...], FailFast(), AfterValidator(_storable)]
"""Names that are storable, each and together."""
