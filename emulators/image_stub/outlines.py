"""Shapes: the outlines that scenes, portraits and emblems are cut from.

Here: only geometry. Not here: the place and colour of a shape. Lengths are in the picture's units (0-1); ``stretch`` is the
picture's height divided by its width, so that circles are round.
"""

from __future__ import annotations

import math
import random
from functools import lru_cache
from itertools import pairwise

from emulators.image_stub.sketch import Outline, Point


@lru_cache(maxsize=16)
def _circle(points: int) -> Outline:
    angles = [2 * math.pi * step / points for step in range(points)]
    return [(math.cos(angle), math.sin(angle)) for angle in angles]


def ellipse(center: Point, radius_x: float, radius_y: float, *, tilt: float = 0.0, points: int = 24) -> Outline:
    """An ellipse, turned by ``tilt`` radians."""
    x, y = center
    along, across = radius_x * math.cos(tilt), radius_x * math.sin(tilt)
    up, aside = radius_y * math.cos(tilt), radius_y * math.sin(tilt)
    return [(x + along * a - aside * b, y + across * a + up * b) for a, b in _circle(points)]


def disc(center: Point, radius: float, stretch: float) -> Outline:
    """A circle; ``radius`` in heights."""
    return ellipse(center, radius * stretch, radius, points=40)


def rosette(center: Point, inner: float, outer: float, tips: int, stretch: float, *, turn: float = 0.0) -> Outline:
    """A star with ``tips`` tips; radii in heights."""
    outline = []
    for step in range(tips * 2):
        radius = outer if step % 2 == 0 else inner
        angle = turn - math.pi / 2 + math.pi * step / tips
        outline.append((center[0] + radius * stretch * math.cos(angle), center[1] + radius * math.sin(angle)))
    return outline


def leaf(root: Point, length: float, width: float, direction: float, stretch: float) -> Outline:
    """A pointed leaf from its root; ``direction`` in radians (0 = right, negative = up), lengths in heights."""
    outline = []
    for side in (1, -1):
        steps = range(9) if side == 1 else range(8, -1, -1)
        for step in steps:
            along = step / 8
            across = side * width / 2 * math.sin(math.pi * along**0.8)
            x = length * along * math.cos(direction) - across * math.sin(direction)
            y = length * along * math.sin(direction) + across * math.cos(direction)
            outline.append((root[0] + x * stretch, root[1] + y))
    return outline


def stroke(points: Outline, thickness: float, stretch: float, *, taper: float = 1.0) -> Outline:
    """A band along a line of points; ``thickness`` in heights, at its end ``taper`` times as thick."""
    left, right = [], []
    for index, (x, y) in enumerate(points):
        before, after = points[max(0, index - 1)], points[min(len(points) - 1, index + 1)]
        run, rise = (after[0] - before[0]) / stretch, after[1] - before[1]
        length = math.hypot(run, rise) or 1.0
        half = thickness / 2 * (1 + (taper - 1) * index / max(1, len(points) - 1))
        left.append((x - rise / length * half * stretch, y + run / length * half))
        right.append((x + rise / length * half * stretch, y - run / length * half))
    return [*left, *reversed(right)]


def arc(center: Point, radius_x: float, radius_y: float, start: float, end: float, *, points: int = 16) -> Outline:
    """The points of an arc from ``start`` to ``end`` radians, as a line for ``stroke``."""
    angles = (start + (end - start) * step / (points - 1) for step in range(points))
    return [(center[0] + radius_x * math.cos(angle), center[1] + radius_y * math.sin(angle)) for angle in angles]


def ridge(rng: random.Random, level: float, height: float, roughness: float) -> Outline:
    """A line of land across the picture, down to its foot: ``roughness`` 0.3 is rolling, 0.6 is rocky."""
    heights = [rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(-1, 1)]
    spread = 0.8
    while len(heights) < 65:
        between = [(a + b) / 2 + rng.uniform(-spread, spread) for a, b in pairwise(heights)]
        heights = [value for pair in zip(heights, between, strict=False) for value in pair] + [heights[-1]]
        spread *= roughness
    last = len(heights) - 1
    return [(0.0, 1.0), *((index / last, level - height * value) for index, value in enumerate(heights)), (1.0, 1.0)]


def swell(rng: random.Random, level: float, height: float, waves: float, *, sharpness: float = 1.0) -> Outline:
    """A line of waves or dunes across the picture, down to its foot; ``sharpness`` above 1 makes crests pointed."""
    phase, drift = rng.uniform(0, 2 * math.pi), rng.uniform(0, 2 * math.pi)
    line = []
    for step in range(65):
        x = step / 64
        crest = abs(math.sin(phase + math.pi * waves * x)) ** sharpness
        line.append((x, level - height * (crest - 0.5 + 0.35 * math.sin(drift + 5 * x))))
    return [(0.0, 1.0), *line, (1.0, 1.0)]


def height_at(line: Outline, x: float) -> float:
    """The height of a ridge or swell at ``x``: its y, on which objects are placed."""
    crest = line[1:-1]
    index = min(len(crest) - 1, max(0, round(x * (len(crest) - 1))))
    return crest[index][1]
