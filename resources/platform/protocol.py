"""The platform: its four services as one protocol, a method for each call.

The order of a world's calls: world params as soon as the description exists, a character before its media, media before what shows
it, a post last and never without its image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class StoredMedia:
    """A picture that the media service keeps."""

    media_id: str
    url: str


class Platform(Protocol):
    """The platform's character, media, post and world services.

    A ``key`` is the deterministic id of a publication. All ids are UUIDs as text. Every method raises ``RequestRejectedError`` or
    ``FatalCallError`` for a call that can never succeed as it is (an unknown id, a post without media, a human's character),
    ``TransientError`` when the platform does not answer, and ``AmbiguousError`` for an error that may be either.

    Attributes:
        has_keys: Whether creating twice under one key gives one thing. Without, a create whose answer was lost may make a second.
    """

    has_keys: bool

    async def update_world_params(
        self, *, world_id: str, params: Mapping[str, object], name: str, users_count: int, posts_count: int
    ) -> None:
        """Send the world's description (``params``, JSON) and the numbers of users and posts; repeatable."""

    async def update_world_image(self, *, world_id: str, image_uuid: str, icon_uuid: str) -> None:
        """Set the world's header and icon, by media id; repeatable."""

    async def create_character(self, *, key: str, world_id: str, display_name: str, meta: Mapping[str, object]) -> str:
        """Create an AI's character with its fields as ``meta`` (JSON), and return its id."""

    async def update_character(
        self,
        *,
        character_id: str,
        display_name: str | None = None,
        meta: Mapping[str, object] | None = None,
        avatar_media_id: str | None = None,
    ) -> None:
        """Change the given fields of a character; repeatable. An avatar must be that character's media."""

    async def upload_media(
        self, *, key: str, world_id: str, character_id: str | None, filename: str, content_type: str, media_type: int, path: Path
    ) -> StoredMedia:
        """Keep a picture for a character, or for the world itself (``character_id`` None).

        ``media_type``: 1 world header, 2 world icon, 3 avatar, 4 post image (contracts, MediaService). ``content_type`` is
        the MIME type of the file at ``path``, which is read while it is sent. Returns when the picture can be shown.
        """

    async def create_post(
        self, *, key: str, world_id: str, character_id: str, caption: str, media_id: str, tags: Sequence[str]
    ) -> str:
        """Publish an AI's post and return its id. The media must belong to the character."""

    async def find_posts(self, *, world_id: str, character_id: str, caption: str) -> list[str]:
        """The ids of the character's posts with exactly this caption, the oldest first: decides about a create in doubt."""

    async def download_media(self, *, media_id: str) -> bytes:
        """The picture's bytes, at most ``resources.pictures.MOST_BYTES``."""

    async def aclose(self) -> None:
        """Close connections. The platform is not used afterwards."""
