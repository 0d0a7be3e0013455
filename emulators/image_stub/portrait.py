"""Portraits: the avatars, and people in other pictures. A flat figure in front of a bright background, different for each person.

Here: the figure in layers: background, back hair, shoulders, neck, head, face, hair, headwear. Not here: the garments' shapes
(wardrobe.py), single shapes (outlines.py), colours of the whole (palette.py).
"""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageChops, ImageFilter

from emulators.image_stub.outlines import arc, disc, ellipse, leaf, rosette, stroke
from emulators.image_stub.palette import Color, Palette, mix, palette_for, ramp, shade
from emulators.image_stub.sketch import REDUCED, Outline, Packed, Point, Sketch
from emulators.image_stub.wardrobe import HEADWEAR, wear
from emulators.image_stub.words import Vocabulary

FACES = Vocabulary(
    smooth="woman girl lady queen princess mother sister witch she. her. young child женщ девоч девуш королев мать сестр ведьм",
    bearded="bearded beard king. wizard grandfather fisherman captain smith борода бородат король дед. рыбак капитан кузнец",
)
_LOOKS = re.compile(r"\bThe (?:person|author|friend)(?:, face visible)?: ([^.]+)")
"""How a prompt tells the looks of somebody who is seen."""
STRANGERS = 24
"""People in all the pictures that request faces and describe none."""
HUMANS = Vocabulary(human="woman man. men. girl boy женщин мужчин девоч мальчик")
HAIR_STYLES = Vocabulary(
    bald="bald shaved лыс бритоголов", bun="bun. scarf", curls="curls curly кудр", long="braid plait waves косы", short="cropped"
)
HAIR_COLORS = Vocabulary(
    grey="silver grey gray white сед",
    black="black чёрн",
    red="copper ginger red. рыж",
    fair="straw blond fair. светл",
    brown="brown",
)
_HAIR = {"grey": (196, 196, 202), "black": (38, 32, 38), "red": (158, 72, 40), "fair": (214, 178, 108), "brown": (98, 62, 40)}
BEARD_CHANCE = {"smooth": 0.0, "bearded": 0.8, "any": 0.1}

HALF_CIRCLE = arc((0.0, 0.0), 1.0, 1.0, -math.pi / 2, math.pi / 2, points=21)
HEAD: Point = (0.5, 0.42)
"""Middle of the face."""


@dataclass(frozen=True)
class Figure:
    """The properties of one person, from the draw and the prompt's words."""

    skin: Color
    hair: Color
    cloth: Color
    half_width: float
    half_height: float


def people_in(prompt: str, rng: random.Random) -> list[str]:
    """The looks of the people in the picture: those that the prompt describes, or else a few strangers if it requests faces."""
    described = _LOOKS.findall(prompt)
    return described or [f"stranger {number}" for number in rng.sample(range(STRANGERS), 3 * ("faces" in prompt.lower()))]


def paint_portrait(size: tuple[int, int], palette: Palette, prompt: str, rng: random.Random) -> Image.Image:
    """Paint the head and shoulders of the first person whom the prompt describes, or of a person whom its words suggest."""
    sketch = _ground(size, palette, rng)
    sketch.zoom, sketch.focus = 1.24, (0.5, 0.3)
    look = next(iter(_LOOKS.findall(prompt)), "")
    if look:
        paint_person(sketch, look)
    else:
        _paint_figure(sketch, palette, prompt)
    return sketch.reduced()


def paint_people(image: Image.Image, looks: list[str]) -> None:
    """Paint people side by side into the lower part of a picture, each as in every other picture."""
    side = round(image.height * (1.0, 0.9, 0.75)[min(len(looks), 3) - 1])
    for place, look in enumerate(looks):
        left, top = round(image.width * (2 * place + 1) / (2 * len(looks)) - side / 2), image.height - side
        person, mask, (x, y) = _person(look, side)
        image.paste(person.image(), (left + x, top + y), mask.image())


