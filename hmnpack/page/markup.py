"""HTML as values: every text is escaped, because only what this module made counts as markup."""

import unicodedata
from collections.abc import Iterable
from html import escape

_WITHOUT_END = frozenset({"br", "img", "link", "meta", "wbr"})


class Html(str):
    """Markup that is safe as it stands. Put together with other text it is plain text again."""

    __slots__ = ()


Attribute = str | int | float | None


def text(value: object) -> Html:
    r"""Return any text as markup that shows it, on one line.

    What cannot be seen (baselines, direction marks, line breaks, half of a pair) is written as an
    escape such as ``\x1b``, so that a name neither hides nor turns what stands beside it.
    """
    if isinstance(value, Html):
        return value
    seen = "".join(c if _is_visible(c) else ascii(c)[1:-1] for c in str(value))
    return Html(escape(seen))


def _is_visible(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def join(parts: Iterable[object]) -> Html:
    """Return parts one after the other; those that are not markup are escaped."""
    return Html("".join(text(part) for part in parts))


def tag(name: str, /, *children: object, **attributes: Attribute) -> Html:
    """Return an element.

    Args:
        name: Of the element.
        children: Its content; what is not markup is escaped, None is left out.
        attributes: By name, where ``class_`` is ``class`` and ``aria_label`` is ``aria-label``.
            None leaves one out; an empty text writes it without a value.
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
    """Return a name that somebody chose, kept apart from the direction of the text around it."""
    return tag("bdi", value)
