"""Memory stays with the process while it trains, and goes back afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, numpy as np
from foveate.finetune.malloc import kept_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(8_000_000)  # 64 MB, more than the C library keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def resident():
    return int(open("/proc/self/statm").read().split()[1])
outside = faults()
with kept_memory():
    faults()
    within, kept = faults(), resident()
print(outside, within, kept, resident(), faults())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the GNU C library's memory")
def test_freed_memory_is_used_again() -> None:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    outside, within, kept, after, again = (int(word) for word in found.stdout.split())
    assert within < outside / 10
    assert after < kept
    assert again > outside / 2  # as it was before
