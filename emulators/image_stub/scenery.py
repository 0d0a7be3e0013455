"""Landscapes: headers and post images. A sky, land in layers from far to near, and lights.

Here: which scene a prompt suggests, its sky, and the composition of each kind of land, one function each. Not here: single shapes
(outlines.py), square pictures (portrait.py, emblem.py).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice

from PIL import Image

from emulators.image_stub.outlines import disc, ellipse, height_at, leaf, ridge, rosette, stroke, swell
from emulators.image_stub.palette import Palette, ramp
from emulators.image_stub.portrait import paint_people, people_in
from emulators.image_stub.sketch import HAZE, LIGHT, NEAR, SKY_FOOT, Outline, Packed, Point, ToneMap, colored
from emulators.image_stub.words import Vocabulary

SCENES = Vocabulary(
    mountains="mountain hill valley peak cliff snow road village volcan гора. горы. горн холм долин скал деревн дорог вулкан",
    city="city street tower skyline roof town market station urban neon library город улиц башн крыш рын вокзал библиотек",
    sea="sea. seas. ocean harbor harbour ship boat wave coast island water. waters. river lake "
    "море. моря. морск океан гаван корабл лодк волн берег озер река. реки. реке.",
    forest="forest tree wood pine jungle grove лес. лесу. леса. лесн дерев сосн рощ",
    crystals="crystal ice. icy gem. gems. glass cave mineral magic кристалл лёд. лед. ледян стекл пещер маги",
    garden="garden flower leaf plant bloom meadow moss mushroom tea. сад. саду. садов цвет лист трав мох гриб чай",
    dunes="desert dune sand. sands. caravan salt пустын песок песч дюн соль",
    islands="cloud sky float airship balloon wind. windy bird облак небес небо парящ дирижабл ветер птиц",
)


@dataclass
class Land:
    """The position of the sun, and the parts that get their own colours after the tones."""

    sun: Point
    flowers: list[Outline] = field(default_factory=list)
    hearts: list[Outline] = field(default_factory=list)


def _depths(layers: int) -> Iterator[tuple[float, int]]:
    """The layers from far to near: depth 0-1, and tone."""
    for layer in range(layers):
        depth = layer / (layers - 1)
        yield depth, round(HAZE - 8 - (HAZE - 8 - NEAR - 4) * depth**0.85)


def mountains(tones: ToneMap, land: Land) -> None:
    """Ranges in the haze, firs before them."""
    rough = tones.rng.choice((0.44, 0.5, 0.55))
    for depth, tone in _depths(5):
        level = 0.5 + 0.36 * depth
        line = ridge(tones.rng, level, 0.16 - 0.1 * depth, rough - 0.12 * depth)
        if depth == 1:
            tones.stand(_firs(tones, line, 9, 0.11), tone)
        tones.stand([line], tone, rim=True)
        tones.mist(level + 0.02, level + 0.2, 0.5 * (1 - depth))


_TIERS = [(0.11, 0.66), (0.06, 0.66), (0.165, 0.46), (0.09, 0.46), (0.22, 0.26), (0.12, 0.26), (0.275, 0.06)]
"""Half the outline of a fir: how wide it is at which share of its height; each tier ends wider than the next one begins."""


def _firs(tones: ToneMap, line: Outline, count: int, height: float) -> Iterator[Outline]:
    rng, stretch = tones.rng, tones.stretch
    for _ in range(round(count / stretch)):
        x = rng.random()
        foot = height_at(line, x) + 0.03
        tall = height * rng.uniform(0.55, 1.25)
        right = [(x + tall * wide * stretch, foot - tall * share) for wide, share in _TIERS]
        yield [(x, foot - tall), *right, *((2 * x - px, py) for px, py in reversed(right))]


def forest(tones: ToneMap, land: Land) -> None:
    """Firs behind firs, mist between them."""
    for depth, tone in _depths(4):
        level = 0.6 + 0.32 * depth
        line = ridge(tones.rng, level, 0.05, 0.4)
        tones.stand(_firs(tones, line, round(20 - 13 * depth), 0.14 + 0.36 * depth), tone)
        tones.stand([line], tone)
        tones.mist(level - 0.1, level + 0.12, 0.6 * (1 - depth))


def city(tones: ToneMap, land: Land) -> None:
    """Rows of houses and towers, lights in the nearer ones."""
    rng, stretch = tones.rng, tones.stretch
    for depth, tone in _depths(4):
        x = -0.05
        while x < 1.02:
            wide = rng.uniform(0.06, 0.14) * (0.6 + depth * 0.7) * stretch
            top = 0.74 + 0.1 * depth - rng.random() ** 1.8 * (0.42 - 0.12 * depth)
            house = [(x, 1.0), (x, top), (x + wide, top), (x + wide, 1.0)]
            tones.stand([house, _roof(tones, x, wide, top)], tone)
            if depth == 1:
                tones.stand(_windows(tones, x, wide, top), LIGHT - 10)
            x += wide * rng.uniform(0.9, 1.15)
        tones.mist(0.6 + 0.16 * depth, 0.84 + 0.16 * depth, 0.6 * (1 - depth))


def _roof(tones: ToneMap, x: float, wide: float, top: float) -> Outline:
    middle, tall = x + wide / 2, wide / tones.stretch
    roofs: tuple[Outline, ...] = (
        [(x - wide * 0.06, top), (middle, top - tall * 0.7), (x + wide * 1.06, top)],
        ellipse((middle, top), wide * 0.46, tall * 0.42, points=20),
        [(middle - wide * 0.1, top), (middle, top - tall * 1.5), (middle + wide * 0.1, top)],
        [(x, top), (x, top - tall * 0.35), (x + wide, top)],
        [(x + wide * 0.2, top), (x + wide * 0.2, top - tall * 0.2), (x + wide * 0.8, top - tall * 0.2), (x + wide * 0.8, top)],
    )
    return tones.rng.choice(roofs)


def _windows(tones: ToneMap, x: float, wide: float, top: float) -> Iterator[Outline]:
    step, size, stretch = 0.036, 0.012, tones.stretch
    for row in range(1, 7):
        for column in range(1, max(2, int(wide / stretch / step))):
            if tones.rng.random() < 0.25:
                left, upper = x + column * step * stretch, top + row * step
                right, lower = left + size * stretch, upper + size * 1.5
                yield [(left, upper), (right, upper), (right, lower), (left, lower)]


def sea(tones: ToneMap, land: Land) -> None:
    """A far coast, waves, sails, and the sun's path on the water."""
    rng, stretch = tones.rng, tones.stretch
    tones.stand([ridge(rng, 0.6, 0.07, 0.48)], HAZE - 22, rim=True)
    for depth, tone in _depths(6):
        level = 0.63 + 0.32 * depth**1.2
        tones.stand([swell(rng, level, 0.012 + 0.05 * depth, 9 - 5 * depth, sharpness=0.8)], tone, rim=True)
        if depth < 0.9:
            tones.stand(_glitter(tones, land.sun[0], level, depth), LIGHT - 25)
        if depth == 0.4:
            for _ in range(rng.randint(1, 3)):
                place, size = (rng.uniform(0.12, 0.88), rng.uniform(0.68, 0.74)), rng.uniform(0.04, 0.09)
                tones.stand(_sails(place, size, stretch), NEAR + 6)


