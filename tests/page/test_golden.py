"""The pages of the golden bundles are these; `python tests/page/make_golden.py` writes them."""

import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", ["v1-hmn", "v1-pruned"])
def test_a_page_is_the_golden_one(name):
    spec = importlib.util.spec_from_file_location("make_golden", HERE / "make_golden.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert maker.golden_page(name) == (HERE / f"{name}.html").read_text(encoding="utf-8")