@lru_cache(maxsize=128)
def _person(look: str, side: int) -> tuple[Packed, Packed, tuple[int, int]]:
    """A person, where they cover the ground, and their corner in a square of this side; cached: painting them costs more than
    the rest of a picture."""
    sketch = Sketch(Image.new("RGB", (side * REDUCED, side * REDUCED)), random.Random())
    paint_person(sketch, look)
    covers = sketch.image.convert("L").point([0] + [255] * 255)
    # Around the person the ground gets their colours: reduced, the edge would have some of its black.
    sketch.image.paste(sketch.image.filter(ImageFilter.MaxFilter(2 * REDUCED + 1)), mask=ImageChops.invert(covers))
    covered = covers.reduce(REDUCED)
    box = covered.getbbox() or (0, 0, side, side)
    return Packed.of(sketch.reduced().crop(box)), Packed.of(covered.crop(box)), box[:2]


def paint_person(sketch: Sketch, look: str) -> None:
    """Paint the head and shoulders of somebody who looks like this, in colours that come from the look, too."""
    sketch.rng = random.Random(look)
    _paint_figure(sketch, palette_for(look, sketch.rng), look)


def _paint_figure(sketch: Sketch, palette: Palette, look: str) -> None:
    """Paint a head and shoulders; the words of the look may choose the headwear."""
    rng = sketch.rng
    figure = Figure(
        skin=_skin(palette, rng, human=bool(HUMANS.suggested(look))),
        hair=_hair(palette, look, rng),
        cloth=mix(palette.accent, palette.near, rng.uniform(0.1, 0.6)),
        half_width=rng.uniform(0.118, 0.14),
        half_height=rng.uniform(0.16, 0.185),
    )
    hair = HAIR_STYLES.suggest(look, rng.choice(("long", "bun", "short", "curls", "bald", "long", "short")))
    _hair_behind(sketch, figure, hair)
    _shoulders(sketch, figure, palette)
    _head(sketch, figure)
    if rng.random() < BEARD_CHANCE[FACES.suggest(look, "any")]:
        _beard(sketch, figure)
    _hair_before(sketch, figure, hair)
    wear(sketch, HEADWEAR.choose(look, rng), HEAD, figure.half_width, figure.half_height, palette, figure.cloth)


def _hair(palette: Palette, look: str, rng: random.Random) -> Color:
    """The hair colour that the look names, or any, tinted by the picture's light."""
    drawn = shade(palette.hue + rng.uniform(-0.1, 0.1), rng.choice((0.12, 0.2, 0.3, 0.55, 0.8)), rng.uniform(0.15, 0.6))
    named = HAIR_COLORS.suggested(look)
    return mix(_HAIR[named[0]], palette.light, 0.12) if named else drawn


def _skin(palette: Palette, rng: random.Random, *, human: bool) -> Color:
    """A skin tone between dark and light, tinted by the picture's light; sometimes a colour that people do not have."""
    if rng.random() < 0.1 and not human:
        return shade(palette.hue + 0.5, rng.uniform(0.45, 0.7), 0.35)
    return mix(shade(rng.uniform(0.04, 0.09), rng.uniform(0.3, 0.8), rng.uniform(0.35, 0.6)), palette.light, 0.12)


def _ground(size: tuple[int, int], palette: Palette, rng: random.Random) -> Sketch:
    deep, bright = mix(palette.sky_top, palette.near, 0.25), mix(palette.sky_foot, palette.light, 0.35)
    sketch = Sketch.aura(size, rng, HEAD, rng.uniform(0.55, 0.85), ramp(deep, palette.sky_top, palette.sky_foot, bright))
    kind = rng.choice(("halo", "rays", "leaves", "rings", "moon", "stars"))
    if kind == "halo":
        sketch.fill([disc((0.5, 0.4), 0.33, 1)], palette.light, opacity=0.5)
        sketch.fill([disc((0.5, 0.4), 0.305, 1)], mix(palette.sky_foot, palette.sky_top, 0.35))
    elif kind == "rays":
        sketch.fill([_ray(2 * math.pi * step / 14 + 0.1) for step in range(14)], palette.light, opacity=0.16)
    elif kind == "leaves":
        for step in range(11):
            angle = math.pi * (0.92 + 1.16 * step / 10)
            root = (0.5 + 0.24 * math.cos(angle), 0.44 + 0.24 * math.sin(angle))
            sketch.fill(
                [leaf(root, rng.uniform(0.14, 0.26), 0.07, angle + rng.uniform(-0.3, 0.3), 1)],
                mix(palette.near, palette.accent, rng.uniform(0.1, 0.6)),
            )
    elif kind == "rings":
        for radius in (0.46, 0.38, 0.3):
            sketch.fill([disc((0.5, 0.42), radius, 1)], palette.light, opacity=0.13)
    elif kind == "moon":
        sketch.fill([disc((rng.choice((0.27, 0.73)), 0.27), rng.uniform(0.14, 0.2), 1)], palette.light, opacity=0.85)
    else:
        sketch.fill(
            [rosette((rng.random(), rng.random() * 0.8), 0.002, rng.uniform(0.006, 0.014), 4, 1) for _ in range(38)], palette.light
        )
    return sketch


