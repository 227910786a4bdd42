"""Formatting of numbers for readers."""

from collections.abc import Sequence
from math import floor, log10
from statistics import mean, stdev

from hmnpack.schema.instances import in_words

SPACE = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"


def count(number: int) -> str:
    """Format an integer with thousands separators: ``"30,627"``."""
    return f"{number:,}".replace("-", MINUS)


def decimal(number: float, digits: int = 1) -> str:
    """Format a number with a fixed number of decimals and a proper minus sign."""
    shown = f"{number:,.{digits}f}"
    return shown.replace("-", MINUS) if shown.strip("-0.,") else shown.lstrip("-")


def short(number: float) -> str:
    """Format a number for an axis, with about four digits: ``"0.05"``, ``"12,000"``."""
    if number and not 1e-4 <= abs(number) < 1e7:
        return f"{number:.3g}".replace("-", MINUS)
    digits = max(1, 3 - floor(log10(abs(number)))) if number else 1
    return f"{number:,.{digits}f}".rstrip("0").rstrip(".").replace("-", MINUS)


def rough(number: float) -> str:
    """Format a number with three significant digits: ``"61.1"``, ``"0.0111"``."""
    return short(float(f"{number:.3g}"))


def percent(number: float, digits: int = 1) -> str:
    """Format a percentage: ``"57.7 %"``."""
    return f"{decimal(number, digits)}{SPACE}%"


def share(part: int, whole: int) -> str:
    """Format a fraction as a percentage; small ones as less than 0.1 %."""
    value = 100 * part / whole
    return f"<{SPACE}0.1{SPACE}%" if 0 < value < 0.05 else percent(value)


def size(byte_count: int) -> str:
    """Format a number of bytes in the largest unit of which there is at least 1: ``"122.9 kB"``."""
    amount = float(byte_count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{byte_count}{SPACE}B" if unit == "B" else f"{amount:.1f}{SPACE}{unit}"
        amount /= 1000
    return f"{amount:.1f}{SPACE}GB"


def duration(seconds: float) -> str:
    """Format a duration: ``"33 min"``."""
    for unit, length, most in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 72)):
        if seconds < most * length:
            return f"{max(1, round(seconds / length))}{SPACE}{unit}"
    return f"{round(seconds / 86400):,}{SPACE}days"


def shape(sizes: Sequence[int]) -> str:
    """Format sizes: ``"3 x 32 x 32"``, with a proper multiplication sign."""
    return f"{SPACE}{TIMES}{SPACE}".join(count(each) for each in sizes)


def mean_and_std(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and the sample standard deviation, which is None for a single value."""
    return mean(values), stdev(values) if len(values) > 1 else None


def spread(middle: float, std: float | None, digits: int = 1) -> str:
    """Format a mean and standard deviation: ``"57.7 +- 0.6 %"``, with a proper sign."""
    if std is None:
        return percent(middle, digits)
    return f"{decimal(middle, digits)}{SPACE}{PLUS_MINUS}{SPACE}{percent(std, digits)}"


def of_each(instances: int | tuple[int, ...], one: str) -> str:
    """Format a count per class with its noun: ``"85 images"``, ``"80 to 93 images"``."""
    return f"{in_words(instances)}{SPACE}{one if instances == 1 else one + 's'}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """Format a count with its noun: ``"1 network"``, ``"3 networks"``."""
    return f"{count(number)}{SPACE}{one if number == 1 else many or one + 's'}"
