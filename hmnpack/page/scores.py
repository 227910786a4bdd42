"""Section on scores, with baselines and the accuracies reported by the paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from hmnpack.evaluation.student import t_quantile
from hmnpack.page.charts import interval
from hmnpack.page.markup import Html, join, tag
from hmnpack.page.numbers import PLUS_MINUS, SPACE, decimal, mean_and_std, plural, spread
from hmnpack.page.paper import PaperScore, is_jpeg_copy, paper_score
from hmnpack.page.parts import Part, paragraph, table
from hmnpack.page.settings import settings
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.result import Result
from hmnpack.schema.score import Score

OWN = "these images"


@dataclass(frozen=True)
class Line:
    """One row of a table of scores.

    Attributes:
        name: Training data of the networks.
        kind: Origin of the row: ``own``, ``baseline`` or ``paper``.
        mean: Mean accuracy, in percent.
        std: Sample standard deviation, in percentage points; None if undefined or unknown.
        images: Number of training images, if known.
        networks: Number of networks, if known.
    """

    name: str
    kind: str
    mean: float
    std: float | None
    images: int | None = None
    networks: int | None = None

    @property
    def counts(self) -> str:
        """Numbers of images and networks as text, as far as they are known."""
        images = "" if self.images is None else plural(self.images, "image")
        networks = "" if self.networks is None else plural(self.networks, "network")
        return ", ".join(filter(None, (images, networks)))

    @property
    def reach(self) -> float | None:
        """Half-width of the mean's 95 % confidence interval (Student's t), in percentage points."""
        if self.std is None or self.networks is None or self.networks < 2:
            return None
        return t_quantile(0.975, self.networks - 1) * self.std / sqrt(self.networks)


def scores_part(manifest: Manifest, result: Result | None) -> Part:
    """Return the section with the scores of the file, of a result file, and of the paper."""
    paper = paper_score(manifest)
    last = len(manifest.scores)
    bodies = [
        _of_score(score, number, last, paper) for number, score in enumerate(manifest.scores, 1)
    ]
    if result is not None and not any(_is_of(result, score) for score in manifest.scores):
        bodies.append(_of_result(result, manifest, paper))
    if not bodies:
        bodies.append(_nothing(paper))
    held_out = [score.held_out for score in manifest.scores]
    if result is not None:
        held_out.append(_protocol_of(result).held_out)
    if paper and not (held_out and all(held_out)):
        bodies.append(_note(manifest, paper))
    return Part("scores", "Scores", join(bodies))


def _is_of(result: Result, score: Score) -> bool:
    """Return whether a result and a recorded score are the same measurement."""
    protocol = _protocol_of(result)
    return (protocol.network.name, protocol.seed, protocol.held_out, result.accuracies) == (
        score.network,
        score.seed,
        score.held_out,
        score.accuracies,
    )


def headline(manifest: Manifest, result: Result | None) -> tuple[str, Line] | None:
    """Return the name and line shown in the header: the last score, otherwise the result."""
    if manifest.scores:
        last = manifest.scores[-1]
        return _accuracy(last.held_out), lines_of_score(last)[0]
    return (
        (_accuracy(_protocol_of(result).held_out), _lines_of_result(result)[0]) if result else None
    )


def _protocol_of(result: Result) -> EvaluateConfig:
    """Return the evaluation settings of a result; if not recorded, it used the test split."""
    return result.protocol or EvaluateConfig()


def _accuracy(held_out: bool) -> str:
    return "held-out accuracy" if held_out else "test accuracy"


def lines_of_score(score: Score) -> list[Line]:
    """Return the row of a score, then those of its baselines."""
    middle, std = mean_and_std(score.accuracies)
    own = Line(OWN, "own", middle, std, score.images, len(score.accuracies))
    baselines = [
        Line(row.name, "baseline", row.mean, _std(row.std, row.networks), row.images, row.networks)
        for row in score.baselines
    ]
    return [own, *baselines]


def _lines_of_result(result: Result) -> list[Line]:
    images, networks = result.figures.get("images"), result.networks or 1
    own = Line(
        OWN,
        "own",
        result.accuracy_mean or 0.0,
        _std(result.accuracy_std, networks),
        images if isinstance(images, int) else None,
        networks,
    )
    baselines = [
        Line(
            row.name,
            "baseline",
            row.accuracy_mean,
            _std(row.accuracy_std, row.networks),
            row.images,
            row.networks,
        )
        for row in result.baselines
    ]
    return [own, *baselines]


def _std(value: float | None, networks: int) -> float | None:
    return value if networks > 1 else None


def _lines_of_paper(paper: PaperScore | None, held_out: bool) -> list[Line]:
    """Return the paper's lines; none if networks were tested on held-out images.

    The paper's accuracies are on the test split, so they are not comparable with those.

    Args:
        paper: Accuracies reported by the paper, if any.
        held_out: Whether networks were tested on held-out images.
    """
    if paper is None or held_out:
        return []
    return [
        Line(f"the paper, {paper.network}", "paper", paper.accuracy, paper.std),
        Line(f"the paper, {paper.network}, full {paper.title}", "paper", paper.whole, None),
    ]


def _of_score(score: Score, number: int, last: int, paper: PaperScore | None) -> Html:
    title = f"{score.network}, tested on {score.tested_on}"
    said = (
        f"{plural(len(score.accuracies), 'network')}, trained from scratch by protocol "
        f"{score.protocol} with seed {score.seed} and tested once, after the last epoch."
    )
    config = settings(
        "Settings that differ from the protocol",
        score.config,
        "All settings are the protocol's.",
    )
    heading = title if last == 1 else f"Score {number}: {title}"
    lines = [*lines_of_score(score), *_lines_of_paper(paper, score.held_out)]
    made = (_table(title, lines), _made_with(score), config)
    return join((tag("h3", heading), paragraph(said), *made))


def _made_with(score: Score) -> Html:
    versions = score.versions
    software = (
        f"; hmnpack {versions.hmnpack}, torch {versions.torch}, torchvision "
        f"{versions.torchvision}, Python {versions.python}"
        if versions
        else ""
    )
    device = f", on {score.device}" if score.device else ""
    tested = "Held-out images " if score.held_out else "Test split "
    split = tag("code", score.fingerprint)
    return paragraph(tested, split, f"{software}{device}.", kind="small")


def _of_result(result: Result, manifest: Manifest, paper: PaperScore | None) -> Html:
    facts = result.figures
    network, epochs = facts.get("network"), facts.get("epochs")
    protocol = _protocol_of(result)
    tested = f", tested on {protocol.tested_on(result.data.name)}" if result.data else ""
    title = f"{network or 'network'}{tested}"
    known = facts.get("bundle_data_sha256") is not None
    said = (
        f"From the result file of {result.name!r}, made at commit {result.commit} on "
        f"{result.machine.device}"
        + (f", {epochs} epochs" if epochs is not None else "")
        + ("." if known else "; it does not state which bundle was evaluated.")
    )
    lines = [*_lines_of_result(result), *_lines_of_paper(paper, protocol.held_out)]
    again = paragraph("Command: ", tag("code", result.command), kind="small")
    return join((tag("h3", title), paragraph(said), _table(title, lines), again))


def _table(title: str, lines: Sequence[Line]) -> Html:
    rows = [
        (
            _named(line),
            spread(line.mean, line.std),
            "" if line.reach is None else f"{PLUS_MINUS}{SPACE}{decimal(line.reach)}",
        )
        for line in lines
    ]
    caption = (
        f"{title}: mean and standard deviation of the networks' accuracy, and the mean's 95 % "
        "confidence interval (the thick part of a bar). Bars range from 0 to 100 %."
    )
    return table(caption, ("trained on", "accuracy", "95 % interval"), rows, "scores")


def _named(line: Line) -> Html:
    counts = tag("small", line.counts) if line.counts else ""
    return join((line.name, " ", counts, interval(line.mean, line.reach, line.kind)))


def _nothing(paper: PaperScore | None) -> Html:
    how = tag("code", "hmnpack evaluate FILE --data NAME --record")
    said = paragraph("This file has no recorded score. ", how, " records one.")
    if paper is None:
        return said
    return join((said, _table("the paper's networks", _lines_of_paper(paper, held_out=False))))


def _note(manifest: Manifest, paper: PaperScore) -> Html:
    name = manifest.source.name
    if is_jpeg_copy(name):
        said = f"{name} is a JPEG copy, so the accuracies on this page are not comparable."
    else:
        said = "They are not comparable for a JPEG copy or other modified data."
    return paragraph(
        f"The paper's accuracies are from its Table 2, for the original {paper.title} and with a "
        f"pruning rate chosen on the test set. {said}",
        kind="note",
    )
