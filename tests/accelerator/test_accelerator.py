"""GPU code paths run on a simulated device and match the CPU.

The checks are in `checks.py`. They run in a separate process, because torch accepts a new device
only before the first backward pass, and for the rest of the process.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
TIMEOUT_SECONDS = 600


def names():
    """Return the names of all checks."""
    sys.path.insert(0, str(HERE))
    try:
        import checks
    finally:
        sys.path.remove(str(HERE))
    return [name for name, *_ in checks.every_check()]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Traceback of each check, by name; empty if it passed."""
    from torch.utils import backend_registration

    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this torch version does not support devices in Python")
    folder = tmp_path_factory.mktemp("accelerator")
    environment = os.environ | {"HMNPACK_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(HERE / "checks.py"), str(folder)],
        env=environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("name", names())
def test_check_passes(found, name):
    assert not found[name], found[name]
