"""The stub image generator: the ``ImageGenerator`` protocol around a drawing, and one picture from one order.

Here: threads, latency, price; which kind a picture is, the sketch, the enlargement, the words, the file. Not here: what is drawn
(scenery.py, portrait.py, emblem.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
import re
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from emulators.image_stub.emblem import paint_emblem
from emulators.image_stub.lettering import letter
from emulators.image_stub.palette import palette_for
from emulators.image_stub.portrait import paint_portrait
from emulators.image_stub.scenery import paint_scene
from emulators.image_stub.words import Vocabulary
from resources.gateway.outcomes import FatalCallError, RefusedError
from resources.images import GeneratedImage

MIME = "image/jpeg"
MAX_SIDE = 4096
"""Largest side in pixels. A larger order is a mistake and would only fill the memory."""

JPEG_QUALITY = 82

SQUARES = Vocabulary(
    emblem="icon emblem logo symbol crest badge sigil seal иконк эмблем герб знач символ печать",
    portrait="portrait avatar face headshot person character портрет аватар лицо персонаж",
)


def paint(prompt: str, width: int, height: int, seed: int) -> bytes:
    """A picture of the shape ``width`` x ``height`` as a JPEG file; the same arguments always give the same bytes.

    A prompt of several lines begins with the style that many pictures share: what is drawn and lettered comes from the rest. Only
    landscapes get words: squares are avatars and icons, which are shown too small to read.
    """
    subject = prompt.partition("\n")[2].strip() or prompt
    digest = hashlib.sha256(f"{seed}|{width}x{height}|{prompt}".encode()).digest()
    rng = random.Random(int.from_bytes(digest[:8], "big"))
    palette = palette_for(prompt, rng)
    size = (width, height)
    if not 0.8 <= width / height <= 1.25:
        image = paint_scene((-(-width * 3 // 4), -(-height * 3 // 4)), palette, subject, rng)
        letter(image, subject)
    elif SQUARES.suggest(subject, "portrait") == "emblem":
        image = paint_emblem(size, palette, subject, rng)
    else:
        image = paint_portrait(size, palette, subject, rng)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


class StubImageGenerator:
    """Draws pictures instead of ordering them; the same order always gives the same bytes.

    Each picture waits ``latency_seconds`` and costs ``cost_usd``, so that limits, budgets and progress have an effect. A prompt
    with one of ``refused_words`` is refused, as moderation does it. Pictures are drawn in the generator's own threads: the event
    loop only waits.
    """

    def __init__(
        self, *, latency_seconds: float = 0.0, cost_usd: float = 0.0, refused_words: Collection[str] = (), threads: int = 2
    ) -> None:
        self._latency_seconds = latency_seconds
        self._cost_usd = cost_usd
        self._refused_words = frozenset(word.casefold() for word in refused_words)
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="image-stub")

    @property
    def cost_per_image_usd(self) -> float:
        """The price of each picture, in US dollars."""
        return self._cost_usd

    async def generate(
        self, *, prompt: str, width: int, height: int, seed: int, references: Sequence[bytes] = (), idempotency_key: str
    ) -> GeneratedImage:
        """Draw a landscape of three eighths of the ordered width and height, or for a square a portrait or an emblem of half of it.

        ``references`` and ``idempotency_key`` make no difference: the same order is the same picture anyway. Raises
        ``FatalCallError`` for an impossible size, ``RefusedError`` for a refused word.
        """
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
            raise FatalCallError(f"A picture of {width} x {height} pixels cannot be drawn; sides go from 1 to {MAX_SIDE}.")
        if self._latency_seconds > 0:
            await asyncio.sleep(self._latency_seconds)
        refused = self._refused_words.intersection(re.findall(r"\w+", prompt.casefold())) if self._refused_words else None
        if refused:
            raise RefusedError(f"The image stub refuses the word {min(refused)!r} (IMAGE_STUB_REFUSED_WORDS).", reason="WORD")
        loop = asyncio.get_running_loop()
        data = await loop.run_in_executor(self._executor, paint, prompt, width, height, seed)
        return GeneratedImage(
            data=data, mime=MIME, cost_usd=self._cost_usd, provider_id=f"stub-{hashlib.sha256(data).hexdigest()[:16]}"
        )

    async def aclose(self) -> None:
        """End the threads. Pictures that are being drawn are finished, and no other is begun."""
        self._executor.shutdown(wait=False, cancel_futures=True)
