"""What is written for a GPU runs on a device that is not the CPU, with the numbers of the CPU.

The checks are in `checks.py`. They run in a process of their own, as torch takes a new device only
before its first backward pass, and keeps it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
PATIENCE = 600


def names():
    """Return the checks' names, as the program gives them."""
    sys.path.insert(0, str(HERE))
    try:
        import checks
    finally:
        sys.path.remove(str(HERE))
    return [name for name, *_ in checks.every_check()]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What went wrong in each check."""
    from torch.utils import backend_registration

    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this torch takes no device in Python")
    folder = tmp_path_factory.mktemp("accelerator")
    environment = os.environ | {"HMNPACK_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(HERE / "checks.py"), str(folder)],
        env=environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("name", names())
def test_a_check_holds(found, name):
    assert not found[name], found[name]
