"""One heap for all threads of a process: imported by the process that forks the runs (warm_start.py), and so in force in each run.

glibc gives each thread a heap of its own (an arena), up to eight for each core. What is free in one of them no other thread can
use: a run of 500 posts takes 20 MB less with one heap, and no more CPU, since its threads hold the interpreter's lock anyway.
"""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8

if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:  # only glibc has it
    mallopt(_M_ARENA_MAX, 1)
