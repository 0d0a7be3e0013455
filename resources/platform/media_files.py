"""Pictures as files: their paths below the media root, atomic writing, and opening one that may be damaged.

Here: paths that cannot leave the root, atomic writing, and every way in which reading fails as one error. Not here: the
platform's records of pictures (local.py).
"""

from __future__ import annotations

import os
import re
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from PIL import Image, UnidentifiedImageError

from resources.gateway.outcomes import FatalCallError, RequestRejectedError

MOST_PIXELS = 40_000_000
"""Larger ones are not decoded: a file of a few kilobytes can claim to be gigabytes of pixels. Ours have one or two million."""

FOLDERS = {1: "header", 2: "icon", 3: "avatars", 4: "posts"}
"""Folder by the platform's media type (contracts, MediaService)."""

EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/avif": "avif"}

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def safe_id(value: str, what: str) -> str:
    """The id, if it can be the name of a folder. Raises ``FatalCallError`` for one that could lead elsewhere."""
    if not _SAFE_ID.fullmatch(value):
        raise FatalCallError(f"{what} {value[:80]!r} is refused: an id has only letters, digits, '-' and '_', 128 at most.")
    return value


def media_path(*, world_id: str, media_type: int, media_id: str, content_type: str) -> PurePosixPath:
    """The place of a picture below the media root: ``<world>/<folder>/<media id>.<extension>``.

    Made of checked ids only, never of a name that someone chose. Raises ``FatalCallError`` for what is no picture's.
    """
    if media_type not in FOLDERS:
        raise FatalCallError(f"Media type {media_type} is not known; there are {sorted(FOLDERS)}.")
    if content_type not in EXTENSIONS:
        raise FatalCallError(f"Content type {content_type!r} is not a picture's; there are {sorted(EXTENSIONS)}.")
    name = f"{safe_id(media_id, 'The media id')}.{EXTENSIONS[content_type]}"
    return PurePosixPath(safe_id(world_id, "The world id"), FOLDERS[media_type], name)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file atomically. Blocks; raises ``FatalCallError`` when the disk refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(unfinished).chmod(0o644)
            Path(unfinished).replace(path)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
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


class PictureError(ValueError):
    """The file cannot be shown as a picture. The message is the predicate of a sentence that begins with the file's name."""


@contextmanager
def picture(path: Path) -> Iterator[Image.Image]:
    """The picture, whose pixels are read within this block. Raises ``PictureError``, within the block too."""
    try:
        with Image.open(path) as opened:
            _check_size(*opened.size)
            yield opened
    except PictureError:
        raise
    except FileNotFoundError:
        raise PictureError("is not there") from None
    except UnidentifiedImageError:
        raise PictureError("is no picture" if path.stat().st_size else "is empty") from None
    except Image.DecompressionBombError:
        raise PictureError(f"has more than {MOST_PIXELS:,} pixels") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:  # whatever Pillow's decoders raise
        raise PictureError(f"is damaged ({error})") from None


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise PictureError(f"is {width}×{height}, more than {MOST_PIXELS:,} pixels")
