"""Pictures as files: where a picture lies below the media root, and how it gets there whole.

Here: paths that cannot leave the root, and atomic writing. Not here: what the platform knows about a picture (platform_local.py).
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path, PurePosixPath

from resources.gateway.outcomes import FatalCallError

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
    """Write a file so that it is there whole or not at all. Blocks; raises ``FatalCallError`` when the disk refuses."""
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
