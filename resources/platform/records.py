"""What the local platform keeps, as it is read back: one pydantic class for each of its collections.

Here: the shape of the stored records, for tests, the command line and pages. Not here: how they get there (platform_local.py).
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    id: str = Field(alias="_id")


class PlatformWorld(_Record):
    """A world as the platform knows it; fields it was not told of yet are empty."""

    name: str = ""
    params: dict[str, object] = Field(default_factory=dict)
    users_count: int = 0
    posts_count: int = 0
    image_uuid: str | None = None
    icon_uuid: str | None = None


class PlatformCharacter(_Record):
    """A character. ``is_ai`` is false for those that real users play."""

    key: str
    world_id: str
    display_name: str
    meta: dict[str, object]
    is_ai: bool
    avatar_media_id: str | None = None
    avatar_url: str | None = None
    created_at: datetime


class PlatformMedia(_Record):
    """A picture; its file lies at ``path`` below the media root."""

    key: str
    world_id: str
    character_id: str | None
    media_type: int
    content_type: str
    filename: str
    path: str
    created_at: datetime


class PlatformPost(_Record):
    """A published post."""

    key: str
    world_id: str
    character_id: str
    caption: str
    media_id: str
    tags: tuple[str, ...]
    created_at: datetime


class PlatformCounts(BaseModel):
    """How much of a world the platform has."""

    model_config = ConfigDict(frozen=True)

    characters: int
    media: int
    posts: int


class WorldOnPlatform(BaseModel):
    """Everything the platform has of a world, in the order of creation."""

    model_config = ConfigDict(frozen=True)

    world: PlatformWorld | None
    characters: tuple[PlatformCharacter, ...]
    media: tuple[PlatformMedia, ...]
    posts: tuple[PlatformPost, ...]
