"""The stub image generator: its pictures, their repeatability, and that the event loop never draws."""

import asyncio
import io
import subprocess
import sys
import threading
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from emulators.image_stub import StubImageGenerator, paint
from emulators.image_stub.lettering import letter, spelled
from emulators.image_stub.words import Vocabulary
from resources.gateway.outcomes import FatalCallError, RefusedError
from resources.images import GeneratedImage, ImageGenerator

PROMPTS = [
    "A mountain village at dusk with lanterns",
    "Neon city street at night",
    "A quiet harbour with boats at sunrise",
    "Pine forest in the fog",
    "Crystal cave full of light",
    "Garden of giant flowers",
    "Salt desert at noon",
    "Floating islands",
]


@pytest.fixture
async def generator():
    stub = StubImageGenerator(cost_usd=0.003)
    yield stub
    await stub.aclose()


async def draw(generator: ImageGenerator, prompt: str, width: int = 640, height: int = 480, seed: int = 1) -> GeneratedImage:
    return await generator.generate(prompt=prompt, width=width, height=height, seed=seed, references=(), idempotency_key="k")


def opened(image: GeneratedImage) -> Image.Image:
    return Image.open(io.BytesIO(image.data)).convert("RGB")


@pytest.mark.parametrize(
    ("width", "height"), [(1536, 640), (1024, 768), (768, 1024), (512, 512), (1024, 1024), (200, 180), (64, 64), (3, 2), (1, 1)]
)
async def test_a_picture_has_the_ordered_shape_price_and_id(generator, width, height):
    """For any shape the file is a JPEG of three eighths of the width and height, a square half of it, with its price and an id."""
    image = await draw(generator, "a lighthouse", width, height)
    with Image.open(io.BytesIO(image.data)) as file:
        eighths = 4 if 0.8 <= width / height <= 1.25 else 3
        assert (file.format, file.size) == ("JPEG", (-(-width * eighths // 8), -(-height * eighths // 8)))
    assert image.mime == "image/jpeg"
    assert image.cost_usd == generator.cost_per_image_usd == 0.003
    assert image.provider_id


@pytest.mark.parametrize("prompt", [*PROMPTS, "Portrait of a queen", "Icon of the sea"])
def test_the_same_order_gives_the_same_bytes(prompt):
    """Prompt, size and seed determine every byte; another seed gives another picture."""
    side = (512, 512) if prompt.startswith(("Portrait", "Icon")) else (640, 480)
    assert paint(prompt, *side, 7) == paint(prompt, *side, 7)
    assert paint(prompt, *side, 7) != paint(prompt, *side, 8)


@pytest.mark.slow
def test_another_process_draws_the_same_bytes():
    """A picture does not depend on the process (hash seed, earlier pictures)."""
    script = "import sys; from emulators.image_stub import paint; sys.stdout.buffer.write(paint('a lighthouse', 320, 240, 3))"
    other = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, env={"PYTHONHASHSEED": "4711"})
    assert other.stdout == paint("a lighthouse", 320, 240, 3)


async def test_pictures_drawn_concurrently_equal_those_drawn_one_by_one(generator):
    """Threads share no state that could change a picture."""
    together = await asyncio.gather(*(draw(generator, prompt) for prompt in PROMPTS * 3))
    alone = [paint(prompt, 640, 480, 1) for prompt in PROMPTS]
    assert [image.data for image in together] == alone * 3


async def test_pictures_of_different_prompts_look_different(generator):
    """Different prompts have different pictures, and no picture is a single colour."""
    pictures = [opened(await draw(generator, prompt)).crop((0, 0, 240, 120)) for prompt in PROMPTS]
    for picture in pictures:
        assert max(ImageStat.Stat(picture).stddev) > 8
    for index, first in enumerate(pictures):
        for second in pictures[index + 1 :]:
            assert max(ImageStat.Stat(ImageChops.difference(first, second)).mean) > 8


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("The last *train* home, naïve", ["The", "last", "train", "home,", "naive"]),
        ("Тихая деревня у озера: Щука", ["Tikhaya", "derevnya", "u", "ozera:", "Shchuka"]),
        ("東京 at night", ["at", "night"]),
        ("", []),
    ],
)
def test_words_are_spelled_with_letters_that_the_font_has(prompt, words):
    """The words on a picture have no missing glyphs: other alphabets are spelled in Latin, and other characters are left out."""
    assert spelled(prompt) == words


