"""Classification of errors from hardware and libraries."""

import pytest
import torch

from hmnpack.cli.group import explain
from hmnpack.errors import BadSettings, is_out_of_memory
from hmnpack.runtime.ranks import _others_alive
from hmnpack.training import within_memory

OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("MPS backend out of memory (MPS allocated: 17.97 GB)"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("FIND was unable to find an engine to execute this computation"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError(),
]
OTHER = [
    RuntimeError("Given groups=2, weight of size [16, 16, 3, 3]"),
    ValueError("out of memory"),
    BadSettings("out of memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_out_of_memory_is_explained(error):
    assert is_out_of_memory(error)
    said = f" ({error})" if str(error) else ""
    assert explain(error).startswith(f"out of memory{said}; try smaller batches")


@pytest.mark.parametrize("error", OTHER, ids=repr)
def test_other_errors_are_not_out_of_memory(error):
    assert not is_out_of_memory(error)
    assert "try smaller batches" not in explain(error)


@pytest.mark.parametrize("error", OUT_OF_MEMORY[:-1], ids=str)
def test_within_memory_halves_the_work_after_an_error(error):
    calls = []

    def work(items):
        calls.append(items)
        if len(items) > 1:
            raise error
        return items.upper()

    assert within_memory("abc", work) == ["A", "B", "C"]
    assert calls == ["abc", "a", "bc", "b", "c"]


def test_within_memory_does_not_retry_other_errors():
    def work(items):
        raise OTHER[0]

    with pytest.raises(RuntimeError, match="groups=2"):
        within_memory("abc", work)


def test_out_of_memory_on_a_rank_is_not_a_lost_rank():
    with pytest.raises(RuntimeError, match="out of memory"), _others_alive():
        raise RuntimeError("NCCL error: unhandled cuda error 'out of memory'")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a\nb", "a b"),
        ("a\r\n  b\n", "a b"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\x7fb", "a\\x7fb"),
        ("a\tb", "a\\tb"),
        ("a  b", "a  b"),
    ],
)
def test_message_is_one_line_whatever_a_file_is_called(name, said):
    assert str(BadSettings(f"cannot read {name}")) == f"cannot read {said}"
