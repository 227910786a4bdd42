"""Settings: as they stand in the file, whatever they are."""

from hmnpack.page.settings import settings, written

NONE = "nothing differs"


def rows(body):
    return [(row.one("th").text, row.one("td").text) for row in body.one("tbody").all("tr")]


def test_every_setting_is_there_once(parsed):
    config = {"match": {"steps": 400, "augment": ["flip", "crop"]}, "beta": None}
    body = parsed(settings("Changed", config, NONE))
    assert rows(body) == [
        ("match.steps", "400"),
        ("match.augment", "flip, crop"),
        ("beta", "null"),
    ]
    assert "3\N{NO-BREAK SPACE}settings" in body.one("summary").text
    assert NONE not in body.text


def test_without_any_it_says_so(parsed):
    for config in (None, {}):
        body = parsed(settings("Changed", config, NONE))
        assert body.text == NONE
        assert not list(body.all("table"))


def test_settings_of_nobody_knows_what_are_text(parsed):
    config = {"<script>": {"\x1b[2J": '"><img src=x>', "deep": [[1, {"a": "<b>"}]]}}
    body = parsed(settings("Changed", config, NONE))
    assert rows(body) == [
        ("<script>.\\x1b[2J", '"><img src=x>'),
        ("<script>.deep", '1, {"a": "<b>"}'),
    ]
    assert {node.name for node in body.all()}.isdisjoint({"script", "img", "b"})


def test_values_are_written_as_they_are_typed():
    assert written(None) == "null"
    assert written(True) == "true"
    assert written(1e-6) == "1e-06"
    assert written(["flip", "crop"]) == "flip, crop"
    assert written([]) == "()"
