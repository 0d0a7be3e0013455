"""Emblems: the square icon of a world, a framed field with one sign.

Here: the field, its frame and the signs. Not here: single shapes (outlines.py).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import Image

from emulators.image_stub.outlines import disc, ellipse, leaf, rosette, stroke, swell
from emulators.image_stub.palette import Color, Palette, mix, ramp
from emulators.image_stub.sketch import Outline, Point, Sketch
from emulators.image_stub.words import Vocabulary

SIGNS = Vocabulary(
    peaks="mountain hill valley peak snow monaster гора. горы. горн холм снег монастыр",
    tower="city tower castle street library clock republic город башн замок часов библиотек",
    waves="sea. seas. ocean harbor harbour river lake ship море. моря. морск океан гаван река. реки. реке. озер корабл",
    tree="forest tree garden tea. flower meadow лес. лесу. леса. лесн дерев сад. саду. садов чай цвет",
    gem="crystal gem. gems. glass ice. desert magic кристалл лёд. лед. ледян пустын маги",
    moon="moon night star. stars. sky cloud float dream лун ночь звезд небо облак сон",
    sun="sun day. days. fire ember gold солнц огонь золот",
)

MIDDLE: Point = (0.5, 0.43)
"""Of the frame and its sign, as their shapes are given."""
ZOOM, FOCUS = 1.12, (0.5, -0.153)
"""They bring ``MIDDLE`` into the picture's middle."""


def paint_emblem(size: tuple[int, int], palette: Palette, prompt: str, rng: random.Random) -> Image.Image:
    """Paint an emblem; the prompt's words may choose its sign."""
    deep = mix(palette.sky_top, palette.near, 0.45)
    sketch = Sketch.aura(size, rng, (0.5, 0.5), 0.78, ramp(mix(deep, (0, 0, 0), 0.3), deep, mix(deep, palette.sky_foot, 0.5)))
    sketch.zoom, sketch.focus = ZOOM, FOCUS
    frame = rng.choice((_round, _shield, _hexagon, _diamond))
    gold = mix(palette.light, palette.accent, 0.3)
    sketch.fill([rosette(MIDDLE, 0.36, 0.46, 24, 1)], gold, opacity=0.16)
    sketch.fill([frame(0.37)], gold)
    sketch.fill([frame(0.35)], mix(palette.near, palette.sky_top, 0.3))
    field = frame(0.335)
    sketch.fill([field], mix(palette.sky_top, palette.sky_foot, 0.35))
    sketch.glow((0.5, 0.5), 0.3, mix((0, 0, 0), palette.sky_foot, 0.6))
    with sketch.within(field):
        _SIGNS[SIGNS.choose(prompt, rng)](sketch, palette, gold)
    return sketch.reduced()


def _round(radius: float) -> Outline:
    return disc(MIDDLE, radius, 1)


def _hexagon(radius: float) -> Outline:
    return rosette(MIDDLE, radius * 1.02, radius * 1.02, 3, 1, turn=math.pi / 6)


def _diamond(radius: float) -> Outline:
    return rosette(MIDDLE, radius * 0.84, radius * 1.12, 4, 1)


def _shield(radius: float) -> Outline:
    x, y = MIDDLE
    right = [
        (x + radius * 0.86, y - radius * 0.86),
        (x + radius * 0.86, y + radius * 0.1),
        (x + radius * 0.7, y + radius * 0.56),
        (x + radius * 0.36, y + radius * 0.9),
    ]
    return [(x, y - radius * 0.98), *right, (x, y + radius * 1.12), *((2 * x - px, py) for px, py in reversed(right))]


def _peaks(sketch: Sketch, palette: Palette, gold: Color) -> None:
    sketch.fill([disc((0.5, 0.33), 0.11, 1)], palette.light)
    sketch.fill([[(0.1, 0.8), (0.36, 0.36), (0.62, 0.8)], [(0.4, 0.8), (0.65, 0.42), (0.95, 0.8)]], palette.middle)
    sketch.fill([[(0.18, 0.85), (0.5, 0.4), (0.82, 0.85)]], palette.near)
    sketch.fill([[(0.5, 0.4), (0.57, 0.5), (0.53, 0.485), (0.5, 0.53), (0.465, 0.485), (0.43, 0.5)]], palette.light)


