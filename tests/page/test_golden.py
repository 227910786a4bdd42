"""Pages of the golden bundles, as written by `python tests/page/make_golden.py`."""

import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", ["v1-hmn", "v1-pruned"])
def test_page_equals_the_golden_page(name):
    spec = importlib.util.spec_from_file_location("make_golden", HERE / "make_golden.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert maker.golden_page(name) == (HERE / f"{name}.html").read_text(encoding="utf-8")