def _ray(angle: float) -> Outline:
    spread = 0.09
    return [
        (0.5, 0.42),
        (0.5 + math.cos(angle - spread), 0.42 + math.sin(angle - spread)),
        (0.5 + math.cos(angle + spread), 0.42 + math.sin(angle + spread)),
    ]


def _hair_behind(sketch: Sketch, figure: Figure, hair: str) -> None:
    dark = mix(figure.hair, (0, 0, 0), 0.25)
    x, y = HEAD
    if hair == "long":
        fall = sketch.rng.uniform(0.2, 0.36)
        half = figure.half_width * 1.28
        crown = arc((x, y - 0.03), half, figure.half_height * 1.12, math.pi, 2 * math.pi)
        sketch.fill(
            [
                [
                    *crown,
                    (x + half * 1.12, y + fall),
                    (x + half * 0.5, y + fall + 0.05),
                    (x - half * 0.5, y + fall + 0.05),
                    (x - half * 1.12, y + fall),
                ]
            ],
            dark,
        )
    elif hair == "bun":
        sketch.fill([disc((x + sketch.rng.uniform(-0.03, 0.03), y - figure.half_height * 1.22), 0.068, 1)], dark)
    elif hair == "curls":
        curls = [
            disc(
                (x + 1.12 * figure.half_width * math.cos(a), y - 0.05 + figure.half_height * math.sin(a)),
                sketch.rng.uniform(0.05, 0.075),
                1,
            )
            for a in (math.pi * (0.9 + 0.12 * s) for s in range(11))
        ]
        sketch.fill(curls, dark)


def _shoulders(sketch: Sketch, figure: Figure, palette: Palette) -> None:
    rng = sketch.rng
    wide, top = rng.uniform(0.27, 0.35), 0.7
    slope = [
        (0.5 - 0.07, top - 0.06),
        (0.5 - 0.13, top),
        (0.5 - wide * 0.86, top + 0.07),
        (0.5 - wide, top + 0.15),
        (0.5 - wide * 1.06, 1.0),
    ]
    body = [*slope, *((1 - x, y) for x, y in reversed(slope))]
    sketch.fill([body], figure.cloth)
    sketch.fill([[(0.5, 0.64), (0.56, 1.0), *body[len(slope) :]]], (0, 0, 0), opacity=0.16)
    neck = [(0.445, 0.5), (0.555, 0.5), (0.56, 0.665), (0.5, 0.72), (0.44, 0.665)]
    trim = mix(figure.cloth, palette.light, 0.45)
    collar = rng.choice(("open", "round", "high", "scarf", "lapels"))
    if collar in {"open", "lapels"}:
        sketch.fill([[(0.42, 0.645), (0.58, 0.645), (0.5, 0.84)]], mix(figure.skin, (0, 0, 0), 0.12) if collar == "open" else trim)
    sketch.fill([neck], mix(figure.skin, (0, 0, 0), 0.18))
    if collar == "round":
        sketch.fill([stroke(arc((0.5, 0.63), 0.1, 0.095, 0.15 * math.pi, 0.85 * math.pi), 0.026, 1)], trim)
    elif collar == "high":
        sketch.fill([[(0.42, 0.59), (0.58, 0.59), (0.6, 0.7), (0.5, 0.73), (0.4, 0.7)]], mix(figure.cloth, (0, 0, 0), 0.25))
    elif collar == "scarf":
        sketch.fill([ellipse((0.5, 0.655), 0.12, 0.05), [(0.53, 0.66), (0.6, 0.67), (0.62, 0.9), (0.54, 0.9)]], trim)
    elif collar == "lapels":
        lapel = [(0.41, 0.63), (0.5, 0.86), (0.36, 0.78)]
        sketch.fill([lapel, [(1 - x, y) for x, y in lapel]], mix(figure.cloth, (0, 0, 0), 0.3))


