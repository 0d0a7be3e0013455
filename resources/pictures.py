"""Pictures as bytes and as files: what is a picture at all, atomic writing, and reading one that may be damaged.

Every way in which reading fails is one error.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import struct
import threading
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from resources.gateway.outcomes import FatalCallError, RequestFailedError, RequestRejectedError

MOST_PIXELS = 40_000_000
"""Larger ones are not decoded: a file of a few kilobytes can claim to be gigabytes of pixels. Ours have one or two million."""
MOST_BYTES = 20_000_000
"""Of one picture. A picture of one or two million pixels has up to three million bytes."""

REFERENCE_SIDE = 1024
"""Pixels; what is larger is made smaller before it goes along with a request, which costs the same at any size."""
_DECODING = threading.BoundedSemaphore(2)
"""Pictures decoded at once: one of ``MOST_PIXELS`` takes 160 MB of memory, 280 MB while it becomes JPEG."""

EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/avif": "avif"}
"""The media types that browsers show, with the extension of their files."""

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


class PictureError(ValueError):
    """The bytes cannot be shown as a picture. The message is the predicate of a sentence that begins with the picture's name."""


@contextmanager
def picture(source: Path | bytes) -> Iterator[Image.Image]:
    """The picture, whose pixels are read within this block. Raises ``PictureError``, within the block too. Blocks."""
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise PictureError(f"is {opened.width}×{opened.height}, more than {MOST_PIXELS:,} pixels")  # noqa: TRY301
            yield opened
    except PictureError:
        raise
    except FileNotFoundError:
        raise PictureError("is not there") from None
    except UnidentifiedImageError:
        has_bytes = source if isinstance(source, bytes) else source.stat().st_size
        raise PictureError("is no picture" if has_bytes else "is empty") from None
    except Image.DecompressionBombError:
        raise PictureError(f"has more than {MOST_PIXELS:,} pixels") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:  # whatever Pillow's decoders raise
        raise PictureError(f"is damaged ({error})") from None


def size_of(data: bytes, media_type: str) -> tuple[int, int]:
    """Width and height of a picture all of whose pixels decode. Raises ``PictureError``. Blocks for some milliseconds."""
    if len(data) > MOST_BYTES:
        raise PictureError(f"has {len(data):,} bytes, more than {MOST_BYTES:,}")
    with _DECODING, picture(data) as opened:
        size = opened.size
        opened.draft(None, (1, 1))  # of a JPEG every byte is read, and few pixels are made: half the CPU
        opened.load()
        found = Image.MIME.get(opened.format or "", "image/unknown")
        if found not in EXTENSIONS:
            raise PictureError(f"is {found}; there are {', '.join(EXTENSIONS)}")
        if found != media_type:
            raise PictureError(f"is {found} and was called {media_type}")
        return size


def media_type_of(data: bytes) -> str:
    """The media type of a picture, by its first bytes. Raises ``PictureError``."""
    with picture(data) as opened:
        return Image.MIME.get(opened.format or "", "image/unknown")


def as_jpeg(data: bytes) -> bytes:
    """The picture as JPEG of at most ``REFERENCE_SIDE``: for requests that carry it. Raises ``PictureError``. Blocks."""
    packed = io.BytesIO()
    with _DECODING, picture(data) as opened:
        opened.thumbnail((REFERENCE_SIDE, REFERENCE_SIDE))
        opened.convert("RGB").save(packed, "JPEG", quality=90)
    return packed.getvalue()


def extension_of(content_type: str) -> str:
    """The extension of a picture's file. Raises ``FatalCallError`` for a content type that is no picture's."""
    if content_type not in EXTENSIONS:
        raise FatalCallError(f"Content type {content_type!r} is not a picture's; there are {sorted(EXTENSIONS)}.")
    return EXTENSIONS[content_type]


def bytes_of_file(path: Path) -> int:
    """The size of a file that is about to be stored. Raises ``RequestFailedError`` where there is none, or nothing in it."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise RequestFailedError(f"{path} cannot be read ({error.strerror}): the picture is made again.") from error
    if not size:
        raise RequestFailedError(f"{path} is empty: the picture is made again.")
    return size


def safe_id(value: str, what: str) -> str:
    """The id, if it can be the name of a folder. Raises ``FatalCallError`` for one that could lead elsewhere."""
    if not _SAFE_ID.fullmatch(value):
        raise FatalCallError(f"{what} {value[:80]!r} is refused: an id has only letters, digits, '-' and '_', 128 at most.")
    return value


def write_whole(path: Path, data: bytes) -> None:
    """Write a file atomically. Blocks; raises ``FatalCallError`` when the disk refuses."""
    with _unfinished(path) as part, part.open("xb") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(data)


def place_whole(path: Path, source: Path) -> None:
    """Make ``path`` the same file as ``source``, atomically: a link, or a copy where there can be none. Else as ``write_whole``."""
    with _unfinished(path) as part:
        link_or_copy(source, part)


def link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
        target.chmod(0o644)


@contextmanager
def _unfinished(path: Path) -> Iterator[Path]:
    """A name beside ``path``, for a file that is written within this block and takes its place after it."""
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)  # it is still there after an error, and where both were one file
    except OSError as error:
        raise FatalCallError(f"{path} cannot be written ({error.strerror}): see to the disk's space and rights.") from error


def read_whole(path: Path, most: int) -> bytes:
    """The file's bytes. Blocks; raises ``RequestRejectedError`` where it cannot be read, or has more than ``most`` bytes."""
    try:
        if path.stat().st_size > most:
            raise RequestRejectedError(f"{path} has more than {most:,} bytes.")
        return path.read_bytes()
    except OSError as error:
        raise RequestRejectedError(f"{path} cannot be read ({error.strerror}): make the picture again.") from error
