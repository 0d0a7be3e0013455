"""Reading a picture file that may be damaged: cut in half, empty, no picture at all, or too large to be decoded.

Here: opening one, with every way in which that fails as one error. Not here: where pictures lie (media_files.py).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

MOST_PIXELS = 40_000_000
"""Larger ones are not decoded: a file of a few kilobytes can claim to be gigabytes of pixels. Ours have one or two million."""


class PictureError(ValueError):
    """The file cannot be shown as a picture. The message says why, in words that follow the file's name."""


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
