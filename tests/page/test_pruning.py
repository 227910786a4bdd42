"""Pruning section: the curve of beta, and how images were selected."""

import pytest

from hmnpack.page.pruning import STRATEGIES, pruning_part
from hmnpack.schema.pruning import Pruning

SPACE = "\N{NO-BREAK SPACE}"


def with_prunings(bundle, *prunings):
    manifest = bundle.manifest
    made = manifest.provenance.model_copy(update={"prunings": prunings})
    return manifest.model_copy(update={"provenance": made})


@pytest.fixture
def body(full_bundle, parsed):
    return parsed(pruning_part(full_bundle.manifest).body)


def test_the_table_has_the_mean_of_each_beta(body):
    table = next(iter(body.all("table", class_="quiet")))
    rows = [
        [cell.text for cell in (row.one("th"), *row.all("td"))]
        for row in table.one("tbody").all("tr")
    ]
    sign = f"{SPACE}\N{PLUS-MINUS SIGN}{SPACE}"
    assert rows == [
        ["0", f"60.50{sign}0.71{SPACE}%", "2"],
        ["0.5, chosen", f"63.00{sign}1.41{SPACE}%", "2"],
        ["1", f"58.50{sign}0.71{SPACE}%", "2"],
    ]


def test_curve_has_a_dot_per_network_and_marks_the_chosen_beta(body):
    chart = body.one("svg", class_="chart")
    assert len(list(chart.all("circle", class_="dot"))) == 6
    ring = float(chart.one("circle", class_="ring").attributes["cx"].removesuffix("%"))
    assert ring == pytest.approx((11 + 97) / 2)
    said = chart.attributes["aria-label"].replace(SPACE, " ")
    assert said == (
        "Accuracy on held-out images against beta, from 58.5 % to 63.0 %; beta 0.5 was chosen"
    )


def test_text_states_how_beta_was_chosen(body):
    said = body.one("p").text.replace(SPACE, " ")
    assert "4 of 6 images per class were kept" in said
    assert "is 0.5, the best on 10 held-out real images" in said


def test_given_beta_and_strategy_without_beta(full_bundle, parsed):
    asked = Pruning(strategy="double-end", seed=0, instances=9, beta=0.25, held_out=0)
    drawn = Pruning(strategy="random", seed=0, instances=6, held_out=0)
    body = parsed(pruning_part(with_prunings(full_bundle, asked, drawn)).body)
    first, _, second, _ = (p.text.replace(SPACE, " ") for p in body.all("p"))
    assert "6 of 9 images" in first
    assert "is 0.25, as given in the settings" in first
    assert "4 of 6 images" in second
    assert "beta" not in second.lower()
    assert [h.text for h in body.all("h3")] == ["Pruning 1", "Pruning 2"]
    assert not list(body.all("svg"))


def test_unequal_counts_are_shown_as_ranges(bundle_of, images, parsed):
    made = Pruning(strategy="random", seed=0, instances=(9, 4), held_out=0)
    bundle = with_prunings(bundle_of(images(instances=(1, 3))), made)
    said = parsed(pruning_part(bundle).body).one("p", class_=None).text.replace(SPACE, " ")
    assert said.startswith("1 to 3 of 4 to 9 images per class were kept")


def test_unknown_strategy_is_named(full_bundle, parsed):
    newer = Pruning(strategy="<i>", seed=0, instances=9, held_out=0)
    body = parsed(pruning_part(with_prunings(full_bundle, newer)).body)
    assert "the others were dropped by strategy <i>." in body.one("p", class_=None).text


def test_every_strategy_is_explained():
    from typing import get_args

    from hmnpack.schema.config import PruneStrategy

    assert set(STRATEGIES) == set(get_args(PruneStrategy))