def _glitter(tones: ToneMap, x: float, level: float, depth: float) -> Iterator[Outline]:
    for _ in range(5):
        half = tones.rng.uniform(0.008, 0.04) * (0.5 + depth) * tones.stretch
        left = x + tones.rng.gauss(0, 0.05) * (0.4 + depth) * tones.stretch
        top = level + tones.rng.uniform(0.02, 0.07)
        yield [(left - half, top), (left, top - 0.003), (left + half, top), (left, top + 0.003)]


def _sails(place: Point, size: float, stretch: float) -> Iterator[Outline]:
    (x, y), unit = place, size * stretch
    yield [(x - unit, y), (x + unit, y), (x + unit * 0.7, y + size * 0.35), (x - unit * 0.7, y + size * 0.35)]
    yield [(x - 0.1 * unit, y - 0.1 * size), (x - 0.1 * unit, y - 2.1 * size), (x + 0.9 * unit, y - 0.2 * size)]
    yield [(x - 0.2 * unit, y - 0.1 * size), (x - 0.2 * unit, y - 1.6 * size), (x - 0.8 * unit, y - 0.2 * size)]


def dunes(tones: ToneMap, land: Land) -> None:
    """Long dunes with sharp crests."""
    for depth, tone in _depths(5):
        level = 0.56 + 0.34 * depth
        crest = swell(tones.rng, level, 0.08 + 0.08 * depth, tones.rng.uniform(1.1, 2.6), sharpness=1.3)
        tones.stand([crest], tone, rim=True)
        tones.mist(level + 0.06, level + 0.26, 0.55 * (1 - depth))


