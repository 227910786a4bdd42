"""Markup: everything that is not markup is escaped."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hmnpack.page.markup import Html, join, name_of, tag, text


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("<script>", "&lt;script&gt;"),
        ("\"'&", "&quot;&#x27;&amp;"),
        ("naïve 日本語", "naïve 日本語"),
        ("pets\x1b[2J\x00", "pets\\x1b[2J\\x00"),
        ("a\nb\tc\u2028", "a\\nb\\tc\\u2028"),
        ("abc\u202ecba", "abc\\u202ecba"),
        ("half \ud800", "half \\ud800"),
        ("a\N{NO-BREAK SPACE}b", "a\N{NO-BREAK SPACE}b"),
        (12, "12"),
    ],
)
def test_text_is_shown_and_inert(given_text, shown):
    assert text(given_text) == shown


def test_markup_is_not_escaped_unless_concatenated_as_text():
    bold = tag("b", "x & y")
    assert text(bold) == bold == "<b>x &amp; y</b>"
    assert type(bold) is Html
    assert text("<i>" + bold) == "&lt;i&gt;&lt;b&gt;x &amp;amp; y&lt;/b&gt;"
    assert text(f"{bold}") == "&lt;b&gt;x &amp;amp; y&lt;/b&gt;"


def test_attributes_are_escaped_renamed_and_omitted():
    made = tag("a", class_='x" onclick="y', aria_label="<b>", id=None, viewBox="0 0", x=1.25)
    assert made == (
        '<a class="x&quot; onclick=&quot;y" aria-label="&lt;b&gt;" viewBox="0 0" x="1.25"></a>'
    )
    assert tag("img", alt="", width=4) == '<img alt width="4">'


def test_children_are_joined_and_none_is_omitted():
    assert tag("p", "a", None, tag("b", 1), "<") == "<p>a<b>1</b>&lt;</p>"
    assert join(("a", tag("br"), "&")) == "a<br>&amp;"
    assert name_of("<") == "<bdi>&lt;</bdi>"


@settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text())
@pytest.mark.slow
def test_text_cannot_escape_its_element(parsed, anything):
    node = parsed(tag("p", anything, title=anything)).one("p")
    assert node.children in ([node.text], [])
    assert node.attributes["title"] == node.text or not anything
    shown = [c for c in anything if c.isprintable()]
    assert all(c in node.text for c in shown)