def _tower(sketch: Sketch, palette: Palette, gold: Color) -> None:
    for x, top, wide in ((0.33, 0.42, 0.1), (0.67, 0.38, 0.1), (0.5, 0.28, 0.14)):
        tone = palette.near if wide > 0.12 else palette.middle
        spire = [(x - wide * 0.62, top), (x, top - wide * 1.25), (x + wide * 0.62, top)]
        sketch.fill([[(x - wide / 2, 0.9), (x - wide / 2, top), (x + wide / 2, top), (x + wide / 2, 0.9)], spire], tone)
        sketch.fill(
            [ellipse((x, top + 0.07), wide * 0.13, wide * 0.22), ellipse((x, top + 0.18), wide * 0.13, wide * 0.22)], palette.light
        )


def _waves(sketch: Sketch, palette: Palette, gold: Color) -> None:
    sketch.fill([disc((0.5, 0.36), 0.12, 1)], palette.light)
    for index, level in enumerate((0.45, 0.53, 0.61)):
        tone = mix(palette.middle, palette.near, index / 2)
        crest = swell(sketch.rng, level, 0.05, 5.5 - index, sharpness=0.8)
        sketch.fill([crest], tone)
        sketch.fill([stroke(crest[1:-1], 0.009, 1)], mix(tone, palette.light, 0.6))


def _tree(sketch: Sketch, palette: Palette, gold: Color) -> None:
    sketch.fill([stroke([(0.5, 0.68), (0.495, 0.5), (0.5, 0.3)], 0.035, 1, taper=0.3)], palette.near)
    for step in range(13):
        angle = -math.pi / 2 + (step - 6) * 0.27
        root = (0.5, 0.5 - 0.012 * (6 - abs(step - 6)))
        tone = mix(palette.near, palette.accent, 0.35 + 0.5 * sketch.rng.random())
        sketch.fill([leaf(root, 0.24 - 0.006 * abs(step - 6), 0.07, angle, 1)], tone)


def _gem(sketch: Sketch, palette: Palette, gold: Color) -> None:
    left, right, top, foot, waist = 0.34, 0.66, 0.26, 0.66, 0.38
    facets: tuple[tuple[Outline, float], ...] = (
        ([(left, waist), (0.42, top), (0.5, waist)], 0.55),
        ([(0.42, top), (0.58, top), (0.5, waist)], 0.85),
        ([(right, waist), (0.58, top), (0.5, waist)], 0.35),
        ([(left, waist), (0.5, waist), (0.5, foot)], 0.45),
        ([(right, waist), (0.5, waist), (0.5, foot)], 0.1),
    )
    for facet, light in facets:
        sketch.fill([facet], mix(palette.accent, palette.light, light))
    sketch.glow((0.5, 0.47), 0.22, mix((0, 0, 0), palette.light, 0.5))


def _moon(sketch: Sketch, palette: Palette, gold: Color) -> None:
    moon = disc((0.48, 0.43), 0.2, 1)
    cut = [(x + 0.085, y - 0.035) for x, y in disc((0.48, 0.43), 0.172, 1)]
    sketch.fill([moon], palette.light)
    sketch.fill([cut], mix(palette.sky_top, palette.sky_foot, 0.42))
    sketch.fill([rosette((0.58, 0.4), 0.018, 0.06, 4, 1), rosette((0.67, 0.5), 0.009, 0.03, 4, 1)], gold)


def _sun(sketch: Sketch, palette: Palette, gold: Color) -> None:
    sketch.fill([rosette(MIDDLE, 0.13, 0.27, 16, 1)], palette.accent)
    sketch.fill([rosette(MIDDLE, 0.13, 0.21, 16, 1, turn=math.pi / 16)], gold)
    sketch.fill([disc(MIDDLE, 0.12, 1)], palette.light)


_SIGNS: dict[str, Callable[[Sketch, Palette, Color], None]] = {
    "peaks": _peaks,
    "tower": _tower,
    "waves": _waves,
    "tree": _tree,
    "gem": _gem,
    "moon": _moon,
    "sun": _sun,
}
