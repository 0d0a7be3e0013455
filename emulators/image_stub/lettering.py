"""The prompt's first words on the picture, which show what was ordered.

Here: choosing, spelling, wrapping and setting the words. Pillow's own scalable face has basic Latin letters only, so other
alphabets are spelled in Latin: the same bytes on every machine, and no font file to license or to install.
"""

from __future__ import annotations

import math
import unicodedata
from functools import lru_cache
from itertools import islice

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

WORDS = 10
"""How many of the prompt's words are set at most."""

LINES = 2

_INK = (245, 245, 245)
_PANEL = (12, 12, 16)

_LATIN = dict(zip("абвгдезийклмнопрстуфыэіґ", "abvgdeziyklmnoprstufyeig", strict=True)) | {
    "ё": "yo", "ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ь": "", "ю": "yu", "я": "ya",
    "ї": "yi", "є": "ye", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "—": "-", "–": "-", "’": "'", "«": '"', "»": '"',
}  # fmt: skip
_SPELLING = str.maketrans(_LATIN | {glyph.upper(): latin.capitalize() for glyph, latin in _LATIN.items() if glyph.isalpha()})


def spelled(prompt: str) -> list[str]:
    """The prompt's first words in letters of the font, one more than can be set; other characters are left out."""
    latin = (unicodedata.normalize("NFKD", word.translate(_SPELLING)).encode("ascii", "ignore").decode() for word in prompt.split())
    return list(islice(filter(None, (word.strip("*#`\"'()[]{}<>|_~") for word in latin)), WORDS + 1))


def letter(image: Image.Image, prompt: str) -> None:
    """Write the prompt's first words at the bottom of the picture, light on a dark panel; at most two lines."""
    width, height = image.size
    if min(width, height) < 48:
        return
    size = max(11, round(min(height * 0.058, width * 0.052)))
    font = _font(size)
    margin = round(size * 0.9)
    lines = _wrapped(spelled(prompt), font, width - 4 * margin)
    if not lines:
        return
    spacing = round(size * 1.28)
    wide = round(max(_length(line, font) for line in lines))
    left = 2 * margin
    top = height - margin - spacing * len(lines) - size // 3
    corner = (left - margin, top - size // 2)
    panel = Image.new("L", (min(width, left + wide + margin) - corner[0], height - margin + size // 4 - corner[1]))
    ImageDraw.Draw(panel).rounded_rectangle((0, 0, panel.width - 1, panel.height - 1), round(size * 0.45), fill=150)
    image.paste(_PANEL, corner, panel)
    for index, line in enumerate(lines):
        x = float(left)
        for word in line.split():
            mask, advance = _word(f"{word} ", font)
            image.paste(_INK, (round(x), top + index * spacing), mask)
            x += advance


def _wrapped(words: list[str], font: Font, width: int) -> list[str]:
    """The first words in at most two lines, with an ellipsis where more would follow."""
    lines: list[list[str]] = [[]]
    fitting = 0
    taken = -(space := _word(" ", font)[1])
    for word in words[:WORDS]:
        taken += (advance := _word(f"{word} ", font)[1])
        if lines[-1] and taken > width:
            if len(lines) == LINES:
                break
            lines.append([])
            taken = advance - space
        lines[-1].append(word)
        fitting += 1
    if fitting < len(words):
        while len(lines[-1]) > 1 and len(lines[-1][-1]) <= 3:
            lines[-1].pop()
        lines[-1][-1] = lines[-1][-1].rstrip(",;:.-") + "…"
    return [" ".join(line) for line in lines if line]


def _length(text: str, font: Font) -> float:
    return sum(_word(f"{word} ", font)[1] for word in text.split()) - _word(" ", font)[1]


@lru_cache(maxsize=512)
def _word(word: str, font: Font) -> tuple[Image.Image, float]:
    """A word as a mask, and its advance, cached: drawing words again costs as much as the picture below them."""
    _, _, right, bottom = font.getbbox(word)
    mask = Image.new("L", (max(1, math.ceil(right)), max(1, math.ceil(bottom))))
    ImageDraw.Draw(mask).text((0, 0), word, font=font, fill=255)
    return mask, font.getlength(word)


@lru_cache(maxsize=32)
def _font(size: int) -> Font:
    return ImageFont.load_default(size)
