"""Tables of settings, as stored in the file."""

from hmnpack.page.settings import settings, written

NONE = "nothing differs"


def rows(body):
    return [(row.one("th").text, row.one("td").text) for row in body.one("tbody").all("tr")]


def test_every_setting_is_listed_once(parsed):
    config = {"match": {"steps": 400, "augment": ["flip", "crop"]}, "beta": None}
    body = parsed(settings("Changed", config, NONE))
    assert rows(body) == [
        ("match.steps", "400"),
        ("match.augment", "flip, crop"),
        ("beta", "null"),
    ]
    assert "3\N{NO-BREAK SPACE}settings" in body.one("summary").text
    assert NONE not in body.text


def test_no_settings(parsed):
    for config in (None, {}):
        body = parsed(settings("Changed", config, NONE))
        assert body.text == NONE
        assert not list(body.all("table"))


def test_unknown_settings_are_shown_as_text(parsed):
    config = {"<script>": {"\x1b[2J": '"><img src=x>', "deep": [[1, {"a": "<b>"}]]}}
    body = parsed(settings("Changed", config, NONE))
    assert rows(body) == [
        ("<script>.\\x1b[2J", '"><img src=x>'),
        ("<script>.deep", '1, {"a": "<b>"}'),
    ]
    assert {node.name for node in body.all()}.isdisjoint({"script", "img", "b"})


def test_values_are_written_as_typed():
    assert written(None) == "null"
    assert written(True) == "true"
    assert written(1e-6) == "1e-06"
    assert written(["flip", "crop"]) == "flip, crop"
    assert written([]) == "()"
