"""Memory that a run shares with the process that forked it: a heap, objects that no collection copies, certificate authorities."""

import os
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
    """Four threads that allocate memory at once use one heap; without the module they use several."""
    heaps = {}
    for module in ("generia_assets.shared_memory", "ctypes"):
        script = [sys.executable, "-c", HEAPS.format(module=module)]
        heaps[module] = subprocess.run(script, capture_output=True, text=True, check=True, timeout=60).stdout.count("<heap ")
    assert heaps["generia_assets.shared_memory"] == 1
    assert heaps["ctypes"] > 1


FAULTS = """
import gc, os, resource
import generia_assets.definitions
for module in ("", "generia_assets.shared_memory"):
    if os.fork() == 0:
        if module:
            __import__(module)
        if os.fork() == 0:
            gc.collect()
            print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt, flush=True)
        else:
            os.wait()
        os._exit(0)
    os.wait()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="runs are forked on Linux")
def test_a_collection_in_a_run_copies_no_imported_objects() -> None:
    """The first collection of a forked process copies few pages; without the module it copies thousands."""
    script = [sys.executable, "-c", FAULTS]
    without, copied = map(int, subprocess.run(script, capture_output=True, text=True, check=True, timeout=60).stdout.split())
    assert copied < without / 4


AUTHORITIES = """
import generia_assets.shared_memory
from resources.gemini.transport import authorities
print(authorities.cache_info().currsize)
"""


@pytest.mark.parametrize(("environment", "loaded"), [({"SSL_CERT_FILE": ""}, 2), ({"SSL_CERT_FILE": "/no such file"}, 0)])
def test_certificate_authorities_are_loaded_before_a_run_is_forked(environment: dict[str, str], loaded: int) -> None:
    """Those of the environment and those of this machine; a file that is not there stops no code server."""
    script = [sys.executable, "-c", AUTHORITIES]
    done = subprocess.run(script, env=os.environ | environment, capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) == loaded


TRANSPORTS = """
import asyncio
import generia_assets.shared_memory
from resources.gemini.transport import GeminiTransport, authorities

async def make():
    for address in ("", "http://127.0.0.1:9"):
        await GeminiTransport(api_key="a key", base_url=address, timeout_seconds=1, longest_body=1).aclose()

before = authorities.cache_info().misses
asyncio.run(make())
print(authorities.cache_info().misses - before)
"""


def test_a_run_loads_no_certificate_authorities_again() -> None:
    """The clients of Google's address and of this machine use what was loaded before the run was forked."""
    script = [sys.executable, "-c", TRANSPORTS]
    assert subprocess.run(script, capture_output=True, text=True, check=True, timeout=60).stdout == "0\n"


REQUESTS = """
import asyncio
import generia_assets.shared_memory
from generia_assets.content.documents import WorldRequest
from generia_assets.content.drafts import in_language
from generia_assets.dry_run import DryRun, SampleAnswers

before = in_language.cache_info()
another = {"user_prompt": "a harbour", "users_count": 3, "posts_count": 5, "seed": 2, "created_at": "2026-01-01T00:00:00Z"}
asyncio.run(DryRun(WorldRequest.model_validate(another), SampleAnswers("a harbour")).run())
print(in_language.cache_info().hits > before.hits, in_language.cache_info().misses - before.misses)
"""


def test_a_run_makes_no_class_of_an_answer_again() -> None:
    """The requests of another world in the same language find the classes of their answers."""
    script = [sys.executable, "-c", REQUESTS]
    assert subprocess.run(script, capture_output=True, text=True, check=True, timeout=60).stdout == "True 0\n"
