"""The headwear of portraits: one function for each kind.

Here: hats, hoods, crowns, flowers, glasses. Not here: the person (portrait.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from emulators.image_stub.outlines import arc, disc, ellipse, rosette, stroke
from emulators.image_stub.palette import Color, Palette, mix
from emulators.image_stub.sketch import Point, Sketch
from emulators.image_stub.words import Vocabulary

HEADWEAR = Vocabulary(
    nothing="bare bald swimmer hair волос",
    hat="captain sailor farmer traveller wanderer cowboy merchant hat. pipe капитан моряк странник шляп купец",
    hood="hood monk mage wizard witch thief ghost archiv капюшон монах маг. магич вор. призрак ведьм архив",
    crown="king. queen prince empress noble duke crown король королев принц корон",
    flowers="flower girl bride spring garden druid dancer цвет девочк невест сад. саду. садов танцовщиц",
    glasses="glasses professor librarian clock scholar teacher poet очки профессор библиотекар часов учител поэт",
    goggles="goggles pilot mechanic engineer robot airship inventor механик пилот инженер робот изобретател",
    band="fisher baker dance athlet warrior рыба пекар спорт воин",
)


@dataclass(frozen=True)
class _Head:
    center: Point
    half_width: float
    half_height: float


def wear(sketch: Sketch, thing: str, center: Point, half_width: float, half_height: float, palette: Palette, cloth: Color) -> None:
    """Put headwear named in ``HEADWEAR`` on a head."""
    if thing in _THINGS:
        _THINGS[thing](sketch, _Head(center, half_width, half_height), palette, cloth)


def _hat(sketch: Sketch, head: _Head, palette: Palette, cloth: Color) -> None:
    x, wide, brim = head.center[0], head.half_width, head.center[1] - head.half_height * 0.62
    felt = mix(cloth, palette.near, 0.5)
    tall = sketch.rng.uniform(0.1, 0.17)
    sketch.fill(
        [
            [
                (x - wide * 1.0, brim),
                (x - wide * 0.82, brim - tall),
                (x, brim - tall * 1.12),
                (x + wide * 0.82, brim - tall),
                (x + wide, brim),
            ]
        ],
        felt,
    )
    sketch.fill(
        [[(x - wide * 1.0, brim), (x - wide * 0.96, brim - 0.034), (x + wide * 0.96, brim - 0.034), (x + wide, brim)]],
        palette.accent,
    )
    sketch.fill([ellipse((x, brim), wide * sketch.rng.uniform(1.45, 1.9), 0.028)], mix(felt, (0, 0, 0), 0.2))


def _hood(sketch: Sketch, head: _Head, palette: Palette, cloth: Color) -> None:
    (x, y), wide, tall = head.center, head.half_width, head.half_height
    outer = [
        (x - wide * 1.75, y + tall * 1.75),
        *arc((x, y - 0.01), wide * 1.5, tall * 1.42, 0.95 * math.pi, 1.5 * math.pi),
        (x + 0.01, y - tall * 1.52),
        *arc((x, y - 0.01), wide * 1.5, tall * 1.42, 1.5 * math.pi, 2.05 * math.pi),
        (x + wide * 1.75, y + tall * 1.75),
    ]
    opening = [*arc((x, y + 0.02), wide * 1.02, tall * 1.06, 0.72 * math.pi, 2.28 * math.pi, points=30)]
    sketch.fill([[*outer, *reversed(opening)]], mix(cloth, palette.near, 0.35))
    sketch.fill([stroke(opening, 0.016, 1)], mix(cloth, palette.light, 0.35))


def _crown(sketch: Sketch, head: _Head, palette: Palette, cloth: Color) -> None:
    x, wide, foot = head.center[0], head.half_width * 0.96, head.center[1] - head.half_height * 0.72
    gold = mix(palette.light, (226, 178, 72), 0.6)
    points = [(x - wide, foot)]
    for step in range(5):
        left = x - wide + wide * 2 * step / 5
        points += [
            (left, foot - 0.055),
            (left + wide / 5, foot - (0.14 if step == 2 else 0.105)),
            (left + wide * 0.4, foot - 0.055),
        ]
    sketch.fill([[*points, (x + wide, foot)]], gold)
    sketch.fill([disc((x + wide * share, foot - 0.026), 0.012, 1) for share in (-0.6, 0.0, 0.6)], palette.accent)


def _flowers(sketch: Sketch, head: _Head, palette: Palette, cloth: Color) -> None:
    (x, y), rng = head.center, sketch.rng
    for step in range(7):
        angle = math.pi * (1.14 + 0.72 * step / 6)
        at = (x + head.half_width * 1.08 * math.cos(angle), y + head.half_height * 1.02 * math.sin(angle))
        size = rng.uniform(0.026, 0.042)
        sketch.fill(
            [rosette(at, size * 0.55, size * 1.2, rng.choice((5, 6, 8)), 1, turn=rng.random())],
            mix(palette.accent, palette.light, rng.uniform(0, 0.5)),
        )
        sketch.fill([disc(at, size * 0.32, 1)], mix(palette.light, palette.near, 0.1))


def _glasses(sketch: Sketch, head: _Head, palette: Palette, cloth: Color) -> None:
    x, y = head.center
    centers = [(x + side * head.half_width * 0.45, y + 0.006) for side in (-1, 1)]
    sketch.fill([disc(at, 0.042, 1) for at in centers], (255, 255, 255), opacity=0.22)
    rims = [stroke(arc(at, 0.044, 0.044, 0, 2 * math.pi, points=28), 0.008, 1) for at in centers]
    sketch.fill([*rims, stroke([(x - 0.012, y), (x, y - 0.006), (x + 0.012, y)], 0.007, 1)], mix(palette.near, (20, 16, 20), 0.4))


def _goggles(sketch: Sketch, head: _Head, palette: Palette, cloth: Color) -> None:
    x, top = head.center[0], head.center[1] - head.half_height * 0.52
    wide = head.half_width
    sketch.fill(
        [
            [
                (x - wide * 1.04, top - 0.02),
                (x + wide * 1.04, top - 0.02),
                (x + wide * 1.06, top + 0.02),
                (x - wide * 1.06, top + 0.02),
            ]
        ],
        palette.near,
    )
    centers = [(x + side * wide * 0.44, top) for side in (-1, 1)]
    sketch.fill([disc(at, 0.05, 1) for at in centers], mix(palette.near, palette.accent, 0.35))
    sketch.fill([disc(at, 0.036, 1) for at in centers], palette.light)
    sketch.fill([ellipse((at[0] - 0.01, at[1] - 0.01), 0.016, 0.01, tilt=-0.6) for at in centers], (255, 255, 255), opacity=0.8)


def _band(sketch: Sketch, head: _Head, palette: Palette, cloth: Color) -> None:
    (x, y), wide, tall = head.center, head.half_width * 1.08, head.half_height
    line = [(x - wide * 0.93, y - tall * 0.38), (x, y - tall * 0.56), (x + wide * 0.93, y - tall * 0.38)]
    sketch.fill([stroke(line, 0.042, 1)], palette.accent)
    sketch.fill([disc((x, y - tall * 0.55), 0.02, 1)], palette.light)


_THINGS: dict[str, Callable[[Sketch, _Head, Palette, Color], None]] = {
    "hat": _hat,
    "hood": _hood,
    "crown": _crown,
    "flowers": _flowers,
    "glasses": _glasses,
    "goggles": _goggles,
    "band": _band,
}
