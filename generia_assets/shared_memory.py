"""Memory of the runs, prepared in the process that forks them (warm_start.py): the last module that it imports.

One heap: glibc gives each thread a heap of its own (an arena), up to eight for each core. What is free in one of them no other
thread can use: a run of 500 posts takes 20 MB less with one heap, and no more CPU, since its threads hold the interpreter's lock
anyway. Its free memory stays the run's: glibc would give back the buffer of each picture, and get the next one by page faults.

Frozen objects: a run shares what was imported until it writes there, and Python's collector writes to each object that it looks at.
Without this the first collection of a run copies 80 MB, which takes 0.2 s.

Certificate authorities, which each run would load again: 20 ms.

What the first request of a kind makes, such as the class of its answer: 20 ms. The requests of a small world are made without a
call.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
from contextlib import suppress
from datetime import UTC, datetime

from generia_assets.content.documents import WorldRequest
from generia_assets.dry_run import DryRun, SampleAnswers
from resources.gemini.transport import authorities

_PARAMETERS = {"M_ARENA_MAX": (-8, 1), "M_MMAP_THRESHOLD": (-3, 1 << 20), "M_TRIM_THRESHOLD": (-1, 8 << 20)}
"""Of malloc.h: each with its value."""

if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:  # only glibc has it
    for parameter, value in _PARAMETERS.values():
        mallopt(parameter, value)
with suppress(OSError):  # a file that the environment names is not there or damaged: a run that needs it says so
    for trust_env in (True, False):
        authorities(trust_env)
_A_WORLD = WorldRequest(user_prompt="a city", users_count=2, posts_count=3, seed=1, created_at=datetime.now(UTC))
with suppress(Exception):  # a file that was edited a moment ago: a run that needs it says so
    asyncio.run(DryRun(_A_WORLD, SampleAnswers(_A_WORLD.user_prompt)).run())
gc.collect()
gc.freeze()
