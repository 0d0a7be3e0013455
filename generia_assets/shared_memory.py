"""Imported last by the process that forks the runs (warm_start.py): what it has in memory stays shared with them.

The collector writes into each object that it visits, and a written page is copied: it leaves alone what is there before the first
fork. And glibc gives each thread a heap of its own, up to 16 in a process, whose free pieces no other thread can use: the threads
of a run share one, which takes 20 MB less and no more CPU.
"""

from __future__ import annotations

import ctypes
import gc

_M_ARENA_MAX = -8
"""Of malloc.h."""

gc.collect()
gc.freeze()
if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:  # glibc alone has it
    mallopt(_M_ARENA_MAX, 1)
