"""Section on the budget: the share of each tier."""

from collections.abc import Sequence
from dataclasses import dataclass

from hmnpack.page.charts import stacked_bar
from hmnpack.page.markup import Html, join, tag
from hmnpack.page.numbers import count, plural, shape, share, size
from hmnpack.page.parts import Part, figure, folded, paragraph, table
from hmnpack.schema.ledger import TensorRow
from hmnpack.schema.manifest import Manifest

MEANINGS: dict[str, str] = {
    "dataset memory": "one for the entire dataset",
    "class memory": "one per class",
    "instance memory": "one per image",
    "extractor": "one per class, applied to the dataset memory",
    "decoder": "converts memories to pixels, shared by all images",
    "pixels": "plain pixels of the images",
    "canvases": "pixels of several images each",
    "shared bases": "at half the side, shared by all images",
    "coefficients": "one row per image, which combines the bases",
    "bases": "one per group of images of a class",
    "hallucinators": "convert bases to pixels, shared by all classes",
}
UNUSED = "not used"


@dataclass(frozen=True)
class Tier:
    """A component of the budget.

    Attributes:
        name: Name of the tier.
        floats: Stored floats of the tier.
        bytes: Size of the tier, in bytes.
    """

    name: str
    floats: int
    bytes: int


def budget_part(manifest: Manifest) -> Part:
    """Return the section with a stacked bar, a table of the tiers, and all stored tensors."""
    ledger, budget = manifest.ledger, manifest.budget
    spec = manifest.container
    if budget.ipc is None or budget.floats is None:
        may = f"The budget is {count(budget.bytes)} bytes"
        used = f"{count(ledger.bytes)} bytes, {share(ledger.bytes, budget.bytes)} of the budget"
    else:
        image = spec.image
        sides = [budget.ipc, spec.classes, image.channels, image.height, image.width]
        may = (
            f"The budget of {plural(budget.ipc, 'image')} per class is {shape(sides)} = "
            f"{count(budget.floats)} floats, or {count(budget.bytes)} bytes"
        )
        used = f"{count(ledger.floats)} floats, {share(ledger.floats, budget.floats)} of the budget"
    intro = paragraph(f"{may}. All stored tensors count against it: {used}.")
    return Part("budget", "Budget", join((intro, _bar(manifest), _tensors(manifest))))


def tiers(manifest: Manifest) -> list[Tier]:
    """Return the size of each tier, and of the unused rest; they add up to the budget."""
    ledger, budget = manifest.ledger, manifest.budget
    found = [
        Tier(role, floats, sum(row.bytes for row in ledger.rows if row.role == role))
        for role, floats in ledger.floats_by_role().items()
    ]
    floats = 0 if budget.floats is None else budget.floats - ledger.floats
    left = Tier(UNUSED, floats, budget.bytes - ledger.bytes)
    return [*found, left] if left.floats or left.bytes else found


def _bar(manifest: Manifest) -> Html:
    parts, budget = tiers(manifest), manifest.budget
    if budget.floats is None:
        what, whole, sizes = "bytes", budget.bytes, [tier.bytes for tier in parts]
    else:
        what, whole, sizes = "floats", budget.floats, [tier.floats for tier in parts]
    pairs = list(zip(parts, sizes, strict=True))
    said = ", ".join(f"{tier.name} {share(part, whole)}" for tier, part in pairs)
    lengths = [(_style(tier.name), part / whole) for tier, part in pairs]
    bar = stacked_bar(f"The budget by tier: {said}", lengths)
    rows: list[Sequence[object]] = [
        (_named(tier.name), count(tier.floats), size(tier.bytes), share(part, whole))
        for tier, part in pairs
    ]
    floats = "" if budget.floats is None else count(budget.floats)
    rows.append(("budget", floats, size(budget.bytes), share(whole, whole)))
    columns = ("tier", "floats", "bytes", f"share of {what}")
    below = table("The budget by tier", columns, rows, "sum quiet")
    return figure(bar, "Shares of the budget by tier", below)


def _named(name: str) -> Html:
    meaning = MEANINGS.get(name)
    swatch = tag("span", class_=f"swatch {_style(name)}", aria_hidden="true")
    return join((swatch, name, " ", tag("small", meaning) if meaning else ""))


def _style(name: str) -> str:
    return "tier-" + name.replace(" ", "-")


def _tensors(manifest: Manifest) -> Html:
    rows = [(_tensor(row), count(row.elements), count(row.bytes)) for row in manifest.ledger.rows]
    inner = table("All stored tensors", ("tensor", "floats", "bytes"), rows, "quiet")
    return folded(join(("All stored tensors ", tag("small", count(len(rows))))), inner)


def _tensor(row: TensorRow) -> Html:
    return join(
        (tag("code", row.name), " ", tag("small", f"{row.role}, {shape(row.shape)}, {row.dtype}"))
    )
