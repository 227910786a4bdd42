"""The complete page: a pure function from the evidence to the text of one HTML file."""

from collections.abc import Iterator
from dataclasses import dataclass

from hmnpack.page.audited import audit_part
from hmnpack.page.budget import budget_part
from hmnpack.page.curves import curves_part
from hmnpack.page.events import RunLog
from hmnpack.page.frame import STYLES, WITH_STRIPS, framed, policy, style
from hmnpack.page.gallery import Gallery
from hmnpack.page.images import images_part
from hmnpack.page.margins import margins_part
from hmnpack.page.markup import Html, name_of, tag
from hmnpack.page.numbers import count, plural, shape, share, size, spread
from hmnpack.page.parts import Part, facts, paragraph
from hmnpack.page.provenance import missing_part, provenance_part, settings_part
from hmnpack.page.pruning import pruning_part
from hmnpack.page.scores import headline, scores_part
from hmnpack.schema.audit import AuditResult
from hmnpack.schema.instances import in_words
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.result import Result

__all__ = ["Evidence", "page_of", "policy", "style"]


@dataclass(frozen=True)
class Evidence:
    """All input of a page.

    Attributes:
        manifest: Manifest of the bundle.
        gallery: Decoded images.
        log: Log of the run that made the bundle, if available.
        result: An evaluation that is not recorded in the bundle, if available.
        audit: An audit of the bundle, if available.
    """

    manifest: Manifest
    gallery: Gallery
    log: RunLog | None = None
    result: Result | None = None
    audit: AuditResult | None = None


def page_of(evidence: Evidence) -> str:
    """Return the text of the page, which is identical for equal evidence.

    The page is self-contained: it has no external links and no scripts, and its content security
    policy forbids both, and any style sheet except its own.
    """
    title = f"{evidence.manifest.source.name}, {_budget(evidence.manifest)} - hmnpack report"
    styles = WITH_STRIPS if evidence.audit else STYLES
    return framed(title, _header(evidence), list(_parts(evidence)), styles)


def _parts(evidence: Evidence) -> Iterator[Part]:
    manifest, gallery, log = evidence.manifest, evidence.gallery, evidence.log
    yield budget_part(manifest)
    yield scores_part(manifest, evidence.result)
    if gallery.by_class:
        yield images_part(manifest, gallery.by_class)
    if manifest.margins:
        yield margins_part(manifest, manifest.margins, gallery)
    if manifest.provenance.prunings:
        yield pruning_part(manifest)
    if evidence.audit:
        yield audit_part(manifest, evidence.audit)
    curves = curves_part(log) if log else None
    if curves:
        yield curves
    yield provenance_part(manifest)
    yield settings_part(manifest)
    missing = missing_part(manifest, log)
    if missing:
        yield missing


def _header(evidence: Evidence) -> Html:
    manifest = evidence.manifest
    spec = manifest.container
    image = shape((spec.image.channels, spec.image.height, spec.image.width))
    lead = (
        f"{plural(spec.images, 'image')} of {plural(spec.classes, 'class', 'classes')}, {image}, "
        f"stored in {count(manifest.ledger.floats)} floats, within the budget of "
        f"{_budget(manifest)}."
    )
    return tag(
        "header",
        paragraph("Condensed dataset", kind="kicker"),
        tag("h1", name_of(manifest.source.name)),
        paragraph(lead, kind="lead"),
        facts(_key_figures(evidence), "keys"),
    )


def _budget(manifest: Manifest) -> str:
    budget = manifest.budget
    return size(budget.bytes) if budget.ipc is None else f"{plural(budget.ipc, 'image')} per class"


def _key_figures(evidence: Evidence) -> Iterator[tuple[str, object]]:
    manifest = evidence.manifest
    ledger, budget = manifest.ledger, manifest.budget
    yield "images per class", in_words(manifest.container.instances)
    parts = (ledger.bytes, budget.bytes)
    if budget.floats is not None:
        parts = (ledger.floats, budget.floats)
    yield "of the budget used", share(*parts)
    yield "stored", size(ledger.bytes)
    quoted = headline(manifest, evidence.result)
    if quoted:
        name, line = quoted
        yield name, spread(line.mean, line.std)
