"""The local platform's pictures as files: their paths, which cannot leave the media root.

Not here: writing and reading them (resources/pictures.py), and the platform's records of pictures (local.py).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from resources.gateway.outcomes import FatalCallError
from resources.pictures import EXTENSIONS

FOLDERS = {1: "header", 2: "icon", 3: "avatars", 4: "posts"}
"""Folder by the platform's media type (contracts, MediaService)."""

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
