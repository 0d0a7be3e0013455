"""The layout of the graph of acquaintances: people as points in a plane, the same for the same people.

Here: the positions of people and of the relations' labels. Acquaintances attract each other and all people repel each other
(Fruchterman and Reingold, 1991); then overlapping people are moved apart. Not here: the SVG (templates/_graph.html).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from generia_assets.pages.texts import shortened
from generia_assets.queries.people import PersonCard, RelationView

ACROSS, DOWN = 158.0, 128.0
"""Pixels from one person to the next beside and below them: there is a name under every portrait."""
MARGIN = 80.0
LABELLED = 14
"""Up to so many relations, each shows its label; beyond, only when the pointer is on one of its people."""
_ROUNDS = 70
CROWD = 40
"""Beyond so many people the portraits are smaller and closer to each other."""
FEW, SPACING = 10, (1.3, 1.15)
"""Up to so many people are so much farther apart, beside and below each other, for the labels of their relations."""
NAME, KINDS = 16, 34
"""Letters that are shown of a name and of a relation's kinds."""
_LETTER = 7.2
"""Pixels of a letter of a relation's kinds, rather too many than too few."""
_NUDGES = tuple((share, below) for below in (0, 15, -15, 30, -44, 74) for share in (0.5, 0.58, 0.42, 0.66, 0.34))
"""Where a relation's kinds may stand: so far from the one to the other, and so many pixels below the line. The best comes first."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""
Pairs = tuple[tuple[int, int], ...]
"""Relations, by the places of both people in a list."""


@dataclass(frozen=True)
class Node:
    """A person in the picture."""

    person: PersonCard
    x: float
    y: float
    knows: str = ""
    """The person's relations as a text, for screen readers."""

    @property
    def name(self) -> str:
        """The name under the portrait."""
        return shortened(self.person.display_name, NAME)


@dataclass(frozen=True)
class Edge:
    """A relation in the picture, from ``one`` to ``other``; its label is centred at ``words_at``."""

    one: Node
    other: Node
    kinds: tuple[str, ...]
    words_at: tuple[float, float]

    @property
    def words(self) -> str:
        """Its label."""
        return shortened(" / ".join(self.kinds), KINDS)


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
        """Whether relations always show their labels."""
        return len(self.edges) <= LABELLED


def graph_of(people: Sequence[PersonCard], relations: Sequence[RelationView], *, columns: int = 8) -> Graph:
    """The picture of these people and their relations among themselves, about so many people wide at most."""
    place = {person.key: index for index, person in enumerate(people)}
    known = [relation for relation in relations if relation.one in place and relation.other in place]
    points, width, height = _layout(len(people), tuple((place[relation.one], place[relation.other]) for relation in known), columns)
    nodes = tuple(Node(person, *point, _words(person, people, known, place)) for person, point in zip(people, points, strict=True))
    edges = []
    for relation in known:
        one, other = nodes[place[relation.one]], nodes[place[relation.other]]
        edges.append(Edge(one, other, relation.kinds, _between(one, other)))
    return Graph(width, height, nodes, tuple(_with_labels_placed(edges, nodes, width)) if len(edges) <= LABELLED else tuple(edges))


def _between(one: Node, other: Node, share: float = 0.5, below: float = 0.0) -> tuple[float, float]:
    return round(one.x + (other.x - one.x) * share, 1), round(one.y + (other.y - one.y) * share + below, 1)


def _with_labels_placed(edges: Sequence[Edge], nodes: Sequence[Node], width: float) -> Iterator[Edge]:
    """The relations, each label within the picture where it covers least of portraits, names and other labels."""
    taken = [box for node in nodes for box in _boxes(node)]
    for edge in edges:
        half = len(edge.words) * _LETTER / 2
        places = [
            (min(max(x, half), max(half, width - half)), y)
            for x, y in (_between(edge.one, edge.other, share, below) for share, below in _NUDGES)
        ]
        boxes = [(x - half, y - 12, x + half, y + 4) for x, y in places]
        best = min(range(len(boxes)), key=lambda index: (sum(_common(boxes[index], box) for box in taken), index))
        taken.append(boxes[best])
        yield replace(edge, words_at=places[best])


def _boxes(node: Node) -> tuple[Box, Box]:
    """A person's portrait, and the name below it."""
    half = len(node.name) * 4.6
    return (node.x - 33, node.y - 33, node.x + 33, node.y + 33), (node.x - half, node.y + 38, node.x + half, node.y + 57)


def _common(one: Box, other: Box) -> float:
    """The area that both cover."""
    across, down = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, across) * max(0.0, down)


def _words(person: PersonCard, people: Sequence[PersonCard], relations: Sequence[RelationView], place: dict[str, int]) -> str:
    own = [one for one in relations if person.key in (one.one, one.other)]
    others = [people[place[one.other if one.one == person.key else one.one]].display_name for one in own]
    return ", ".join(f"{name} ({' / '.join(one.kinds)})" for name, one in zip(others, own, strict=True))


def _size(count: int, columns: int) -> tuple[float, float]:
    """Wide for few, as wide as a desktop's column for many, then higher."""
    most, space = (6.5, 1.5) if count <= CROWD else (8.0, 1.25)
    across = max(2.0, min(most, columns, math.ceil(math.sqrt(count * 1.9))))
    rows = max(1.0, math.ceil(count * space / across))
    wide, high = SPACING if count <= FEW and columns > 2 else (1.0, 1.0)
    return across * ACROSS * wide + MARGIN, rows * DOWN * high + MARGIN


@lru_cache(maxsize=64)
def _layout(count: int, relations: Pairs, columns: int) -> tuple[tuple[tuple[float, float], ...], float, float]:
    """The positions of all people, and the width and height of the picture around them."""
    width, height = _size(count, columns)
    points = _start(count, width, height)
    ideal = 0.75 * math.sqrt(width * height / max(1, count))
    for turn in range(_ROUNDS):
        _push_and_pull(points, relations, ideal, (width, height), limit=width / 8 * (1 - turn / _ROUNDS) + 1)
        _keep_inside(points, width, height)
    _spread(points, width, height)
    for _ in range(80):
        if not _separate(points):
            break
        _keep_inside(points, width, height)
    left = min((x for x, _ in points), default=MARGIN) - MARGIN
    top = min((y for _, y in points), default=MARGIN) - MARGIN * 0.75
    shown = tuple((round(x - left, 1), round(y - top, 1)) for x, y in points)
    return shown, max((x for x, _ in shown), default=MARGIN) + MARGIN, max((y for _, y in shown), default=MARGIN) + MARGIN


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


def _separate(points: list[list[float]]) -> bool:
    """Move overlapping people apart, the shorter way: horizontally or vertically. Returns whether any overlapped."""
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