def crystals(tones: ToneMap, land: Land) -> None:
    """Clusters of crystals, one face of each in the light."""
    rng, stretch = tones.rng, tones.stretch
    for depth, tone in _depths(4):
        level = 0.7 + 0.28 * depth
        for _ in range(round((9 - 4 * depth) / stretch)):
            x, tall = rng.random(), rng.uniform(0.16, 0.46) * (0.75 + depth * 0.35)
            wide, lean = rng.uniform(0.02, 0.05) * (0.8 + depth) * stretch, rng.uniform(-0.3, 0.3) * tall * stretch
            tip, shoulder = (x + lean, level - tall), level - tall * 0.8
            left, middle, right = x - wide + lean * 0.8, x + wide * 0.2 + lean * 0.8, x + wide + lean * 0.8
            tones.stand([[(x - wide, 1.0), (left, shoulder), tip, (right, shoulder + 0.03), (x + wide, 1.0)]], tone)
            lit = tone + round((HAZE - tone) * 0.5) + 6
            tones.stand(
                [[(x - wide, 1.0), (left, shoulder), tip, (middle, shoulder + 0.05), (x + wide * 0.2, 1.0)]], min(HAZE, lit)
            )
        tones.stand([ridge(rng, level + 0.12, 0.03, 0.4)], tone)
        tones.mist(level - 0.2, level + 0.1, 0.5 * (1 - depth))


def garden(tones: ToneMap, land: Land) -> None:
    """Tall flowers before a hill."""
    rng, stretch = tones.rng, tones.stretch
    for depth, tone in _depths(3):
        tones.stand([ridge(rng, 0.74 + 0.16 * depth, 0.05, 0.4)], tone)
        for _ in range(round((6 - 3 * depth) / stretch)):
            root, tall = rng.random(), rng.uniform(0.32, 0.62) * (0.75 + depth * 0.4)
            bend = rng.uniform(-0.28, 0.28) * tall * stretch
            stem = [(root + bend * (step / 6) ** 2, 1.0 - tall * step / 6) for step in range(7)]
            tones.stand([stroke(stem, 0.012 + 0.006 * depth, stretch, taper=0.4)], tone)
            for step in range(2, 6):
                direction = -math.pi / 2 + (1 if step % 2 else -1) * rng.uniform(0.6, 1.2)
                length = 0.16 * (1 - step / 10) * (0.7 + depth * 0.6)
                tones.stand([leaf(stem[step], length, length * 0.36, direction, stretch)], tone)
            if depth > 0:
                size, petals = rng.uniform(0.022, 0.042) * (0.7 + depth), rng.choice((5, 6, 8))
                land.flowers.append(rosette(stem[-1], size * 0.55, size * 1.25, petals, stretch, turn=rng.random()))
                land.hearts.append(ellipse(stem[-1], size * 0.36 * stretch, size * 0.36, points=14))
        tones.mist(0.6, 0.95, 0.45 * (1 - depth))


