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
    floats = [budget.ipc, spec.classes, spec.image.channels, spec.image.height, spec.image.width]
    intro = paragraph(
        f"{plural(budget.ipc, 'image')} per class is {shape(floats)} = {count(budget.floats)} "
        f"numbers, or {count(budget.bytes)} bytes. Everything that is stored counts: "
        f"{count(ledger.floats)} numbers, {share(ledger.floats, budget.floats)} of it."
    )
    return Part("budget", "Budget", join((intro, _bar(manifest), _tensors(manifest))))


def tiers(manifest: Manifest) -> list[Tier]:
    """Return what each tier holds, then what is left: together the budget."""
    ledger, budget = manifest.ledger, manifest.budget
    found = [
        Tier(role, floats, sum(row.bytes for row in ledger.rows if row.role == role))
        for role, floats in ledger.floats_by_role().items()
    ]
    left = Tier(UNUSED, budget.floats - ledger.floats, budget.bytes - ledger.bytes)
    return [*found, left] if left.floats or left.bytes else found


def _bar(manifest: Manifest) -> Html:
    parts, whole = tiers(manifest), manifest.budget.floats
    said = ", ".join(f"{tier.name} {share(tier.floats, whole)}" for tier in parts)
    lengths = [(_style(tier.name), tier.floats / whole) for tier in parts]
    bar = stacked_bar(f"The budget by tier: {said}", lengths)
    rows: list[Sequence[object]] = [
        (_named(tier.name), count(tier.floats), size(tier.bytes), share(tier.floats, whole))
        for tier in parts
    ]
    rows.append(("budget", count(whole), size(manifest.budget.bytes), share(whole, whole)))
    columns = ("tier", "numbers", "bytes", "share of numbers")
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
