"""What errors of machines and libraries mean."""

import pytest
import torch

from hmnpack.cli.group import explain
from hmnpack.errors import BadSettings, is_out_of_memory
from hmnpack.runtime.ranks import _others_alive
from hmnpack.training import within_memory

NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 17.97 GB)"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("FIND was unable to find an engine to execute this computation"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError(),
]
ELSE = [
    RuntimeError("Given groups=2, weight of size [16, 16, 3, 3]"),
    ValueError("out of memory"),
    BadSettings("out of memory"),
]


@pytest.mark.parametrize("error", NO_MEMORY, ids=str)
def test_memory_that_is_missing_is_no_defect(error):
    assert is_out_of_memory(error)
    said = f" ({error})" if str(error) else ""
    assert explain(error).startswith(f"out of memory{said}; try smaller batches")


@pytest.mark.parametrize("error", ELSE, ids=repr)
def test_other_errors_are_what_they_are(error):
    assert not is_out_of_memory(error)
    assert "try smaller batches" not in explain(error)


@pytest.mark.parametrize("error", NO_MEMORY[:-1], ids=str)
def test_what_does_not_fit_at_once_is_done_in_halves(error):
    asked = []

    def work(items):
        asked.append(items)
        if len(items) > 1:
            raise error
        return items.upper()

    assert within_memory("abc", work) == ["A", "B", "C"]
    assert asked == ["abc", "a", "bc", "b", "c"]


def test_an_error_of_another_kind_is_not_tried_again():
    def work(items):
        raise ELSE[0]

    with pytest.raises(RuntimeError, match="groups=2"):
        within_memory("abc", work)


def test_a_rank_without_memory_is_not_told_that_another_is_lost():
    with pytest.raises(RuntimeError, match="out of memory"), _others_alive():
        raise RuntimeError("NCCL error: unhandled cuda error 'out of memory'")
