"""Section on pruning: how images were selected, and the accuracy of each candidate beta."""

from collections.abc import Sequence
from statistics import mean

from hmnpack.page.axes import axis_around, axis_from
from hmnpack.page.charts import Frame, line_chart
from hmnpack.page.markup import Html, join, tag
from hmnpack.page.numbers import mean_and_std, of_each, percent, plural, short, spread
from hmnpack.page.parts import Part, figure, paragraph, table
from hmnpack.page.settings import settings
from hmnpack.schema.instances import in_words
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.pruning import BetaScore, Pruning

STRATEGIES = {
    "double-end": "the hardest and the easiest of each class were dropped",
    "easy": "the easiest of each class were dropped",
    "hard": "the hardest of each class were dropped",
    "random": "random images of each class were dropped",
    "none": "the last images of each class were dropped",
}


def pruning_part(manifest: Manifest) -> Part:
    """Return the section with all pruning steps, oldest first."""
    prunings = manifest.provenance.prunings
    kept = [*(each.instances for each in prunings[1:]), manifest.container.instances]
    several = len(prunings) > 1
    bodies = [
        _one(pruning, left, f"Pruning {number}" if several else None)
        for number, (pruning, left) in enumerate(zip(prunings, kept, strict=True), 1)
    ]
    return Part("pruning", "Pruning", join(bodies))


def _one(pruning: Pruning, kept: int | tuple[int, ...], title: str | None) -> Html:
    heading = tag("h3", title) if title else None
    strategy = pruning.strategy
    how = STRATEGIES.get(strategy, f"the others were dropped by strategy {strategy}")
    there = of_each(pruning.instances, "image")
    said = f"{in_words(kept)} of {there} per class were kept; {how}."
    chart = [_curve(pruning)] if pruning.scores else []
    parts = (heading, paragraph(f"{said} {_beta(pruning)}".rstrip()), *chart)
    config = settings(
        f"Settings of this pruning (seed {pruning.seed})",
        pruning.config,
        f"Seed {pruning.seed}; all settings of this pruning are the defaults.",
    )
    return join((*(part for part in parts if part is not None), config))


def _beta(pruning: Pruning) -> str:
    if pruning.beta is None:
        return ""
    part = f"Beta, the hardest images as a fraction of those dropped, is {short(pruning.beta)}"
    if not pruning.held_out:
        return f"{part}, as given in the settings."
    return (
        f"{part}, the best on {plural(pruning.held_out, 'held-out real image')}. The test split "
        "was not used."
    )


def _curve(pruning: Pruning) -> Html:
    scores = sorted(pruning.scores, key=lambda score: score.beta)
    curve = [(score.beta, mean(score.accuracies)) for score in scores]
    several = any(len(score.accuracies) > 1 for score in scores)
    dots = [(score.beta, value) for score in scores for value in score.accuracies]
    chosen = next((point for point in curve if point[0] == pruning.beta), None)
    frame = Frame(
        name=_said(curve, chosen),
        x=axis_from(0.0, 1.0, 10),
        y=axis_around([value for _, value in dots], 4),
        x_label="beta",
        y_label="accuracy on held-out images, %",
    )
    chart = line_chart(frame, [curve], dots if several else curve, chosen)
    caption = "Accuracy by beta (the paper's Algorithm 1); the chosen beta is circled"
    return tag("div", figure(chart, caption), _table(scores, pruning), class_="beside")


def _said(curve: Sequence[tuple[float, float]], chosen: tuple[float, float] | None) -> str:
    low, high = min(value for _, value in curve), max(value for _, value in curve)
    text = f"Accuracy on held-out images against beta, from {percent(low)} to {percent(high)}"
    return f"{text}; beta {short(chosen[0])} was chosen" if chosen else text


def _table(scores: Sequence[BetaScore], pruning: Pruning) -> Html:
    rows = [
        (
            f"{short(score.beta)}, chosen" if score.beta == pruning.beta else short(score.beta),
            spread(*mean_and_std(score.accuracies), 2),
            len(score.accuracies),
        )
        for score in scores
    ]
    return table(
        "Accuracy of each beta on held-out images", ("beta", "accuracy", "networks"), rows, "quiet"
    )
