"""Human-readable times, steps and counts."""

import pytest

from hmnpack.cli.text import duration, pruning, steps
from hmnpack.schema.manifest import Pruning
from hmnpack.settings import recipe_of


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.2, "about 1 s"),
        (40.4, "about 40 s"),
        (99.4, "about 99 s"),
        (99.6, "about 2 min"),
        (35 * 60, "about 35 min"),
        (100 * 60, "about 2 h"),
        (3 * 3600 + 900, "about 3 h"),
        (71 * 3600, "about 71 h"),
        (80 * 3600, "about 3 days"),
        (1234 * 86400, "about 1,200 days"),
    ],
)
def test_duration_is_rounded(seconds, expected):
    assert duration(seconds) == expected


def test_steps_of_the_stages_of_a_recipe():
    assert steps(recipe_of("fast")) == "300 of warm-up, 2,300 of feature matching"
    assert steps(recipe_of("paper")) == "1,000 of warm-up, 200,000 of gradient matching"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (93, 85, "85 of 93 images per class"),
        ((1200, 80), 80, "80 of 80 to 1,200 images per class"),
        ((93, 80), (85, 80), "80 to 85 of 80 to 93 images per class"),
    ],
)
def test_pruning_counts_are_single_or_ranges(before, after, expected):
    found = Pruning(strategy="random", seed=0, instances=before, held_out=0)
    assert pruning(found, after) == f"{expected}, by random"
