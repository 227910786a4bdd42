"""Names of classes, folders and columns, usual and odd."""

import os
from random import Random

PLAIN = ("ant", "bee", "cat", "dog", "elk", "fox", "0", "1", "2", "10", "n01440764", "Zebra")

ODD = (
    *("Ant", "ANT", "train", "test", "val", "data", "classes.json", "CON", "nul.txt", "lpt1"),
    *("a b", " a", "a ", "a.", "a..b", "-x", "--force", "%s", "{0}", "[red]x[b]", "<b>&amp;"),
    *("a\nb", "a\tb", "\x1b[31mred", "\x7f", "a\rb", "back\\slash", "C:", "a:b", "*?", "|", '"'),
    *("\u00e9", "e\u0301", "\u202eevil", "\u200bzero", "\U0001f600", "\u4e2d\u6587", "\u2028"),
    *(
        "\u0130",
        "\u00df",
        "ss",
        "SS",
        "\ufb01",
        "fi",
        "\u2460",
        "x" * 199,
        "y" * 201,
        "\u00e9" * 127,
    ),
    *("x.png", "x.parquet", "metadata", "class 0", "class 1", "a (1)", "None", "nan", "~", "$HOME"),
    *(os.fsdecode(b"\xff\xfe"), os.fsdecode(b"caf\xe9"), "\u3000wide\u3000", "\u00a0nb"),
)
"""Names that a folder of a class may have on Linux."""


def draw_names(draw: Random, count: int, odd: float) -> list[str]:
    """Return different names, each odd with a probability."""
    found: list[str] = []
    while len(found) < count:
        name = draw.choice(ODD if draw.random() < odd else PLAIN)
        if name not in found:
            found.append(name)
    return found