def _head(sketch: Sketch, figure: Figure) -> None:
    rng = sketch.rng
    (x, y), wide, tall = HEAD, figure.half_width, figure.half_height
    skin, dark = figure.skin, mix(figure.skin, (20, 10, 20), 0.62)
    sketch.fill([ellipse((x - wide, y + 0.02), 0.02, 0.036), ellipse((x + wide, y + 0.02), 0.02, 0.036)], mix(skin, (0, 0, 0), 0.1))
    half = [(x + wide * across * (1 - 0.2 * max(0.0, down) ** 2), y + tall * down) for across, down in HALF_CIRCLE]
    sketch.fill([[*half, *((2 * x - px, py) for px, py in reversed(half))]], skin)
    shadow = [(x + 0.012, y - tall), *half, (x + 0.03, y + tall), (x + 0.03, y + 0.06), (x - 0.014, y + 0.055)]
    sketch.fill([shadow], (30, 10, 40), opacity=0.13)
    lidded = rng.random() < 0.5
    for side in (-1, 1):
        eye = (x + side * wide * 0.45, y + 0.004)
        if lidded:
            sketch.fill([stroke(arc(eye, 0.026, 0.014, 0.1 * math.pi, 0.9 * math.pi), 0.007, 1)], dark)
        else:
            sketch.fill([ellipse(eye, 0.024, 0.0115)], mix(skin, (255, 255, 255), 0.6))
            sketch.fill([disc(eye, 0.0115, 1)], dark)
            sketch.fill([stroke(arc(eye, 0.026, 0.015, 1.05 * math.pi, 1.95 * math.pi), 0.006, 1)], dark)
        brow = arc((eye[0], y - 0.022), 0.032, 0.018, 1.15 * math.pi, 1.85 * math.pi)
        sketch.fill([stroke(brow, 0.009, 1)], mix(figure.hair, dark, 0.5))
    sketch.fill([stroke([(x - 0.004, y + 0.0), (x - 0.018, y + 0.058), (x + 0.006, y + 0.062)], 0.006, 1)], mix(skin, dark, 0.5))
    curve = rng.uniform(-0.006, 0.018)
    sketch.fill(
        [stroke([(x - 0.036, y + 0.1), (x, y + 0.1 + curve), (x + 0.036, y + 0.1)], 0.011, 1)], mix((150, 50, 60), dark, 0.35)
    )
    if rng.random() < 0.25:
        sketch.fill([disc((x + side * wide * 0.55, y + 0.055), 0.026, 1) for side in (-1, 1)], (214, 80, 80), opacity=0.25)


def _beard(sketch: Sketch, figure: Figure) -> None:
    (x, y), wide, tall = HEAD, figure.half_width * 1.03, figure.half_height * sketch.rng.uniform(1.03, 1.25)
    jaw = [
        (x + wide * 0.98 * math.cos(a) * (1 - 0.16 * math.sin(a) ** 2), y + 0.01 + tall * math.sin(a))
        for a in (math.pi * s / 16 for s in range(17))
    ]
    sketch.fill([[*jaw, (x - wide * 0.62, y + 0.06), (x, y + 0.068), (x + wide * 0.62, y + 0.06)]], figure.hair)
    sketch.fill([ellipse((x, y + 0.103), 0.034, 0.011)], mix((150, 50, 60), figure.skin, 0.3))


def _hair_before(sketch: Sketch, figure: Figure, hair: str) -> None:
    if hair == "bald":
        return
    (x, y), wide, tall = HEAD, figure.half_width * 1.07, figure.half_height * 1.08
    crown = arc((x, y), wide, tall, 0.98 * math.pi, 2.02 * math.pi, points=24)
    parting = sketch.rng.choice((-0.5, -0.25, 0.0, 0.3, 0.5)) * wide
    fringe = [
        (x + wide * 0.86, y - tall * 0.1),
        (x + wide * 0.62, y - tall * 0.42),
        (x + parting, y - tall * 0.66),
        (x - wide * 0.62, y - tall * 0.42),
        (x - wide * 0.86, y - tall * 0.1),
    ]
    sketch.fill([[*crown, *fringe]], figure.hair)
    shine = arc((x, y), wide * 0.8, tall * 0.84, 1.2 * math.pi, 1.5 * math.pi)
    sketch.fill([stroke(shine, 0.012, 1, taper=0.3)], mix(figure.hair, (255, 255, 255), 0.25), opacity=0.7)
