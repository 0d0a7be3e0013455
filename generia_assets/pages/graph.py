"""The picture of who knows whom: people as points in a plane, drawn by the program, the same for the same people.

Here: where everyone stands. Springs pull together who know each other and everybody pushes everybody away (Fruchterman and
Reingold, 1991); then who still overlaps is moved apart. Not here: how it is drawn (templates/_graph.html).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from generia_assets.reading.people import PersonCard, Tie

ROOM = 150.0
"""Pixels a person has for portrait and name, to each side of the next."""
MARGIN = 80.0
LABELLED = 14
"""Up to so many ties, each has its kind written on it; beyond, only when one of its people is pointed at."""
_ROUNDS = 140


@dataclass(frozen=True)
class Node:
    """A person in the picture."""

    person: PersonCard
    x: float
    y: float


@dataclass(frozen=True)
class Edge:
    """A tie in the picture, from ``one`` to ``other``; its kinds are written at the middle."""

    one: Node
    other: Node
    kinds: tuple[str, ...]

    @property
    def middle(self) -> tuple[float, float]:
        """Where its words stand."""
        return round((self.one.x + self.other.x) / 2, 1), round((self.one.y + self.other.y) / 2, 1)


@dataclass(frozen=True)
class Graph:
    """The whole picture, in pixels."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def labelled(self) -> bool:
        """Whether ties can always show their kinds."""
        return len(self.edges) <= LABELLED


def graph_of(people: Sequence[PersonCard], ties: Sequence[Tie]) -> Graph:
    """The picture of these people and their ties among themselves."""
    place = {person.key: index for index, person in enumerate(people)}
    known = [tie for tie in ties if tie.one in place and tie.other in place]
    points = _layout(len(people), tuple((place[tie.one], place[tie.other]) for tie in known))
    nodes = tuple(Node(person, *point) for person, point in zip(people, points, strict=True))
    edges = tuple(Edge(nodes[place[tie.one]], nodes[place[tie.other]], tie.kinds) for tie in known)
    width, height = _size(len(people))
    return Graph(width, height, nodes, edges)


def _size(count: int) -> tuple[float, float]:
    """Wide for few, as wide as a desktop's column for many, then higher."""
    columns = max(2.0, min(7.0, math.ceil(math.sqrt(count * 1.7))))
    rows = max(1.0, math.ceil(count * 1.25 / columns))
    return columns * ROOM + MARGIN, rows * ROOM + MARGIN


@lru_cache(maxsize=64)
def _layout(count: int, ties: tuple[tuple[int, int], ...]) -> tuple[tuple[float, float], ...]:
    width, height = _size(count)
    points = _start(count, width, height)
    ideal = 0.75 * math.sqrt(width * height / max(1, count))
    for turn in range(_ROUNDS):
        _push_and_pull(points, ties, ideal, limit=width / 8 * (1 - turn / _ROUNDS) + 1)
        _keep_inside(points, width, height)
    for _ in range(60):
        if not _part(points):
            break
        _keep_inside(points, width, height)
    return tuple((round(x, 1), round(y, 1)) for x, y in points)


def _start(count: int, width: float, height: float) -> list[list[float]]:
    """On a serpentine through the plane: neighbours by number are neighbours in the world more often than not."""
    columns = max(1, round(math.sqrt(count * width / height)))
    rows = math.ceil(count / columns)
    points = []
    for index in range(count):
        row, column = divmod(index, columns)
        column = column if row % 2 == 0 else columns - 1 - column
        sway = 7.0 * math.sin(index * 2.4)  # nobody exactly beside or above another, where forces would cancel out
        points.append([(column + 0.5) * width / columns + sway, (row + 0.5) * height / rows - sway])
    return points


def _push_and_pull(points: list[list[float]], ties: tuple[tuple[int, int], ...], ideal: float, *, limit: float) -> None:
    moves = [[0.0, 0.0] for _ in points]
    square = ideal * ideal
    for first, (x, y) in enumerate(points):
        move = moves[first]
        for second in range(first + 1, len(points)):
            across, down = x - points[second][0], y - points[second][1]
            distance = across * across + down * down or 0.01
            if distance > 9 * square:  # too far to matter
                continue
            push = square / distance
            move[0] += across * push
            move[1] += down * push
            moves[second][0] -= across * push
            moves[second][1] -= down * push
    for first, second in ties:
        across, down = points[first][0] - points[second][0], points[first][1] - points[second][1]
        pull = math.hypot(across, down) / ideal
        moves[first][0] -= across * pull
        moves[first][1] -= down * pull
        moves[second][0] += across * pull
        moves[second][1] += down * pull
    for point, (across, down) in zip(points, moves, strict=True):
        length = math.hypot(across, down) or 1.0
        step = min(length, limit) / length
        point[0] += across * step
        point[1] += down * step


def _part(points: list[list[float]]) -> bool:
    """Move apart whoever overlaps; names stand below portraits, so that people need less room above each other than beside."""
    moved = False
    for first, one in enumerate(points):
        for other in points[first + 1 :]:
            across, down = other[0] - one[0], other[1] - one[1]
            near = math.hypot(across / (ROOM * 0.8), down / (ROOM * 0.72))
            if near >= 1.0:
                continue
            moved = True
            share = (1.0 - near) / 2
            if near < 0.01:
                across, down, near = 1.0, 0.6, 0.01
            length = math.hypot(across, down)
            one[0] -= across / length * share * ROOM * 0.5
            one[1] -= down / length * share * ROOM * 0.5
            other[0] += across / length * share * ROOM * 0.5
            other[1] += down / length * share * ROOM * 0.5
    return moved


def _keep_inside(points: list[list[float]], width: float, height: float) -> None:
    for point in points:
        point[0] = min(max(point[0], MARGIN), width - MARGIN)
        point[1] = min(max(point[1], MARGIN * 0.75), height - MARGIN)
