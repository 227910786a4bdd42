"""Markdown pages: line length and links."""

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = 100

FENCED = re.compile(r"^(`{3,}|~{3,}).*?^\1 *$", re.M | re.S)
LINK = re.compile(r"(?<!\\)\]\(\s*<?([^)\s>]+)>?[^)]*\)")
LONE_LINK = re.compile(r"^\s*([-*] |\d+\. |> )?!?\[.*\]\(\S+\)[.,;:]?$")


def pages() -> list[str]:
    """Return the pages that git tracks or would add."""
    if not (ROOT / "pyproject.toml").is_file():
        return []
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted({name for name in listed.splitlines() if (ROOT / name).is_file()})


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def without_code(text: str) -> str:
    """Return the text with code blocks replaced by empty lines."""
    return FENCED.sub(lambda block: "\n" * block[0].count("\n"), text)


def long_lines(text: str) -> list[int]:
    """Return the numbers of lines that are too long and could be wrapped."""
    lines = enumerate(without_code(text).splitlines(), 1)
    return [
        number
        for number, line in lines
        if len(line) > COLUMNS
        and not line.lstrip().startswith("|")
        and not LONE_LINK.match(line)
        and len(line.split()) > 1
    ]


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub generates for the headings of a text."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.*?)(?: +#+)? *$", without_code(text), re.M):
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        plain = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        same = (f"{plain}-{number}" for number in range(1, 100))
        found.add(next(name for name in (plain, *same) if name not in found))
    return found | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


def broken_links(page: str) -> list[str]:
    """Return the links of a page whose file or heading does not exist."""
    broken = []
    for link in LINK.findall(re.sub(r"(`+).*?\1", "", without_code(text_of(page)))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        resolves = target.exists() and (
            not anchor or (target.suffix == ".md" and anchor in anchors(target.read_text("utf-8")))
        )
        broken += [] if resolves else [link]
    return broken


@pytest.mark.parametrize("page", pages())
def test_page_is_wrapped(page):
    assert long_lines(text_of(page)) == []


@pytest.mark.parametrize("page", pages())
def test_links_of_page_resolve(page):
    assert broken_links(page) == []


def test_long_lines_finds_prose_only():
    long = "word " * 30
    text = f"{long}\n| {long} |\n```\n{long}\n```\n- [{long}](x.md)\n\n{long}\n{'x' * 200}\n"
    assert long_lines(text) == [1, 8]


def test_broken_links_finds_missing_files_and_headings(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "a.md").write_text("# One `two`: three\n## Same\n## Same\n")
    good = "[x](a.md#one-two-three) [x](a.md#same-1) [y](#here) [z](https://x.org/no) `[c](no.md)`"
    (tmp_path / "b.md").write_text(f"# Here\n{good}\n[x](a.md#same-2) [y](c.md) [z](#there)\n")
    assert broken_links("b.md") == ["a.md#same-2", "c.md", "#there"]
