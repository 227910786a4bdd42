"""Project files: extras, the hosted workflow, the citation."""

import ast
import re
import tomllib

import pytest

from hmnpack.errors import MissingExtra
from hmnpack.version import __version__


@pytest.fixture(scope="module")
def project(root) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_missing_extra_errors_name_existing_extras(modules, project):
    """The error names the command that installs the extra."""
    named = {
        node.args[1].value
        for tree in modules.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "MissingExtra.of"
        and isinstance(node.args[1], ast.Constant)
    }
    assert {"parquet", "digits", "hub", "timm"} <= named
    assert named <= set(project["optional-dependencies"])
    message = str(MissingExtra.of("reading parquet", "parquet"))
    assert message.endswith("in hmnpack's repository, run pip install -e '.[parquet]'")
    assert "\n" not in message


def test_workflow_runs_lowest_and_newest_versions(root, project):
    text = (root / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    lowest = project["requires-python"].removeprefix(">=")
    newest = max(re.findall(r":: (3\.\d+)$", "\n".join(project["classifiers"]), re.M), key=minor)
    assert re.findall(r"python: \"(.+?)\"", text) == [lowest, newest]
    bounds = dict(requirement.split(">=") for requirement in project["dependencies"])
    for library in ("torch", "torchvision"):
        assert f"{library}=={bounds[library]}.*" in text


def minor(version: str) -> int:
    return int(version.partition(".")[2])


def test_workflow_actions_are_pinned_by_commit(root):
    for path in (root / ".github" / "workflows").glob("*.yml"):
        used = re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8"))
        assert used
        for action in used:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action


def test_citation_has_the_version_and_the_paper(root):
    text = (root / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in text
    assert "Leveraging Hierarchical Feature Sharing for Efficient Dataset Condensation" in text
