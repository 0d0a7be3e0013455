"""Seeding: every random choice of the program for a world comes from the world's seed, and is the same in every run.

Not here: the choices themselves (axes.py, social.py, shares.py, replies.py, storyline.py).
"""

from __future__ import annotations

import hashlib
import random

SEED_BITS = 63
LARGEST_SEED = 2**SEED_BITS - 1
"""A seed fits a signed 64-bit integer, so that MongoDB keeps it exactly."""


def _digest(*parts: object) -> int:
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def world_seed(world_id: str, ordered: int | None = None) -> int:
    """The ordered seed, or else one from the world's id: stable over processes and versions of Python, unlike ``hash``."""
    return _digest("generia-world", world_id) >> (64 - SEED_BITS) if ordered is None else ordered


def seed_of(seed: int, extension: int) -> int:
    """The seed of what an extension of the world adds, counted from 1; 0: of the world as it was ordered."""
    return _digest(seed, "extension", extension) if extension else seed


def seeded_rng(seed: int, *purpose: object) -> random.Random:
    """A random generator for one purpose, independent of all others: more choices for one change nothing elsewhere."""
    return random.Random(_digest(seed, *purpose))  # noqa: S311  # variety, not secrecy


def number(seed: int, *purpose: object) -> int:
    """One number of 31 bits for a purpose, e.g. a picture's seed."""
    return _digest(seed, *purpose) >> 33


def code(seed: int, *purpose: object) -> str:
    """Eight hexadecimal digits for a purpose, e.g. the tags around a user's text."""
    return f"{_digest(seed, *purpose) >> 32:08x}"
