"""Rewrite the golden pages: run `python tests/page/make_golden.py`, then review the diff.

They are pages of the golden bundles, with one grey pixel per image. The style sheet is omitted, so
that a change of it does not change the golden pages.
"""

import importlib.util
import re
import sys
from pathlib import Path

from hmnpack.bundle import inspect
from hmnpack.page import Evidence, document, page_of
from hmnpack.page.events import log_of
from hmnpack.version import __version__

HERE = Path(__file__).parent
BUNDLES = HERE.parent / "golden"
NAMES = ("v1-hmn", "v1-pruned")


def golden_page(name: str) -> str:
    """Return the page of a golden bundle, in the form in which it is compared."""
    spec = importlib.util.spec_from_file_location("page_conftest", HERE / "conftest.py")
    shared = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = shared
    spec.loader.exec_module(shared)
    manifest = inspect(BUNDLES / f"{name}.hmn")
    log = log_of(shared.log_lines()) if name == "v1-pruned" else None
    text = page_of(Evidence(manifest, shared.gallery_of_dots(manifest), log=log))
    text = text.replace(document.style(), "").replace(f"hmnpack {__version__}", "hmnpack")
    text = re.sub(r"sha256-[^&]*&", "sha256-&", text)
    return re.sub(r"(</(?:div|p|tr|li|h\d|figure|dl|section|details)>)", r"\1\n", text)


def main() -> None:
    """Write all golden pages."""
    for name in NAMES:
        (HERE / f"{name}.html").write_text(golden_page(name), encoding="utf-8")


if __name__ == "__main__":
    main()