@pytest.mark.parametrize(("width", "height"), [(1536, 640), (1024, 768), (256, 256)])
def test_the_first_words_are_readable_at_the_bottom(width, height):
    """On any background the words are nearly white on a dark panel in the lower third, and there are none above it."""
    ground = Image.new("RGB", (width, height), (250, 250, 250))
    letter(ground, "The last train home and then some more words that do not all fit")
    foot = ground.crop((0, height * 2 // 3, width, height)).convert("L")
    shares = foot.histogram()
    panel, text = sum(shares[60:140]), sum(shares[225:246])
    assert panel > 0.1 * foot.width * foot.height
    assert 0.02 * panel < text
    assert ground.crop((0, 0, width, height // 2)).getcolors() == [(width * (height // 2), (250, 250, 250))]


async def test_the_event_loop_never_draws(generator):
    """While a very large picture is drawn, the loop continues."""
    drawing = asyncio.create_task(draw(generator, "Garden of giant flowers", 4000, 3000))
    ticks = 0
    while not drawing.done():
        ticks += 1
        await asyncio.sleep(0)
    assert len((await drawing).data) > 50_000
    assert ticks > 20


@pytest.mark.parametrize(("width", "height"), [(0, 10), (10, -1), (100_000, 10)])
async def test_an_impossible_size_is_refused(generator, width, height):
    """An impossible size is a fatal outcome and not a crash."""
    with pytest.raises(FatalCallError, match="pixels"):
        await draw(generator, "a lighthouse", width, height)


async def test_latency_is_waited_without_a_thread():
    """Many pictures wait for their latency at the same time, not one after the other."""
    stub = StubImageGenerator(latency_seconds=0.5, threads=1)
    try:
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(draw(stub, "dot", 32, 24) for _ in range(20)))
        assert 0.5 <= asyncio.get_running_loop().time() - started < 8  # one after the other they take ten
    finally:
        await stub.aclose()


async def test_closing_ends_the_threads():
    """A closed generator leaves no thread behind."""
    stub = StubImageGenerator()
    await draw(stub, "dot")
    await stub.aclose()
    for thread in threading.enumerate():
        if thread.name.startswith("image-stub"):
            thread.join(timeout=5)
            assert not thread.is_alive()


@pytest.mark.parametrize(
    ("prompt", "suggested"),
    [("A Window in the teachers' town", ["town"]), ("windy tea", ["wind", "tea"]), ("город у моря", ["town", "sea"]), ("", [])],
)
def test_words_suggest_by_their_beginning_or_as_a_whole(prompt, suggested):
    """A beginning matches all its words, a whole word only itself, and the choices are in the prompt's order."""
    vocabulary = Vocabulary(wind="wind. windy", tea="tea.", town="town город", sea="sea. моря.")
    assert vocabulary.suggested(prompt) == suggested


async def test_a_refused_word_is_refused_as_moderation_does_it():
    """A prompt with a refused word, in upper or lower case, is refused with a reason; a part of a word does not count."""
    stub = StubImageGenerator(refused_words=["Lantern"])
    order: dict[str, Any] = {"width": 64, "height": 64, "seed": 1, "idempotency_key": "k"}
    with pytest.raises(RefusedError, match="lantern") as refusal:
        await stub.generate(prompt="a LANTERN, lit", **order)
    assert refusal.value.reason == "WORD"
    assert (await stub.generate(prompt="two lanterns", **order)).data
    await stub.aclose()


LOOK = "a wiry woman of about 54, silver hair in a bun, a crooked nose, in a shawl full of pins"


def test_a_person_in_the_prompt_is_in_the_picture():
    """The looks of the author, and of a friend, change the part of the picture with their faces."""
    scene = "Style.\nOn the night tram."
    nobody, one, two = (
        opened(GeneratedImage(data=paint(prompt, 640, 480, 3), mime="image/jpeg", cost_usd=0, provider_id="x"))
        for prompt in (
            scene,
            f"{scene} The author, face visible: {LOOK}.",
            f"{scene} The author, face visible: {LOOK}. The friend, face visible: an old man with a grey beard.",
        )
    )
    assert skin(one, 0.5) > 0.2 > 0.1 > skin(nobody, 0.5)
    assert min(skin(two, 0.25), skin(two, 0.75)) > 0.2


def test_a_person_looks_the_same_in_every_picture():
    """Whatever the prompt says beside the look, the face and the clothes have the same shapes and colours."""
    faces = []
    for scene in ("On the night tram.", "A quiet harbour at sunrise."):
        picture = Image.open(io.BytesIO(paint(f"Style.\n{scene} The author, face visible: {LOOK}.", 640, 480, 3)))
        faces.append(picture.crop((109, 60, 131, 133)))
    assert max(ImageStat.Stat(ImageChops.difference(*faces)).mean) < 2 < min(ImageStat.Stat(faces[0]).stddev)


def skin(picture: Image.Image, middle: float) -> float:
    """The share of a face's place (around ``middle`` of the width) that has a colour of skin."""
    width, height = picture.size
    face = picture.crop((int(width * (middle - 0.08)), int(height * 0.3), int(width * (middle + 0.08)), int(height * 0.6)))
    bands = face.tobytes()
    pixels = list(zip(bands[::3], bands[1::3], bands[2::3], strict=True))
    return sum(red > green > blue and red - blue > 25 and red > 90 for red, green, blue in pixels) / len(pixels)
