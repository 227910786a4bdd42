"""Section on an audit: distances to real images, the nearest pairs, and the membership attack."""

from collections.abc import Iterator

from hmnpack.page.markup import Html, join, name_of, tag
from hmnpack.page.numbers import SPACE, count, decimal, percent, plural, rough
from hmnpack.page.parts import Part, figure, paragraph, table
from hmnpack.schema.audit import CAVEAT, UNITS, Audit, AuditResult, Interval, Nearest, Pair
from hmnpack.schema.manifest import Manifest


def audit_part(manifest: Manifest, result: AuditResult) -> Part:
    """Return the section on what a file gives away about the images that it was made from."""
    found = result.audit
    body = (
        paragraph(_intro(found)),
        paragraph(CAVEAT, kind="note"),
        tag("h3", "Distance to the nearest condensed image"),
        *(_distances(one) for one in found.nearest),
        _pairs(manifest, found),
        tag("h3", "Membership attack"),
        *_attacks(found),
        paragraph("Command: ", tag("code", result.command), kind="small"),
    )
    return Part("audit", "What the file gives away", join(body))


def _intro(found: Audit) -> str:
    others = "held-out images" if found.held_out else "the test split"
    mixed = (
        f" ({count(found.mixed_in)} of these were held out; the file does not record which)"
        if found.mixed_in
        else ""
    )
    return (
        f"An audit compares the file with the {count(found.condensed)} real images that it was "
        f"made from{mixed}, and with real images that were not condensed, from {others}."
    )


def _distances(one: Nearest) -> Html:
    caption = (
        f"{one.space.capitalize()}: {UNITS[one.space]}. {plural(one.copies, 'synthetic image')} at "
        f"distance 0; {percent(one.below_p1)} nearer than the 1{SPACE}% quantile of real images."
    )
    columns = ("from", "images", "least", *(f"{part}{SPACE}%" for part in (1, 5)), "median")
    rows = [
        (
            name,
            count(part.images),
            *(rough(value) for value in (part.least, part.p1, part.p5, part.median)),
        )
        for name, part in (("these images", one.synthetic), ("real, not condensed", one.real))
    ]
    return table(caption, columns, rows)


def _pairs(manifest: Manifest, found: Audit) -> Html:
    """Return the picture of the nearest pairs, if it was not left out, and their numbers."""
    caption = f"The {plural(len(found.pairs), 'nearest pair')} by pixels, nearest first"
    rows = [_pair(manifest, pair) for pair in found.pairs]
    columns = ("image in the file", "class", "class of the real image", "distance")
    numbers = table(f"{caption}.", columns, rows)
    if found.picture is None:
        return numbers
    source = f"data:image/png;base64,{found.picture}"
    alt = f"{caption}: a row of synthetic images, and below each the real one"
    picture = tag("img", src=source, alt=alt, class_="strip")
    return figure(picture, f"{caption}: synthetic above, real below.", numbers)


def _pair(manifest: Manifest, pair: Pair) -> tuple[object, ...]:
    names = manifest.classes
    labels = (
        names[label] if label < len(names) else label for label in (pair.label, pair.real_label)
    )
    return (count(pair.image), *(name_of(str(label)) for label in labels), rough(pair.distance))


def _attacks(found: Audit) -> Iterator[Html]:
    first = found.attacks[0]
    yield paragraph(
        f"Can one tell from the loss of a network whether an image was condensed? The AUC is the "
        f"probability that a condensed image has a lower loss than another; 0.5 is chance. Each "
        f"value is the mean of {plural(len(first.aucs), 'network')}, with a 95{SPACE}% bootstrap "
        f"interval over the tested images ({count(found.resamples)} resamples)."
    )
    columns = ("trained on", "training images", "members", "others", "AUC", f"95{SPACE}% interval")
    rows = [
        (
            "these images" if one is first else one.name,
            *(count(number) for number in (one.images, one.members, one.non_members)),
            decimal(one.auc.value, 3),
            _ends(one.auc),
        )
        for one in found.attacks
    ]
    caption = (
        "Loss-threshold membership inference. In the last row the members are the training images "
        "themselves: what networks give away about the images that they are trained on."
    )
    yield table(caption, columns, rows)
    over = found.over_control
    yield paragraph(
        "These images less the control (real images that were not condensed): "
        f"{decimal(over.value, 3)} ({_ends(over)})."
    )


def _ends(found: Interval) -> str:
    return f"{decimal(found.low, 3)} to {decimal(found.high, 3)}"