def islands(tones: ToneMap, land: Land) -> None:
    """Islands that float, over a floor of clouds."""
    rng, stretch = tones.rng, tones.stretch
    for depth, tone in islice(_depths(4), 3):
        for _ in range(max(1, round(1.6 / stretch))):
            x, y, wide = rng.random(), rng.uniform(0.36, 0.74), rng.uniform(0.09, 0.2) * (0.6 + depth)
            half = wide * stretch
            upper = [
                (x + half * (s / 6 - 1), y - wide * 0.16 * math.sin(math.pi * s / 12) * rng.uniform(0.7, 1.2)) for s in range(13)
            ]
            lower = [(x + half * (1 - s / 6), y + wide * (1 - abs(s / 6 - 1)) ** 0.9 * rng.uniform(0.6, 1.1)) for s in range(1, 12)]
            crowns = [
                disc((x + half * rng.uniform(-0.6, 0.6), y - wide * 0.2), wide * rng.uniform(0.09, 0.18), stretch) for _ in range(4)
            ]
            tones.stand([[*upper, *lower], *crowns], tone)
            tones.stand([[*upper, (x + half, y + wide * 0.06), (x - half, y + wide * 0.06)]], tone + (HAZE - tone) // 4)
    for depth in (0.0, 0.5, 1.0):
        for _ in range(round(6 / stretch)):
            puff = rng.uniform(0.06, 0.14) * (0.8 + depth)
            tones.disc((rng.random(), 0.9 + 0.1 * depth + puff * 0.3), puff, round(SKY_FOOT + 28 - 26 * depth))


VARIANTS = 3
"""Landscapes of each kind, without stars and with them. Colours, people, words and a mirror make each picture its own."""

LANDS: dict[str, Callable[[ToneMap, Land], None]] = {
    land.__name__: land for land in (mountains, city, sea, forest, crystals, garden, dunes, islands)
}


def paint_scene(size: tuple[int, int], palette: Palette, prompt: str, rng: random.Random) -> Image.Image:
    """Paint a landscape that the prompt's words suggest, and the people in it."""
    landscape = _landscape(SCENES.choose(prompt, rng), rng.randrange(VARIANTS), palette.stars, size)
    mirrored = rng.random() < 0.5
    tones, *masks = (packed.image(mirrored=mirrored) for packed in landscape)
    colors = (palette.near, palette.middle, palette.haze, palette.sky_top, palette.sky_middle, palette.sky_foot, palette.light)
    image = colored(tones, ramp(*colors))
    for mask, color in zip(masks, (palette.accent, palette.light), strict=False):
        image.paste(color, mask=mask)
    paint_people(image, people_in(prompt, rng))
    return image


@lru_cache(maxsize=48)
def _landscape(kind: str, variant: int, stars: bool, size: tuple[int, int]) -> list[Packed]:
    """The tones of a landscape, and if it has flowers, where these and their hearts are. Cached: painting them costs more than the
    rest of a picture."""
    rng = random.Random(f"{kind} {variant}")
    tones, land = ToneMap(*size, rng), Land(sun=(rng.uniform(0.18, 0.82), rng.uniform(0.2, 0.44)))
    _paint_sky(tones, land, stars=stars)
    LANDS[kind](tones, land)
    masks = [tones.mask(outlines) for outlines in (land.flowers, land.hearts) if outlines]
    return [Packed.of(image) for image in (tones.reduced(), *masks)]


def _paint_sky(tones: ToneMap, land: Land, *, stars: bool) -> None:
    """A sky with its sun or moon, sometimes a second moon, and stars where the mood has them."""
    rng = tones.rng
    radius = rng.choice((0.05, 0.075, 0.11, 0.17))
    tones.sky(land.sun, radius * 2 + 0.22, 0.22)
    if stars:
        spots = [(rng.random(), rng.random() ** 1.4 * 0.7) for _ in range(round(60 / tones.stretch))]
        tones.stand([rosette(spot, 0.001, rng.uniform(0.0015, 0.005), 4, tones.stretch) for spot in spots], LIGHT - 10)
    behind = tones.tone_at((land.sun[0], max(0.0, land.sun[1] - radius * 2)))
    tones.disc(land.sun, radius, LIGHT - 8)
    if stars and rng.random() < 0.5:
        tones.disc((land.sun[0] + radius * 0.42 * tones.stretch, land.sun[1] - radius * 0.18), radius * 0.88, behind)
    elif rng.random() < 0.3:
        tones.disc((1 - land.sun[0], land.sun[1] * rng.uniform(0.5, 0.9)), radius * rng.uniform(0.25, 0.45), SKY_FOOT + 18)
