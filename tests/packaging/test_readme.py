"""Commands, make targets and Python code in the documentation are valid."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from hmnpack.cli.group import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
FOR_USERS = ("README.md", "GUIDE.md")
PAGES = (
    *FOR_USERS,
    *("METHODS.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"),
    *("examples/bundles/README.md", "examples/cluster/README.md"),
    *(f"examples/reproduce/{name}.md" for name in ("README", "RESULTS", "DECISIONS")),
)

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="no source tree")


def blocks(language, page):
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def shell_lines(pages=FOR_USERS):
    every = [block for page in pages for block in blocks("bash", page)]
    lines = [line for block in every for line in block.replace("\\\n", "").splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if line.strip()]
    return [line[: line.index(">")] if ">" in line else line for line in words]


def test_pages_contain_commands_and_code():
    assert len(shell_lines()) >= 8
    assert len(blocks("python", "README.md")) == 1
    assert len(blocks("python", "GUIDE.md")) >= 2


@pytest.mark.parametrize(
    "words", [w[w.index("hmnpack") :] for w in shell_lines(PAGES) if "hmnpack" in w], ids=" ".join
)
def test_command_lines_parse(words):
    context = main.make_context("hmnpack", [], resilient_parsing=True)
    command = main.get_command(context, words[1])
    command.make_context(words[1], words[2:], parent=context)


def test_every_command_is_documented():
    assert {words[1] for words in shell_lines() if words[0] == "hmnpack"} == set(COMMANDS)


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        used = set(re.findall(r"(?:^|`)make ([a-z-]+)(?=[\s`]|$)", text, re.MULTILINE))
        assert used <= targets
    assert targets <= set(
        re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[0].split()
    )


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_ignores_environment_variables():
    """Some systems set NAME, which is not a bundle's name."""

    def dry_run(*words, **variables):
        done = subprocess.run(
            ["make", "-n", "verify-bundles", *words],
            cwd=ROOT,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert dry_run(NAME="DESKTOP-ABC", DATA="/srv/data") == dry_run()
    digits = dry_run("NAME=digits", "DATA=digits")
    assert "verify examples/bundles/digits.hmn --data 'digits'" in digits


def test_readme_python_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    (first,) = blocks("python", "README.md")
    names = {}
    exec(compile(first, "README.md", "exec"), names)
    assert len(names["ds"]) == len(names["images"]) == len(names["labels"])
    assert f"a torch Dataset of {len(names['ds'])} images" in first
    assert f"float32 {list(names['image'].shape)}" in first


def test_guide_python_runs(monkeypatch, tmp_path, bundle_of, hmn):
    monkeypatch.chdir(tmp_path)
    bundle_of(hmn()).save("c10.hmn")
    bundle_of(hmn(), 1).save("more.hmn")
    using, joining, *_, making = blocks("python", "GUIDE.md")
    names = {}
    exec(compile(using, "GUIDE.md", "exec"), names)
    assert len(names["images"]) == len(names["arrays"]) == len(names["ds"]) == 6
    exec(compile(joining, "GUIDE.md", "exec"), names)
    assert names["both"].classes == ["ant", "bee", "red ant"]
    assert names["first"] == list(range(6)) and len(names["images"]) == 12
    compile(making, "GUIDE.md", "exec")


@pytest.mark.slow
@pytest.mark.parametrize("library", ["sklearn", "jax"])
def test_guide_trains_with_other_libraries(monkeypatch, library):
    pytest.importorskip(library)
    from sklearn.datasets import load_digits

    monkeypatch.chdir(ROOT / "examples" / "bundles")
    (snippet,) = (code for code in blocks("python", "GUIDE.md") if library in code)
    names = {"hmnpack": __import__("hmnpack")}
    exec(compile(snippet, "GUIDE.md", "exec"), names)
    real = load_digits()
    test = real.data / 16
    found = (
        names["model"].predict(test) if "model" in names else (test @ names["weights"]).argmax(1)
    )
    assert (found == real.target).mean() > 0.8


def test_every_exit_code_is_documented():
    from hmnpack import errors

    text = (ROOT / "GUIDE.md").read_text(encoding="utf-8")
    section = text.partition("## Exit codes")[2].partition("\n## ")[0]
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.exit_code for kind in kinds if issubclass(kind, errors.HmnError)}
    for code in codes | {0, 130}:
        assert re.search(rf"(^|[\s;]){code} ", section), code


def anchors(page):
    """Return the anchors of a page's headings, as GitHub generates them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_resolve(name):
    page = ROOT / name
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        file = page.parent / target if target else page
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link
