"""HTML generation: all text is escaped, except values of type `Html` from this module."""

import unicodedata
from collections.abc import Iterable
from html import escape

_WITHOUT_END = frozenset({"br", "img", "link", "meta", "wbr"})


class Html(str):
    """Safe markup. String operations return a plain `str`, which is escaped again."""

    __slots__ = ()


Attribute = str | int | float | None


def text(value: object) -> Html:
    r"""Return any value as escaped markup on one line.

    Invisible characters (control characters, direction marks, line breaks, lone surrogates) are
    written as escapes such as ``\x1b``, so that a name cannot hide or reverse the text around it.
    """
    if isinstance(value, Html):
        return value
    seen = "".join(c if _is_visible(c) else ascii(c)[1:-1] for c in str(value))
    return Html(escape(seen))


def _is_visible(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def join(parts: Iterable[object]) -> Html:
    """Concatenate parts; those that are not markup are escaped."""
    return Html("".join(text(part) for part in parts))


def tag(name: str, /, *children: object, **attributes: Attribute) -> Html:
    """Return an element.

    Args:
        name: Name of the element.
        children: Content; values that are not markup are escaped, None is omitted.
        attributes: Attributes by name, where ``class_`` is ``class`` and ``aria_label`` is
            ``aria-label``. None omits an attribute; an empty string writes it without a value.
    """
    opening = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _WITHOUT_END:
        return Html(f"<{name}{opening}>")
    content = join(child for child in children if child is not None)
    return Html(f"<{name}{opening}>{content}</{name}>")


def _attribute(key: str, value: Attribute) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None:
        return ""
    if value == "":
        return f" {name}"
    written = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f' {name}="{text(written)}"'


def name_of(value: str) -> Html:
    """Return an untrusted name, isolated from the text direction around it."""
    return tag("bdi", value)
