"""The drawing surfaces: a map of tones for landscapes, a coloured sketch for everything else.

Here: the few things one can do to a surface, each cheap enough for a picture that may take only milliseconds.
Not here: which shapes stand in a picture.

Points are shares (0-1) of the picture's width and height, from the upper left.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw

from emulators.image_stub.palette import Color, mix, ramp

Point = tuple[float, float]
Outline = Sequence[Point]
Box = tuple[int, int, int, int]

NEAR, HAZE, SKY_TOP, SKY_FOOT, LIGHT = 0, 85, 128, 212, 255
"""The tones of a landscape: from the nearest thing to the haze, then from the top of the sky to the light in it.

They lie on the sixths of 0-255, where a ramp of seven colours has its stops (scenery.py)."""

_SMOOTHING = 2
"""Shapes of a sketch are cut this many times larger and reduced, which smooths their edges."""

_SKY = [SKY_TOP + (SKY_FOOT - SKY_TOP) * value // 255 for value in range(256)]
_SHINE = [round(58 * (value / 255) ** 1.4) for value in range(256)]

_BLACK = (0, 0, 0)
_FALL = Image.linear_gradient("L")
_DISC = Image.radial_gradient("L").point([max(0, 255 - value * 255 // 180) for value in range(256)])
"""Bright in the middle, dark where a circle ends that touches the sides (Pillow's own gradient ends at the corners)."""
_GRAIN_TILE = Image.frombytes("L", (256, 256), bytes(value % 5 for value in random.Random(7).randbytes(256 * 256)))


def colored(tones: Image.Image, colors: bytes) -> Image.Image:
    """A map of tones with every tone replaced by its colour in a ramp."""
    indexed = tones.copy()
    indexed.putpalette(colors)
    return indexed.convert("RGB")


@lru_cache(maxsize=8)
def _speckle(size: tuple[int, int]) -> Image.Image:
    """Film grain for a whole picture. Read only: it is kept, since pictures come in few sizes."""
    speckle = Image.new("L", size)
    for x in range(0, size[0], _GRAIN_TILE.width):
        for y in range(0, size[1], _GRAIN_TILE.height):
            speckle.paste(_GRAIN_TILE, (x, y))
    return speckle


def _grained(tones: Image.Image) -> Image.Image:
    """The map with a little film grain, which also hides the steps between tones."""
    return ImageChops.add(tones, _speckle(tones.size), offset=-2)


class ToneMap:
    """A landscape as one band of tones (see ``NEAR`` … ``LIGHT``), painted from the sky to the nearest thing.

    One band at full size costs less than colours at half the size, and what blends, blends the way air does: towards haze.
    """

    def __init__(self, width: int, height: int, rng: random.Random) -> None:
        self.width = width
        self.height = height
        self.rng = rng
        self._tones = Image.new("L", (width, height))
        self._draw = ImageDraw.Draw(self._tones)

    @property
    def stretch(self) -> float:
        """The picture's height divided by its width: what makes circles round."""
        return self.height / self.width

    def sky(self, sun: Point, halo: float, clouds: float) -> None:
        """Fill the map with sky, bright around the sun; ``halo`` in heights, ``clouds`` 0-1."""
        columns, rows = 64, 48
        streaks = Image.frombytes("L", (4, 9), self.rng.randbytes(36)).resize((columns, rows), Image.Resampling.BICUBIC)
        fall = _FALL.resize((columns, rows), Image.Resampling.BILINEAR)
        tones = Image.blend(fall, streaks, clouds).point(_SKY)
        shine = Image.new("L", tones.size)
        wide, tall = max(2, round(2 * halo * self.stretch * columns)), max(2, round(2 * halo * rows))
        corner = (round(sun[0] * columns - wide / 2), round(sun[1] * rows - tall / 2))
        shine.paste(_DISC.resize((wide, tall), Image.Resampling.BILINEAR).point(_SHINE), corner)
        self._tones.paste(ImageChops.add(tones, shine).resize(self._tones.size, Image.Resampling.BILINEAR))

    def stand(self, outlines: Iterable[Outline], tone: int, *, rim: bool = False) -> None:
        """Put silhouettes before everything painted so far. ``rim`` draws light along their edge."""
        for outline in outlines:
            points = [(x * self.width, y * self.height) for x, y in outline]
            self._draw.polygon(points, fill=tone)
            if rim:
                self._draw.line(points, fill=tone + (HAZE - tone) // 3, width=1)

    def disc(self, center: Point, radius: float, tone: int) -> None:
        """Put a smooth disc before everything painted so far; ``radius`` in heights."""
        size = max(2, round(2 * radius * self.height))
        mask = Image.new("L", (size * _SMOOTHING, size * _SMOOTHING))
        ImageDraw.Draw(mask).ellipse((0, 0, size * _SMOOTHING - 1, size * _SMOOTHING - 1), fill=255)
        corner = (round(center[0] * self.width - size / 2), round(center[1] * self.height - size / 2))
        self._tones.paste(tone, (*corner, corner[0] + size, corner[1] + size), mask.reduce(_SMOOTHING))

    def mist(self, top: float, bottom: float, density: float) -> None:
        """Let haze lie between two heights, denser towards the lower one."""
        first, last = max(0, round(top * self.height)), min(self.height, round(bottom * self.height))
        if last > first:
            rows = last - first
            veil = Image.frombytes("L", (1, rows), bytes(int(255 * density * row / rows) for row in range(rows)))
            band = veil.resize((self.width, rows), Image.Resampling.NEAREST)
            self._tones.paste(HAZE, (0, first, self.width, last), band)

    def tone_at(self, point: Point) -> int:
        """The tone at a point."""
        x, y = round(point[0] * (self.width - 1)), round(point[1] * (self.height - 1))
        tone = self._tones.getpixel((x, y))
        return tone if isinstance(tone, int) else SKY_FOOT

    def developed(self, colors: bytes) -> Sketch:
        """The landscape in a ramp's colours."""
        return Sketch(colored(_grained(self._tones), colors), self.rng)


class Sketch:
    """A coloured picture in the making."""

    def __init__(self, image: Image.Image, rng: random.Random) -> None:
        self.image = image
        self.rng = rng
        self.zoom = 1.0
        """How much nearer things stand: outlines are enlarged from ``focus``."""
        self.focus: Point = (0.5, 0.5)
        self.frame = (0.0, 0.0, float(image.width), float(image.height))
        """The part of the picture that outlines are shares of: left, top, width, height in pixels."""

    @classmethod
    def aura(cls, size: tuple[int, int], rng: random.Random, center: Point, radius: float, colors: bytes) -> Sketch:
        """A ground that shines around a point: the ramp's last colour there, its first ``radius`` widths away."""
        coarse = 96
        tones = Image.new("L", (coarse, coarse))
        wide = max(2, round(2 * radius * coarse))
        corner = (round(center[0] * coarse - wide / 2), round(center[1] * coarse - wide / 2))
        tones.paste(_DISC.resize((wide, wide), Image.Resampling.BILINEAR), corner)
        tones = tones.resize(size, Image.Resampling.BILINEAR)
        return cls(colored(_grained(tones), colors), rng)

    @property
    def stretch(self) -> float:
        """The frame's height divided by its width: what makes circles round."""
        return self.frame[3] / self.frame[2]

    def fill(self, outlines: Iterable[Outline], color: Color, *, opacity: float = 1.0, within: Outline | None = None) -> None:
        """Paint outlines, their edges smooth. ``within`` keeps the paint inside another outline."""
        shapes = [self._pixels(outline) for outline in outlines if outline]
        box = self._box(shapes)
        if box is None:
            return
        mask = self._cut(shapes, box, round(255 * opacity))
        if within is not None:
            mask = ImageChops.multiply(mask, self._cut([self._pixels(within)], box, 255))
        # An image of the colour, not the colour: Pillow pastes images through a mask about three times faster.
        self.image.paste(Image.new("RGB", mask.size, color), box, mask)

    def dot(self, outlines: Iterable[Outline], color: Color) -> None:
        """Paint many small outlines, without smoothing."""
        draw = ImageDraw.Draw(self.image)
        for outline in outlines:
            draw.polygon(self._pixels(outline), fill=color)

    def glow(self, center: Point, radius: float, color: Color) -> None:
        """Shine: a soft light around a point; ``radius`` in heights."""
        width, height = self.image.size
        size = max(2, round(2 * radius * height))
        left, top = round(center[0] * width - size / 2), round(center[1] * height - size / 2)
        box = (max(0, left), max(0, top), min(width, left + size), min(height, top + size))
        if box[2] <= box[0] or box[3] <= box[1]:
            return
        halo = _DISC.resize((size, size), Image.Resampling.BILINEAR)
        light = colored(
            halo.crop((box[0] - left, box[1] - top, box[2] - left, box[3] - top)),
            ramp(_BLACK, _BLACK, mix(_BLACK, color, 0.25), color),
        )
        self.image.paste(ImageChops.screen(self.image.crop(box), light), box[:2])

    def _pixels(self, outline: Outline) -> Outline:
        """An outline in pixels, seen through the zoom."""
        left, top, width, height = self.frame
        wide, tall = width * self.zoom, height * self.zoom
        left, top = left + self.focus[0] * (width - wide), top + self.focus[1] * (height - tall)
        return [(left + x * wide, top + y * tall) for x, y in outline]

    def _box(self, shapes: list[Outline]) -> Box | None:
        """The part of the picture that shapes (in pixels) touch, or None."""
        if not shapes:
            return None
        xs = [x for shape in shapes for x, _ in shape]
        ys = [y for shape in shapes for _, y in shape]
        left, top = max(0, int(min(xs)) - 1), max(0, int(min(ys)) - 1)
        right, bottom = min(self.image.width, int(max(xs)) + 2), min(self.image.height, int(max(ys)) + 2)
        return (left, top, right, bottom) if right > left and bottom > top else None

    def _cut(self, shapes: list[Outline], box: Box, strength: int) -> Image.Image:
        """Shapes (in pixels) as a mask over a part of the picture."""
        mask = Image.new("L", ((box[2] - box[0]) * _SMOOTHING, (box[3] - box[1]) * _SMOOTHING))
        draw = ImageDraw.Draw(mask)
        for shape in shapes:
            draw.polygon([((x - box[0]) * _SMOOTHING, (y - box[1]) * _SMOOTHING) for x, y in shape], fill=strength)
        return mask.reduce(_SMOOTHING)
