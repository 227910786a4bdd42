"""Check with pyright that every public type of the package is declared: `make types`.

Pyright looks for packages in folders, and the three of this one lie apart: it is shown a copy in
which they are together, as they are when installed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = shutil.ignore_patterns("__pycache__")


def main() -> int:
    """Print what is incomplete, and return pyright's exit code: 0 if nothing is."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "hmnpack"
        shutil.copytree(ROOT / "hmnpack", package, ignore=SKIPPED)
        for name in ("cli", "schema"):
            shutil.copytree(ROOT / name, package / name, ignore=SKIPPED)
        paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
        # Pyright asks the first `python` on the path where the libraries are.
        programs = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "PATH": os.pathsep.join(programs),
        }
        command = (sys.executable, "-m", "pyright", "--verifytypes", "hmnpack", "--ignoreexternal")
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    # Each public symbol is listed first; what is wrong comes after this line.
    _, _, found = done.stdout.partition("Symbols used in public interface:")
    print((found or done.stdout).replace(folder + os.sep, "").strip(), done.stderr, sep="\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
