"""The layout of the graph of acquaintances: people as points in a plane, the same for the same people.

Here: the positions of people. Acquaintances attract each other and all people repel each other (Fruchterman and Reingold, 1991);
then overlapping people are moved apart. Not here: the SVG (templates/_graph.html), and whose relations it names (static/graph.js).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from textwrap import wrap
from unicodedata import east_asian_width

from generia_assets.pages.texts import shortened
from generia_assets.queries.people import PersonCard, RelationView

FEW = 12
"""Up to so many people there is space for names of two lines, on a phone too; beyond, phones show portraits alone."""
MARGIN = 80.0
_ROUNDS = 70

Pairs = tuple[tuple[int, int], ...]
"""Relations, by the places of both people in a list."""


@dataclass(frozen=True)
class Spacing:
    """Pixels from one person to the next beside and below them, the most beside each other, lines and letters of a name."""

    across: float
    down: float
    most: int
    lines: int
    letters: int


WIDE, DENSE = Spacing(158.0, 136.0, most=3, lines=2, letters=12), Spacing(112.0, 106.0, most=10, lines=1, letters=11)


def spacing(count: int) -> Spacing:
    return WIDE if count <= FEW else DENSE


@dataclass(frozen=True)
class Node:
    """A person in the picture, the lines of the name below. ``knows``: their acquaintances, each with what that one is to them."""

    person: PersonCard
    x: float
    y: float
    knows: tuple[tuple[PersonCard, str], ...]
    name: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """The whole picture, in pixels. ``edges``: each relation with the places of both people."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    edges: tuple[tuple[RelationView, Node, Node], ...]

    @property
    def few(self) -> bool:
        """Whether names can be read on a phone."""
        return len(self.nodes) <= FEW

    @property
    def shown(self) -> tuple[int, int]:
        """Its size on a wide screen, width and height."""
        scale = 1.0 if self.few else 0.8
        return round(self.width * scale), round(self.height * scale)


def graph_of(people: Sequence[PersonCard], relations: Sequence[RelationView], *, narrow: bool = False) -> Graph:
    """The picture of these people and their relations among themselves; ``narrow``: at most two people wide."""
    place = {person.key: index for index, person in enumerate(people)}
    known = [relation for relation in relations if relation.one in place and relation.other in place]
    space = replace(WIDE, most=2) if narrow else spacing(len(people))
    points, width, height = _layout(len(people), tuple((place[one.one], place[one.other]) for one in known), space)
    knows: list[list[tuple[PersonCard, str]]] = [[] for _ in people]
    for one in known:
        for person, other, is_to_them in ((one.one, one.other, one.other_is), (one.other, one.one, one.one_is)):
            knows[place[person]].append((people[place[other]], is_to_them))
    nodes = [
        Node(person, *point, tuple(said), _lines(person.display_name, space))
        for person, point, said in zip(people, points, knows, strict=True)
    ]
    return Graph(width, height, tuple(nodes), tuple((one, nodes[place[one.one]], nodes[place[one.other]]) for one in known))


def _lines(name: str, space: Spacing) -> tuple[str, ...]:
    """The name in as many lines as there is space for; words that do not fit are left out. Letters of Japanese are wide."""
    wide = any(east_asian_width(letter) == "W" for letter in name)
    letters = space.letters // 2 if wide else space.letters
    lines = wrap(name, letters, break_long_words=wide, break_on_hyphens=False)
    return tuple(shortened(line, letters) for line in lines[: space.lines])


def _size(count: int, space: Spacing) -> tuple[float, float]:
    """As high as wide, or higher where no more people may be beside each other."""
    cells = count * 1.35
    across = min(space.most, max(2, math.ceil(math.sqrt(cells))))
    return across * space.across + MARGIN, math.ceil(cells / across) * space.down + MARGIN


@lru_cache(maxsize=64)
def _layout(count: int, relations: Pairs, space: Spacing) -> tuple[tuple[tuple[float, float], ...], float, float]:
    """The positions of all people, and the width and height of the picture around them."""
    width, height = _size(count, space)
    points = _start(count, width, height)
    ideal = 0.75 * math.sqrt(width * height / max(1, count))
    for turn in range(_ROUNDS):
        _push_and_pull(points, relations, ideal, (width, height), limit=width / 8 * (1 - turn / _ROUNDS) + 1)
        _keep_inside(points, width, height)
    _spread(points, width, height)
    for _ in range(80):
        if not _separate(points, space):
            break
        _keep_inside(points, width, height)
    left = min((x for x, _ in points), default=MARGIN) - MARGIN
    top = min((y for _, y in points), default=MARGIN) - MARGIN * 0.75
    shown = tuple((round(x - left, 1), round(y - top, 1)) for x, y in points)
    return shown, max((x for x, _ in shown), default=MARGIN) + MARGIN, max((y for _, y in shown), default=MARGIN) + MARGIN * 1.2


def _start(count: int, width: float, height: float) -> list[list[float]]:
    """Start positions on a serpentine through the plane: neighbours by number are mostly acquaintances."""
    columns = max(1, round(math.sqrt(count * width / height)))
    rows = math.ceil(count / columns)
    points = []
    for index in range(count):
        row, column = divmod(index, columns)
        column = column if row % 2 == 0 else columns - 1 - column
        sway = 7.0 * math.sin(index * 2.4)  # no person exactly beside or above another, where forces would cancel out
        points.append([(column + 0.5) * width / columns + sway, (row + 0.5) * height / rows - sway])
    return points


def _push_and_pull(points: list[list[float]], relations: Pairs, ideal: float, frame: tuple[float, float], *, limit: float) -> None:
    """Move all people once, by ``limit`` at most. The frame repels, too, or circles of people would lie flat along it."""
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
    for first, second in relations:
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
    """Scale the positions so that they fill the frame."""
    for axis, size in ((0, width), (1, height)):
        least, most = min((point[axis] for point in points), default=0.0), max((point[axis] for point in points), default=0.0)
        if most - least > 1.0:
            for point in points:
                point[axis] = MARGIN + (point[axis] - least) / (most - least) * (size - 2 * MARGIN)


def _separate(points: list[list[float]], space: Spacing) -> bool:
    """Move overlapping people apart, the shorter way: horizontally or vertically. Returns whether any overlapped."""
    moved = False
    for first, one in enumerate(points):
        for other in points[first + 1 :]:
            across, down = other[0] - one[0], other[1] - one[1]
            lack_across, lack_down = space.across * 0.95 - abs(across), space.down * 0.9 - abs(down)
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
