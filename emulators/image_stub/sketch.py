"""The drawing surfaces: a map of tones for landscapes, a coloured sketch for everything else.

Here: the few operations on a surface, each fast enough for a picture that takes only a millisecond. Not here: the shapes of a
picture.

Points are shares (0-1) of the picture's width and height, from the upper left.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import lz4.block
from PIL import Image, ImageChops, ImageDraw, ImageOps

from emulators.image_stub.palette import Color, mix, ramp

REDUCED = 2
"""A picture is painted with hard edges, and made so many times smaller, which smooths them."""

Point = tuple[float, float]
Outline = Sequence[Point]

NEAR, HAZE, SKY_TOP, SKY_FOOT, LIGHT = 0, 85, 128, 212, 255
"""The tones of a landscape: from the nearest thing to the haze, then from the top of the sky to the light in it.

They lie on the sixths of 0-255, where a ramp of seven colours has its stops (scenery.py)."""

_SKY = [SKY_TOP + (SKY_FOOT - SKY_TOP) * value // 255 for value in range(256)]
_SHINE = [round(58 * (value / 255) ** 1.4) for value in range(256)]
_NO_SKY = [min(tone, HAZE) for tone in range(256)]
_IS_LAND = [255 * (tone <= HAZE) for tone in range(256)]
_SOME = [0] + [255] * 255

_BLACK = (0, 0, 0)
_FALL = Image.linear_gradient("L").resize((64, 48), Image.Resampling.BILINEAR)
_DISC = Image.radial_gradient("L").point([max(0, 255 - value * 255 // 180) for value in range(256)]).resize((128, 128))
"""Bright in the middle, dark where a circle ends that touches the sides (Pillow's own gradient ends at the corners)."""


@dataclass(frozen=True)
class Packed:
    """An image as it is kept for other pictures: with few colours it takes a tenth of the memory."""

    mode: str
    size: tuple[int, int]
    data: bytes

    @classmethod
    def of(cls, image: Image.Image) -> Self:
        return cls(image.mode, image.size, lz4.block.compress(image.tobytes()))

    def image(self, *, mirrored: bool = False) -> Image.Image:
        image = Image.frombytes(self.mode, self.size, lz4.block.decompress(self.data))
        return ImageOps.mirror(image) if mirrored else image


def colored(tones: Image.Image, colors: bytes) -> Image.Image:
    """A map of tones with every tone replaced by its colour in a ramp."""
    indexed = tones.copy()
    indexed.putpalette(colors)
    return indexed.convert("RGB")


def enlarged(tones: Image.Image, size: tuple[int, int], colors: bytes = b"") -> Image.Image:
    """A soft map in another size, perhaps in a ramp's colours: smooth to a quarter of it, the rest by copying pixels."""
    quarter = tones.resize((max(1, size[0] // 4), max(1, size[1] // 4)), Image.Resampling.BILINEAR)
    return (colored(quarter, colors) if colors else quarter).resize(size, Image.Resampling.NEAREST)


class ToneMap:
    """A landscape as one band of tones (see ``NEAR`` … ``LIGHT``), painted from the sky to the nearest object. One band at full
    size costs less than colours at half the size, and blended tones look like haze.
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
        tones = Image.blend(_FALL, streaks, clouds).point(_SKY)
        shine = Image.new("L", tones.size)
        wide, tall = max(2, round(2 * halo * self.stretch * columns)), max(2, round(2 * halo * rows))
        corner = (round(sun[0] * columns - wide / 2), round(sun[1] * rows - tall / 2))
        shine.paste(_DISC.resize((wide, tall), Image.Resampling.BILINEAR).point(_SHINE), corner)
        self._tones.paste(enlarged(ImageChops.add(tones, shine), self._tones.size))

    def stand(self, outlines: Iterable[Outline], tone: int, *, rim: bool = False) -> None:
        """Put silhouettes in front of everything painted so far. ``rim`` draws light along their edge."""
        width, height = self.width, self.height
        for outline in outlines:
            points = [(x * width, y * height) for x, y in outline]
            self._draw.polygon(points, fill=tone)
            if rim:
                self._draw.line(points, fill=tone + (HAZE - tone) // 3, width=1)

    def disc(self, center: Point, radius: float, tone: int) -> None:
        """Put a disc in front of everything painted so far; ``radius`` in heights."""
        self._draw.circle((center[0] * self.width, center[1] * self.height), radius * self.height, fill=tone)

    def mist(self, top: float, bottom: float, density: float) -> None:
        """Paint haze between two heights, denser towards the lower one."""
        first, last = max(0, round(top * self.height)), min(self.height, round(bottom * self.height))
        if last > first and density > 0:
            rows = last - first
            veil = Image.frombytes("L", (1, rows), bytes(int(255 * density * row / rows) for row in range(rows)))
            band = veil.resize((self.width, rows), Image.Resampling.NEAREST)
            self._tones.paste(HAZE, (0, first, self.width, last), band)

    def tone_at(self, point: Point) -> int:
        """The tone at a point."""
        x, y = round(point[0] * (self.width - 1)), round(point[1] * (self.height - 1))
        tone = self._tones.getpixel((x, y))
        return tone if isinstance(tone, int) else SKY_FOOT

    def mask(self, outlines: Iterable[Outline]) -> Image.Image:
        """Where these outlines are, as a mask of the finished map's size."""
        covered = ToneMap(self.width, self.height, self.rng)
        covered.stand(outlines, 255)
        return covered._tones.reduce(REDUCED)

    def reduced(self) -> Image.Image:
        """The map, finished. Where land meets sky, the edge gets tones between the land's and the haze: those between haze and sky
        have the colours of the sky's top."""
        finished, land = self._tones.reduce(REDUCED), self._tones.point(_NO_SKY).reduce(REDUCED)
        finished.paste(land, mask=self._tones.point(_IS_LAND).reduce(REDUCED).point(_SOME, "1"))
        return finished


class Sketch:
    """A coloured picture in the making."""

    def __init__(self, image: Image.Image, rng: random.Random) -> None:
        self.image = image
        self.rng = rng
        self.zoom = 1.0
        """How much nearer things stand: outlines are enlarged from ``focus``."""
        self.focus: Point = (0.5, 0.5)
        self._opaque, self._glazing = ImageDraw.Draw(image), ImageDraw.Draw(image, "RGBA")

    @classmethod
    def aura(cls, size: tuple[int, int], rng: random.Random, center: Point, radius: float, colors: bytes) -> Sketch:
        """A background that is bright around a point: the ramp's last colour there, its first ``radius`` widths away."""
        coarse = 96
        tones = Image.new("L", (coarse, coarse))
        wide = max(2, round(2 * radius * coarse))
        corner = (round(center[0] * coarse - wide / 2), round(center[1] * coarse - wide / 2))
        tones.paste(_DISC.resize((wide, wide), Image.Resampling.BILINEAR), corner)
        return cls(enlarged(tones, size, colors), rng)

    def reduced(self) -> Image.Image:
        """The picture, finished."""
        return self.image.reduce(REDUCED)

    def fill(self, outlines: Iterable[Outline], color: Color, *, opacity: float = 1.0) -> None:
        """Paint outlines."""
        ink = color if opacity == 1.0 else (*color, round(255 * opacity))
        draw = self._opaque if opacity == 1.0 else self._glazing
        for outline in outlines:
            draw.polygon(self._pixels(outline), fill=ink)

    @contextmanager
    def within(self, outline: Outline) -> Iterator[None]:
        """Everything painted in this block stays inside the outline."""
        before, outside = self.image.copy(), Image.new("1", self.image.size, 1)
        yield
        ImageDraw.Draw(outside).polygon(self._pixels(outline), fill=0)
        self.image.paste(before, mask=outside)

    def glow(self, center: Point, radius: float, color: Color) -> None:
        """Paint a soft light around a point; ``radius`` in heights."""
        width, height = self.image.size
        size = max(4, round(2 * radius * height))
        corner = (round(center[0] * width - size / 2), round(center[1] * height - size / 2))
        light = enlarged(_DISC, (size, size), ramp(_BLACK, _BLACK, mix(_BLACK, color, 0.25), color))
        below = self.image.crop((*corner, corner[0] + size, corner[1] + size))
        self.image.paste(ImageChops.screen(below, light), corner)

    def _pixels(self, outline: Outline) -> Outline:
        """An outline in pixels, seen through the zoom."""
        width, height = self.image.size
        wide, tall = width * self.zoom, height * self.zoom
        left, top = self.focus[0] * (width - wide), self.focus[1] * (height - tall)
        return [(left + x * wide, top + y * tall) for x, y in outline]
