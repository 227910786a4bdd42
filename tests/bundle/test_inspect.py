"""`inspect` works without torch; arbitrary class names of datasets are made storable."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hmnpack
from hmnpack.errors import BadBundle
from hmnpack.schema.class_names import class_name_fault, same_on_disk, storable_class_names

GOLDEN = Path(__file__).parents[1] / "golden" / "v1-hmn.hmn"


def test_inspect_imports_neither_torch_nor_numpy():
    code = (
        "import sys, hmnpack; hmnpack.inspect(sys.argv[1], verify=True);"
        "heavy = {'torch', 'numpy', 'torchvision', 'safetensors', 'PIL'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code, str(GOLDEN)], check=True)


def test_valid_names_are_stored_unchanged():
    assert storable_class_names(("cat", "Katze 猫", "a.b")) == ("cat", "Katze 猫", "a.b")
    names = storable_class_names(("a/b", "a_b", "A_B", "", "..", "x" * 300, "a\nb", "c."))
    assert names[:5] == ("a_b", "a_b (1)", "A_B (2)", "class 3", "class 4")
    assert names[5:] == ("x" * 180, "a_b (6)", "c")


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.lists(st.text(max_size=12) | st.sampled_from(["a", "A", "a (1)", "a (2)"]), max_size=9))
@pytest.mark.slow
def test_arbitrary_names_become_storable(names):
    stored = storable_class_names(tuple(names))
    assert len(stored) == len(names)
    assert [class_name_fault(name) for name in stored] == [None] * len(names)
    assert len({same_on_disk(name) for name in stored}) == len(names)


@pytest.mark.parametrize("name", ["a" * 300, "a\0b", "\ud800"])
def test_text_that_no_file_can_have_as_its_name_is_rejected(name):
    for reader in (hmnpack.inspect, hmnpack.load):
        with pytest.raises(BadBundle, match="cannot be"):
            reader(name)
