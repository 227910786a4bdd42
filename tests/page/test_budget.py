"""The budget's bar and tables add up to the ledger."""

import pytest

from hmnpack.page.budget import MEANINGS, budget_part, tiers


@pytest.fixture
def manifest(bundle_of, hmn):
    return bundle_of(hmn()).manifest


def test_tiers_add_up_to_the_budget(manifest):
    found = tiers(manifest)
    ledger = manifest.ledger
    stored = [tier for tier in found if tier.name != "not used"]
    assert sum(tier.floats for tier in stored) == ledger.floats
    assert sum(tier.bytes for tier in stored) == ledger.bytes
    assert sum(tier.floats for tier in found) == manifest.budget.floats
    assert sum(tier.bytes for tier in found) == manifest.budget.bytes
    assert {tier.name for tier in stored} == {row.role for row in ledger.rows}


def test_full_budget_has_no_unused_tier(images_bundle):
    assert [tier.name for tier in tiers(images_bundle.manifest)] == ["pixels"]


def test_bar_matches_the_budget(manifest, parsed):
    bar = parsed(budget_part(manifest).body).one("svg", class_="bar")
    widths = [float(part.attributes["width"].removesuffix("%")) for part in bar.all("rect")]
    shares = [100 * tier.floats / manifest.budget.floats for tier in tiers(manifest)]
    assert widths == pytest.approx(shares, abs=1e-5)
    assert sum(widths) == pytest.approx(100, abs=1e-4)
    for tier in tiers(manifest):
        assert tier.name in bar.attributes["aria-label"]


def test_table_matches_the_bar(manifest, parsed):
    page = parsed(budget_part(manifest).body)
    table = page.one("table", class_="sum quiet")
    rows = [[cell.text for cell in row.all("td")] for row in table.one("tbody").all("tr")]
    numbers = [int(row[0].replace(",", "")) for row in rows]
    assert sum(numbers[:-1]) == numbers[-1] == manifest.budget.floats
    assert [row.one("th").text for row in table.one("tbody").all("tr")][-1] == "budget"


def test_every_tensor_is_listed(manifest, parsed):
    text = parsed(budget_part(manifest).body).one("details").text
    for row in manifest.ledger.rows:
        assert row.name in text
        assert f"{row.bytes:,}" in text


def test_every_role_has_a_description():
    from typing import get_args

    from hmnpack.schema.ledger import Role

    assert set(MEANINGS) == set(get_args(Role))


def test_every_tier_has_a_colour():
    from hmnpack.page.document import style

    for name in (*MEANINGS, "not used"):
        assert f".tier-{name.replace(' ', '-')}" in style()
