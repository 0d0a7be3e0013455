"""Damaged picture files (E5), and readable words on the stub's pictures (P27)."""

from __future__ import annotations

import io
import re
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from emulators.image_stub import paint
from generia_assets.assets.checks.counts import _problem
from generia_assets.assets.description import previews
from generia_assets.content.documents import CharacterAvatar, Media
from resources import pictures
from resources.pictures import MOST_BYTES, REFERENCE_SIDE, PictureError, as_jpeg, size_of

SIZE = (64, 64)


def image(kind: str) -> bytes:
    data = io.BytesIO()
    Image.effect_noise(SIZE, 90).convert("RGB").save(data, kind)
    return data.getvalue()


def bomb() -> bytes:
    """A PNG of a few bytes that claims to be 200,000 pixels wide and high."""
    header = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b""))
    body = (struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def large() -> bytes:
    data = io.BytesIO()
    Image.new("1", (8_000, 6_000)).save(data, "PNG")
    return data.getvalue()


def halved(data: bytes) -> bytes:
    return data[: len(data) // 2]


def turned(data: bytes) -> bytes:
    """With some inverted bytes in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes(255 - byte for byte in data[middle : middle + 40]) + data[middle + 40 :]


DAMAGED: list[tuple[str, Callable[[], bytes | None], str]] = [
    *(
        (f"E5 {kind} cut in half", lambda kind=kind: image(kind)[: len(image(kind)) // 2], "is ")
        for kind in ("JPEG", "PNG", "WEBP")
    ),
    ("E5 JPEG without its last bytes", lambda: image("JPEG")[:-200], "is damaged"),
    ("E5 PNG with bytes turned over", lambda: turned(image("PNG")), "is damaged"),
    ("E5 empty", lambda: b"", "is empty"),
    ("E5 a page", lambda: b"<html>not found</html>", "is no picture"),
    ("E5 a bomb", bomb, "pixels"),
    ("E5 too large", large, "is 8000×6000, more than"),
    ("E5 not there", lambda: None, "is not there"),
]


@pytest.mark.parametrize(("data", "says"), [pytest.param(data, says, id=name) for name, data, says in DAMAGED])
def test_a_damaged_picture_has_no_preview_and_is_named(tmp_path: Path, data: Callable[[], bytes | None], says: str) -> None:
    """Previews never fail: a damaged file is left out, and the asset's check names the fault."""
    media_dir = tmp_path / "media"
    media_dir.mkdir()
    (media_dir / "good.jpg").write_bytes(image("JPEG"))
    if (found := data()) is not None:
        (media_dir / "bad.jpg").write_bytes(found)
    good, bad = (Media(media_id=name, url=f"media/{name}.jpg", prompt="", width=64, height=64) for name in ("good", "bad"))
    people = [CharacterAvatar(key="c0000", username="a", character_id="1", avatar=one) for one in (bad, good)]
    shown = previews(people, media_dir)
    assert shown is not None
    assert str(shown.value).count("data:image/jpeg;base64,") == 1
    assert "media/bad" not in str(shown.value)
    world = SimpleNamespace(media_dir=media_dir)
    assert _problem(world, good, SIZE) == ""  # type: ignore[arg-type]
    problem = _problem(world, bad, SIZE)  # type: ignore[arg-type]
    assert problem.startswith("media/bad.jpg ")
    assert says in problem


@pytest.mark.parametrize(
    ("data", "media_type", "says"),
    [
        *(
            pytest.param(data(), "image/jpeg" if "JPEG" in name else "image/webp" if "WEBP" in name else "image/png", says, id=name)
            for name, data, says in DAMAGED
            if name != "E5 not there"
        ),
        pytest.param(image("PNG"), "image/jpeg", "is image/png and was called image/jpeg", id="E5 another media type"),
        pytest.param(image("GIF"), "image/gif", "is image/gif; there are", id="E5 a media type that we do not keep"),
        pytest.param(image("PNG") + bytes(MOST_BYTES), "image/png", "bytes, more than", id="E5 too many bytes"),
    ],
)
def test_a_providers_picture_is_decoded_before_it_is_stored(data: bytes | None, media_type: str, says: str) -> None:
    """A picture is accepted if its pixels decode, its bytes have the declared type, and it is not too large."""
    assert data is not None
    with pytest.raises(PictureError, match=re.escape(says)):
        size_of(data, media_type)
    assert size_of(image("WEBP"), "image/webp") == SIZE


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
@pytest.mark.slow
def test_a_reference_picture_is_small_however_large_the_avatar_is(mode: str) -> None:
    """It is sent with every request that shows the person."""
    data = io.BytesIO()
    Image.effect_noise((2 * REFERENCE_SIDE, REFERENCE_SIDE), 90).convert(mode).save(data, "PNG")
    assert size_of(as_jpeg(data.getvalue()), "image/jpeg") == (REFERENCE_SIDE, REFERENCE_SIDE // 2)


def test_few_pictures_are_decoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten pictures of 40 million pixels would need 2 GB of memory at once."""
    decoding: list[int] = []
    peaks: list[int] = []
    opened = pictures.picture

    @contextmanager
    def counted(source: Path | bytes) -> Iterator[Image.Image]:
        decoding.append(1)
        peaks.append(len(decoding))
        time.sleep(0.01)
        with opened(source) as one:
            yield one
        decoding.pop()

    monkeypatch.setattr(pictures, "picture", counted)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: size_of(image("PNG"), "image/png"), range(16)))
    assert max(peaks) <= 2


@pytest.mark.parametrize(
    ("prompt", "size", "words"),
    [
        pytest.param("ink\nPortrait of a queen with a lantern", (48, 48), False, id="P27 avatar of 48 pixels"),
        pytest.param("ink\nPortrait of a queen with a lantern", (512, 512), False, id="P27 avatar, shown small"),
        pytest.param("ink\nicon of the sea", (512, 512), False, id="P27 icon"),
        pytest.param("ink\nA harbour at dusk under lamps", (1024, 768), True, id="P27 a post's picture"),
        pytest.param("ink\nA harbour at dusk under lamps", (1536, 640), True, id="P27 a header"),
    ],
)
def test_only_large_pictures_have_words(prompt: str, size: tuple[int, int], words: bool) -> None:
    """The stub writes words on landscapes, which are shown large, and on no avatar or icon."""
    with Image.open(io.BytesIO(paint(prompt, *size, 4))) as picture:
        foot = picture.convert("L").crop((0, picture.height * 4 // 5, *picture.size))
    assert (sum(foot.histogram()[235:]) > foot.width * foot.height / 200) is words
