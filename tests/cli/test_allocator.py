"""Large blocks are reused, which is counted by the system: pages that it had to clear."""

import subprocess
import sys

import pytest

ALLOCATE = """
import resource, sys
from hmnpack.cli.allocator import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit(77)
import torch
torch.set_num_threads(1)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def rounds(count):
    for _ in range(count):
        first, second = torch.ones(2**24), torch.ones(2**24)
        del first, second
rounds(30)
before = faults()
rounds(30)
print(faults() - before)
"""


def cleared(how):
    command = [sys.executable, "-c", ALLOCATE, how]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("another C library than glibc")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
def test_large_blocks_are_reused():
    """Without reuse each of sixty tensors of 64 MB has pages that the system clears."""
    assert 10 * cleared("keep") < cleared("map")
