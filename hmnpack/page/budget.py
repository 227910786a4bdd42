"""The budget: what each tier takes of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from hmnpack.page.charts import stacked_bar
from hmnpack.page.markup import Html, join, tag
from hmnpack.page.numbers import count, plural, shape, share, size
from hmnpack.page.parts import Part, figure, folded, paragraph, table
from hmnpack.schema.ledger import TensorRow
from hmnpack.schema.manifest import Manifest

MEANINGS: dict[str, str] = {
    "dataset memory": "one for the whole data set",
    "class memory": "one for each class",
    "instance memory": "one for each image",
    "extractor": "what each class reads out of the data set's memory",
    "decoder": "turns memories into pixels, shared by all images",
    "pixels": "the images as they are",
}
UNUSED = "not used"


@dataclass(frozen=True)
class Tier:
    """A part of the budget.

    Attributes:
        name: Of the tier.
        floats: Numbers that it holds.
        bytes: What they take.
    """

    name: str
    floats: int
    bytes: int


def budget_part(manifest: Manifest) -> Part:
    """Return the section with the bar, the sum by tier, and every stored tensor."""
    ledger, budget = manifest.ledger, manifest.budget
    spec = manifest.container
    if budget.ipc is None or budget.floats is None:
        may = f"{count(budget.bytes)} bytes may be stored"
        used = f"{count(ledger.bytes)} bytes, {share(ledger.bytes, budget.bytes)} of it"
    else:
        image = spec.image
        sides = [budget.ipc, spec.classes, image.channels, image.height, image.width]
        may = (
            f"{plural(budget.ipc, 'image')} per class is {shape(sides)} = {count(budget.floats)} "
            f"numbers, or {count(budget.bytes)} bytes"
        )
        used = f"{count(ledger.floats)} numbers, {share(ledger.floats, budget.floats)} of it"
    intro = paragraph(f"{may}. Everything that is stored counts: {used}.")
    return Part("budget", "Budget", join((intro, _bar(manifest), _tensors(manifest))))


def tiers(manifest: Manifest) -> list[Tier]:
    """Return what each tier holds, then what is left: together the budget."""
    ledger, budget = manifest.ledger, manifest.budget
    found = [
        Tier(role, floats, sum(row.bytes for row in ledger.rows if row.role == role))
        for role, floats in ledger.floats_by_role().items()
    ]
    numbers = 0 if budget.floats is None else budget.floats - ledger.floats
    left = Tier(UNUSED, numbers, budget.bytes - ledger.bytes)
    return [*found, left] if left.floats or left.bytes else found


def _bar(manifest: Manifest) -> Html:
    parts, budget = tiers(manifest), manifest.budget
    if budget.floats is None:
        what, whole, sizes = "bytes", budget.bytes, [tier.bytes for tier in parts]
    else:
        what, whole, sizes = "numbers", budget.floats, [tier.floats for tier in parts]
    pairs = list(zip(parts, sizes, strict=True))
    said = ", ".join(f"{tier.name} {share(part, whole)}" for tier, part in pairs)
    lengths = [(_style(tier.name), part / whole) for tier, part in pairs]
    bar = stacked_bar(f"The budget by tier: {said}", lengths)
    rows: list[Sequence[object]] = [
        (_named(tier.name), count(tier.floats), size(tier.bytes), share(part, whole))
        for tier, part in pairs
    ]
    numbers = "" if budget.floats is None else count(budget.floats)
    rows.append(("budget", numbers, size(budget.bytes), share(whole, whole)))
    columns = ("tier", "numbers", "bytes", f"share of {what}")
    below = table("The budget by tier", columns, rows, "sum quiet")
    return figure(bar, "The budget from side to side, by tier", below)


def _named(name: str) -> Html:
    meaning = MEANINGS.get(name)
    swatch = tag("span", class_=f"swatch {_style(name)}", aria_hidden="true")
    return join((swatch, name, " ", tag("small", meaning) if meaning else ""))


def _style(name: str) -> str:
    return "tier-" + name.replace(" ", "-")


def _tensors(manifest: Manifest) -> Html:
    rows = [(_tensor(row), count(row.elements), count(row.bytes)) for row in manifest.ledger.rows]
    whole = table("Every stored tensor", ("tensor", "numbers", "bytes"), rows, "quiet")
    return folded(join(("Every stored tensor ", tag("small", count(len(rows))))), whole)


def _tensor(row: TensorRow) -> Html:
    return join(
        (tag("code", row.name), " ", tag("small", f"{row.role}, {shape(row.shape)}, {row.dtype}"))
    )
