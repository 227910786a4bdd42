"""The harness: its list of benchmarks and the final line of JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hmnpack.schema.result import Result

FOLDER = Path(__file__).parent


def run(script, *arguments):
    line = [sys.executable, str(script), *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=FOLDER.parents[1])
    return done.stdout.splitlines()


@pytest.mark.slow
def test_every_benchmark_is_listed_with_a_description():
    lines = run(FOLDER / "harness.py")
    listed = {line.split()[0]: line.split(maxsplit=1)[1:] for line in lines}
    files = {path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("test_")}
    assert set(listed) == files - {"harness", "conftest"}
    assert all(listed.values())


@pytest.mark.slow
def test_last_line_and_saved_file_are_the_result(tmp_path):
    script, saved = tmp_path / "nothing.py", tmp_path / "nothing.json"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n"
        "from harness import arguments, median_seconds, report\n"
        "assert median_seconds(lambda: None) < 1\n"
        "report({'ratio': 2.5, 'ratio_small': 1.5}, save=arguments().save)\n"
    )
    last = json.loads(run(script, "--save", saved)[-1])
    result = Result.model_validate_json(saved.read_text())
    assert result.figures == {"ratio": 2.5, "ratio_small": 1.5}
    assert (last["ratio"], last["ratio_small"]) == (2.5, 1.5)
    assert last["versions"]["torch"]
    assert last["commit"] == result.commit
    assert last["machine"]["processor"] == result.machine.processor
