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

ACROSS, DOWN = 158.0, 128.0
"""Pixels from one person to the next beside and below them: there is a name under every portrait."""
MARGIN = 80.0
LABELLED = 14
"""Up to so many ties, each has its kind written on it; beyond, only when one of its people is pointed at."""
_ROUNDS = 70
CROWD = 40
"""Beyond so many people everybody is drawn smaller, and closer to each other."""


@dataclass(frozen=True)
class Node:
    """A person in the picture."""

    person: PersonCard
    x: float
    y: float
    knows: str = ""
    """Whom, and how, in words: for those who do not see the lines."""


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
    def shown(self) -> tuple[int, int]:
        """Its size on a screen, width and height."""
        scale = 1.0 if len(self.nodes) <= CROWD else 0.82
        return round(self.width * scale), round(self.height * scale)

    @property
    def labelled(self) -> bool:
        """Whether ties can always show their kinds."""
        return len(self.edges) <= LABELLED


def graph_of(people: Sequence[PersonCard], ties: Sequence[Tie]) -> Graph:
    """The picture of these people and their ties among themselves."""
    place = {person.key: index for index, person in enumerate(people)}
    known = [tie for tie in ties if tie.one in place and tie.other in place]
    points = _layout(len(people), tuple((place[tie.one], place[tie.other]) for tie in known))
    nodes = tuple(Node(person, *point, _words(person, people, known, place)) for person, point in zip(people, points, strict=True))
    edges = tuple(Edge(nodes[place[tie.one]], nodes[place[tie.other]], tie.kinds) for tie in known)
    width, height = _size(len(people))
    return Graph(width, height, nodes, edges)


def _words(person: PersonCard, people: Sequence[PersonCard], ties: Sequence[Tie], place: dict[str, int]) -> str:
    others = ((tie, tie.other if tie.one == person.key else tie.one) for tie in ties if person.key in (tie.one, tie.other))
    return ", ".join(f"{people[place[key]].display_name} ({' / '.join(tie.kinds)})" for tie, key in others)


def _size(count: int) -> tuple[float, float]:
    """Wide for few, as wide as a desktop's column for many, then higher."""
    most, room = (6.5, 1.5) if count <= CROWD else (8.0, 1.25)
    columns = max(2.0, min(most, math.ceil(math.sqrt(count * 1.9))))
    rows = max(1.0, math.ceil(count * room / columns))
    return columns * ACROSS + MARGIN, rows * DOWN + MARGIN


@lru_cache(maxsize=64)
def _layout(count: int, ties: tuple[tuple[int, int], ...]) -> tuple[tuple[float, float], ...]:
    width, height = _size(count)
    points = _start(count, width, height)
    ideal = 0.75 * math.sqrt(width * height / max(1, count))
    for turn in range(_ROUNDS):
        _push_and_pull(points, ties, ideal, (width, height), limit=width / 8 * (1 - turn / _ROUNDS) + 1)
        _keep_inside(points, width, height)
    _spread(points, width, height)
    for _ in range(80):
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


def _push_and_pull(
    points: list[list[float]], ties: tuple[tuple[int, int], ...], ideal: float, frame: tuple[float, float], *, limit: float
) -> None:
    """Move everybody once, by ``limit`` at most. The frame pushes too, or circles of people would lie flat along it."""
    square = ideal * ideal
    moves = [
        [square * (1 / max(value, 9.0) - 1 / max(size - value, 9.0)) for value, size in zip(point, frame, strict=True)]
        for point in points
    ]
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


def _spread(points: list[list[float]], width: float, height: float) -> None:
    """Let the picture fill its frame."""
    for axis, size in ((0, width), (1, height)):
        least, most = min((point[axis] for point in points), default=0.0), max((point[axis] for point in points), default=0.0)
        if most - least > 1.0:
            for point in points:
                point[axis] = MARGIN + (point[axis] - least) / (most - least) * (size - 2 * MARGIN)


def _part(points: list[list[float]]) -> bool:
    """Move apart whoever overlaps, the shorter way: beside each other or above. Returns whether somebody did."""
    moved = False
    for first, one in enumerate(points):
        for other in points[first + 1 :]:
            across, down = other[0] - one[0], other[1] - one[1]
            lack_across, lack_down = ACROSS * 0.95 - abs(across), DOWN * 0.85 - abs(down)
            if lack_across <= 0 or lack_down <= 0:
                continue
            moved = True
            axis = 0 if lack_across < lack_down else 1
            step = math.copysign((lack_across, lack_down)[axis] / 2 + 0.5, (across, down)[axis])
            one[axis] -= step / 2
            other[axis] += step / 2
    return moved


def _keep_inside(points: list[list[float]], width: float, height: float) -> None:
    for point in points:
        point[0] = min(max(point[0], MARGIN), width - MARGIN)
        point[1] = min(max(point[1], MARGIN * 0.75), height - MARGIN)
