"""Arbitrary changes of a file's bytes: the file is rejected, or its manifest is unchanged."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hmnpack.bundle import inspect, read
from hmnpack.errors import BadBundle

GOLDEN = Path(__file__).parents[1] / "golden" / "v1-hmn.hmn"
DATA = GOLDEN.read_bytes()

bounded = settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
places = st.integers(0, len(DATA) - 1)
# Most of the file is the manifest; half of the changes are made outside of it.
edits = st.lists(
    st.tuples(
        st.one_of(places, st.integers(0, 40), st.integers(5800, len(DATA) - 1)),
        st.binary(min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module")
def expected():
    return inspect(GOLDEN)


def check(path, data, expected):
    path.write_bytes(data)
    for reader in (lambda p: read(p).manifest, inspect):
        try:
            manifest = reader(path)
        except BadBundle as refusal:
            assert str(refusal).startswith(str(path))
            assert "\n" not in str(refusal)
        else:
            assert manifest == expected


@bounded
@given(edits)
@pytest.mark.slow
def test_changed_bytes(tmp_path, expected, changes):
    data = bytearray(DATA)
    for place, value in changes:
        data[place : place + len(value)] = value
    check(tmp_path / "fuzzed.hmn", bytes(data), expected)


@bounded
@given(places, places, st.binary(max_size=16))
@pytest.mark.slow
def test_deleted_and_inserted_bytes(tmp_path, expected, begin, end, put):
    check(tmp_path / "fuzzed.hmn", DATA[:begin] + put + DATA[end:], expected)


@bounded
@given(st.binary(max_size=200))
@pytest.mark.slow
def test_arbitrary_bytes(tmp_path, expected, data):
    check(tmp_path / "fuzzed.hmn", data, expected)


@bounded
@given(st.integers(0, len(DATA) * 8 - 1))
@pytest.mark.slow
def test_flipped_bit(tmp_path, expected, bit):
    data = bytearray(DATA)
    data[bit // 8] ^= 1 << bit % 8
    check(tmp_path / "fuzzed.hmn", bytes(data), expected)
