"""One heap for all threads of a run."""

import subprocess
import sys

import pytest

HEAPS = """
import ctypes, sys, threading
import {module}
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
barrier = threading.Barrier(5)
def work():
    kept = [bytes(10_000) for _ in range(100)]
    barrier.wait()
    barrier.wait()
for _ in range(4):
    threading.Thread(target=work).start()
barrier.wait()
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
barrier.wait()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's heaps")
def test_all_threads_share_one_heap() -> None:
    """Four threads that hold memory at once take it from one heap; without the module they take it from several."""
    heaps = {}
    for module in ("generia_assets.malloc_arenas", "ctypes"):
        script = [sys.executable, "-c", HEAPS.format(module=module)]
        heaps[module] = subprocess.run(script, capture_output=True, text=True, check=True, timeout=60).stdout.count("<heap ")
    assert heaps["generia_assets.malloc_arenas"] == 1
    assert heaps["ctypes"] > 1
