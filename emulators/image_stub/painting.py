"""One picture from one order: which kind it is, the sketch, the enlargement, the words, the file.

Here: the order of the work and what makes it fast. Not here: what is drawn (scenery.py, portrait.py, emblem.py).
"""

from __future__ import annotations

import hashlib
import io
import random

from PIL import Image

from emulators.image_stub.emblem import paint_emblem
from emulators.image_stub.lettering import letter
from emulators.image_stub.palette import palette_for
from emulators.image_stub.portrait import paint_people, paint_portrait, people_in
from emulators.image_stub.scenery import paint_scene
from emulators.image_stub.words import Vocabulary

MIME = "image/jpeg"

SQUARE_SIDE = 512
"""Side of a square sketch in pixels at most; larger squares are enlarged from it."""

JPEG_QUALITY = 82

SQUARES = Vocabulary(
    emblem="icon emblem logo symbol crest badge sigil seal иконк эмблем герб знач символ печать",
    portrait="portrait avatar face headshot person character портрет аватар лицо персонаж",
)


def paint(prompt: str, width: int, height: int, seed: int) -> bytes:
    """A picture of ``width`` x ``height`` pixels as a JPEG file; the same arguments always give the same bytes.

    A prompt of several lines begins with the style that many pictures share: what is drawn and lettered comes from the rest.
    Words are set on landscapes alone: squares are avatars and icons, shown so small that nobody could read them.
    """
    subject = prompt.partition("\n")[2].strip() or prompt
    digest = hashlib.sha256(f"{seed}|{width}x{height}|{prompt}".encode()).digest()
    rng = random.Random(int.from_bytes(digest[:8], "big"))
    palette = palette_for(prompt, rng)
    square = 0.8 <= width / height <= 1.25
    if square:
        side = min(max(width, height), SQUARE_SIDE)
        paint_square = paint_emblem if SQUARES.suggest(subject, "portrait") == "emblem" else paint_portrait
        image = paint_square((side, side), palette, subject, rng).image
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BICUBIC)
    else:
        sketch = paint_scene((width, height), palette, subject, rng)
        paint_people(sketch, palette, people_in(subject, rng))
        image = sketch.image
        letter(image, subject)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()
