"""Landscapes: headers and post images. A sky, land from far to near, and what shines on it.

Here: which scene a prompt suggests, and its sky. Not here: the lands themselves (lands.py), single shapes (outlines.py),
square pictures (portrait.py, emblem.py).
"""

from __future__ import annotations

import random

from emulators.image_stub.lands import LANDS, Land
from emulators.image_stub.outlines import rosette
from emulators.image_stub.palette import Palette, mix, ramp
from emulators.image_stub.sketch import LIGHT, SKY_FOOT, Sketch, ToneMap
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


def paint_scene(size: tuple[int, int], palette: Palette, prompt: str, rng: random.Random) -> Sketch:
    """Paint a landscape that the prompt's words suggest."""
    tones = ToneMap(*size, rng)
    land = Land(sun=(rng.uniform(0.18, 0.82), rng.uniform(0.2, 0.44)))
    _paint_sky(tones, palette, land)
    LANDS[SCENES.choose(prompt, rng)](tones, land)
    sketch = tones.developed(
        ramp(palette.near, palette.middle, palette.haze, palette.sky_top, palette.sky_middle, palette.sky_foot, palette.light)
    )
    sketch.dot(land.windows, mix(palette.light, palette.accent, 0.25))
    for flower in land.flowers:
        sketch.fill([flower], palette.accent)
    for heart in land.hearts:
        sketch.fill([heart], palette.light)
    return sketch


def _paint_sky(tones: ToneMap, palette: Palette, land: Land) -> None:
    """A sky with its sun or moon, sometimes a second moon, and stars where the mood has them."""
    rng = tones.rng
    radius = rng.choice((0.05, 0.075, 0.11, 0.17))
    tones.sky(land.sun, radius * 2 + 0.22, 0.22)
    if palette.stars:
        spots = [(rng.random(), rng.random() ** 1.4 * 0.7) for _ in range(round(60 / tones.stretch))]
        tones.stand([rosette(spot, 0.001, rng.uniform(0.0015, 0.005), 4, tones.stretch) for spot in spots], LIGHT - 10)
    behind = tones.tone_at((land.sun[0], max(0.0, land.sun[1] - radius * 2)))
    tones.disc(land.sun, radius, LIGHT - 8)
    if palette.stars and rng.random() < 0.5:
        tones.disc((land.sun[0] + radius * 0.42 * tones.stretch, land.sun[1] - radius * 0.18), radius * 0.88, behind)
    elif rng.random() < 0.3:
        tones.disc((1 - land.sun[0], land.sun[1] * rng.uniform(0.5, 0.9)), radius * rng.uniform(0.25, 0.45), SKY_FOOT + 18)
