"""The colours of a picture: few, and in harmony.

Here: moods (the light), harmonies (combinations of hues) and the ``Palette`` that is drawn from them. Not here: painting.
"""

from __future__ import annotations

import colorsys
import random
from dataclasses import dataclass

from PIL import Image

from emulators.image_stub.words import Vocabulary

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Mood:
    """The light: lightness (0-1) of the sky's top and bottom, of far haze and of the nearest objects; and saturation."""

    top: float
    foot: float
    haze: float
    near: float
    saturation: float
    stars: bool = False
    sky_hues: tuple[float, float] | None = None
    """Range of the sky's hue (0-1) where a mood has one of its own."""
    light_hues: tuple[float, float] | None = None
    """Range of the light's hue where a mood has one of its own."""


MOODS = {
    "night": Mood(0.07, 0.34, 0.36, 0.04, 0.55, stars=True, sky_hues=(0.52, 0.78), light_hues=(0.08, 0.16)),
    "dusk": Mood(0.24, 0.70, 0.56, 0.08, 0.58, sky_hues=(0.62, 0.86), light_hues=(0.02, 0.11)),
    "day": Mood(0.52, 0.88, 0.76, 0.16, 0.50, light_hues=(0.10, 0.16)),
    "mist": Mood(0.66, 0.90, 0.82, 0.22, 0.30),
    "ember": Mood(0.12, 0.58, 0.46, 0.06, 0.66, sky_hues=(0.90, 1.04), light_hues=(0.07, 0.13)),
}

MOOD_WORDS = Vocabulary(
    night="night moon star. stars. midnight dark nocturn lantern neon ночь ночн луна лунн звезд фонар",
    dusk="dusk sunset dawn twilight evening sunrise golden закат рассвет сумерк вечер заря",
    day="day. days. noon morning sunny bright summer meadow market день полдень утр солнеч ярк",
    mist="mist fog rain. rainy winter snow cloud pale quiet туман дожд снег зим облак",
    ember="fire ember volcan lava rust. rusty war. forge red. crimson огонь огн вулкан красн ржав",
)

HARMONIES = (0.5, 0.42, 0.58, 0.33, 0.08, -0.08)
"""Steps on the colour wheel from a picture's main hue to its accent: complements, split complements, a triad, neighbours."""


@dataclass(frozen=True)
class Palette:
    """The colours of one picture."""

    sky_top: Color
    sky_middle: Color
    sky_foot: Color
    haze: Color
    middle: Color
    near: Color
    light: Color
    accent: Color
    stars: bool
    hue: float
    """The main hue, 0-1, for colours made in passing."""


def shade(hue: float, lightness: float, saturation: float) -> Color:
    """A colour from hue, lightness and saturation, each 0-1 (the hue wraps)."""
    red, green, blue = colorsys.hls_to_rgb(hue % 1.0, min(1.0, max(0.0, lightness)), min(1.0, max(0.0, saturation)))
    return round(red * 255), round(green * 255), round(blue * 255)


def mix(first: Color, second: Color, share: float) -> Color:
    """A colour between two: ``share`` 0 is the first, 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def ramp(*colors: Color, start: int = 0) -> bytes:
    """256 colours that stay at the first one up to tone ``start`` and then run evenly through all; as Pillow's flat palette."""
    stops = Image.frombytes("RGB", (len(colors), 1), bytes(band for color in colors for band in color))
    return bytes(colors[0]) * start + stops.resize((256 - start, 1), Image.Resampling.BILINEAR).tobytes()


def palette_for(prompt: str, rng: random.Random) -> Palette:
    """The colours for a prompt: its words may choose the mood, the draw chooses the rest."""
    mood = MOODS[MOOD_WORDS.choose(prompt, rng)]
    hue = rng.uniform(*mood.sky_hues) if mood.sky_hues else rng.random()
    accent_hue = hue + rng.choice(HARMONIES)
    light_hue = rng.uniform(*mood.light_hues) if mood.light_hues else accent_hue
    saturation = mood.saturation * rng.uniform(0.85, 1.15)
    haze = mix(shade(hue + 0.02, mood.haze, saturation * 0.7), shade(light_hue, mood.haze, saturation), 0.35)
    top = shade(hue, mood.top, saturation)
    foot = mix(shade(hue, mood.foot, saturation), shade(light_hue, mood.foot, 0.85), 0.55)
    return Palette(
        sky_top=top,
        sky_middle=mix(top, foot, 0.5),
        sky_foot=foot,
        haze=haze,
        middle=mix(haze, shade(hue - 0.04, mood.near + 0.14, saturation), 0.6),
        near=shade(hue - 0.05, mood.near, saturation * 0.9),
        light=shade(light_hue, max(0.87, mood.foot + 0.06), 0.9 if mood.light_hues else 0.5),
        accent=shade(accent_hue, 0.58, 0.72),
        stars=mood.stars,
        hue=hue % 1.0,
    )
