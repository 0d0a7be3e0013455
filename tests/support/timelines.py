"""Timelines of worlds of all sizes."""

from collections.abc import Iterator

from generia_assets.content.seeding import world_seed
from generia_assets.content.timeline import Timeline, timeline

SIZES = [(1, 0), (1, 5), (3, 6), (5, 3), (5, 12), (10, 10), (25, 150), (100, 1000)]


def worlds_of(people: int, posts: int) -> Iterator[tuple[int, Timeline]]:
    """Seeds of enough worlds of this size that rare draws occur, and their timelines."""
    for number in range(max(5, min(100, 3000 // (posts + people)))):
        seed = world_seed(f"{people}-{posts}-{number}")
        yield seed, timeline(seed, people, posts)
