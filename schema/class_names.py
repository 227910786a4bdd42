"""Class names: which names can be stored, and how other names are sanitised."""

import json
import unicodedata
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, FailFast
from pydantic_core import PydanticCustomError

MAX_CLASS_NAME = 200
"""Maximum length of a class name, in bytes of UTF-8. File systems allow 255."""


def class_name_fault(name: str) -> str | None:
    """Return the reason why a class name cannot be stored, or None if it can.

    Names are used as folder names and in HTML and terminal output. Readers escape them for HTML
    and terminals; separators, control characters and leading dots are rejected here because they
    are unsafe in folder names.
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
    """Return a normalised form, equal for names that a file system may consider the same."""
    return unicodedata.normalize("NFKC", name).casefold()


def storable_class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names that a bundle can store, unchanged where possible.

    Separators and control characters are replaced by ``_``, leading and trailing spaces and dots
    are removed, long names are truncated, and names that a file system may consider equal to an
    earlier one get a number.
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
    """Return the size of class names in a header, in bytes; they are JSON inside a JSON string."""
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
                "class names {twin} and {name} would be the same folder name",
                {"twin": _shown(twin), "name": _shown(name)},
            )
        seen[same_on_disk(name)] = name
    return names


ClassNames = Annotated[tuple[str, ...], FailFast(), AfterValidator(_storable)]
"""Class names, each storable and all distinct on disk."""
