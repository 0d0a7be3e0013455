"""The character, post and world services: their rules, in the order in which they check. docs/requirements.md is the contract.

Here: one class for each service, whose methods do the work of a call at once. Not here: the media service (media.py), counting and
faults of calls (calls.py), and the refusals of the database (database.py).
"""

from __future__ import annotations

import grpc

from emulators.platform.database import (
    LONGEST_WORLD_NAME,
    CharacterRow,
    PostRow,
    RefusalError,
    to_json,
    to_text,
    to_uuid,
)
from emulators.platform.state import PlatformState, ServedCall, to_time
from resources.platform.proto import character_pb2, post_pb2, world_pb2

DEFAULT_POSTS, MOST_POSTS = 20, 100


def _require(**fields: str) -> None:
    for name, value in fields.items():
        if not value:
            raise RefusalError(grpc.StatusCode.INVALID_ARGUMENT, f"{name} is required")


class CharacterService:
    """``generia.character.CharacterService``."""

    def __init__(self, state: PlatformState) -> None:
        self._state = state

    def CreateCharacter(self, request: character_pb2.CreateCharacterRequest, call: ServedCall) -> character_pb2.Character:  # noqa: N802
        """Create a new character at every call: there is no key and no unique constraint."""
        database = self._state.database
        row = CharacterRow(
            id=str(call.dice.uuid("character")),
            world_id=to_uuid(request.world_id),
            real_user_id=to_uuid(request.real_user_id) if request.HasField("real_user_id") else None,
            display_name=to_text(request.display_name),
            avatar_media_id=to_uuid(request.avatar_media_id) if request.HasField("avatar_media_id") else None,
            meta=to_json(request.meta) if request.HasField("meta") else None,
            created_at=database.now(),
        )
        database.insert_character(row)
        return self._message(row)

    def UpdateCharacter(self, request: character_pb2.UpdateCharacterRequest, _: ServedCall) -> character_pb2.Character:  # noqa: N802
        """Change the fields that are set."""
        row = self._state.character(request.character_id)
        changes = {
            name: check(getattr(request, name))
            for name, check in (("display_name", to_text), ("avatar_media_id", to_uuid), ("avatar_url", to_text), ("meta", to_json))
            if request.HasField(name)
        }
        row = self._state.database.characters[row.id] = row.model_copy(update=changes)
        return self._message(row)

    def GetCharacter(self, request: character_pb2.GetCharacterRequest, _: ServedCall) -> character_pb2.Character:  # noqa: N802
        """The character."""
        return self._message(self._state.character(request.character_id))

    def _message(self, row: CharacterRow) -> character_pb2.Character:
        return character_pb2.Character(
            id=row.id,
            world_id=row.world_id,
            real_user_id=row.real_user_id,
            is_ai=row.real_user_id is None,
            display_name=row.display_name,
            avatar_media_id=row.avatar_media_id,
            avatar_url=row.avatar_url or self._state.media_url(row.avatar_media_id),
            meta=row.meta,
            created_at=to_time(row.created_at),
        )


class PostService:
    """``generia.post.PostService``."""

    def __init__(self, state: PlatformState) -> None:
        self._state = state

    def CreateAIPost(self, request: post_pb2.CreateAIPostRequest, call: ServedCall) -> post_pb2.CreatePostResponse:  # noqa: N802
        """Create a new post at every call. Its tags are not stored."""
        _require(character_id=request.character_id, media_id=request.media_id, world_id=request.world_id)
        character = self._state.character(request.character_id)
        if character.real_user_id is not None:
            raise RefusalError(grpc.StatusCode.PERMISSION_DENIED, "character is not an AI character")
        if self._state.media(request.media_id).character_id != character.id:
            raise RefusalError(grpc.StatusCode.PERMISSION_DENIED, "media does not belong to character")
        database = self._state.database
        row = PostRow(
            id=str(call.dice.uuid("post")),
            world_id=to_uuid(request.world_id),
            character_id=character.id,
            caption=to_text(request.caption),
            media_id=to_uuid(request.media_id),
            created_at=database.now(),
        )
        database.insert_post(row)
        return post_pb2.CreatePostResponse(post_id=row.id, created_at=to_time(row.created_at))

    def GetCharacterPosts(self, request: post_pb2.GetCharacterPostsRequest, _: ServedCall) -> post_pb2.PostList:  # noqa: N802
        """The character's posts, newest first, a page of at most ``MOST_POSTS``."""
        character_id = to_uuid(request.character_id)
        world_id = to_uuid(request.world_id) if request.world_id else None
        rows = [
            row
            for row in self._state.database.posts.values()
            if row.character_id == character_id and world_id in (None, row.world_id)
        ]
        rows.sort(key=lambda row: row.created_at, reverse=True)
        start = max(request.offset, 0)
        page = rows[start : start + min(request.limit if request.limit > 0 else DEFAULT_POSTS, MOST_POSTS)]
        return post_pb2.PostList(posts=map(self._message, page), total=len(rows))

    def _message(self, row: PostRow) -> post_pb2.Post:
        return post_pb2.Post(
            post_id=row.id,
            character_id=row.character_id,
            display_name=self._state.database.characters[row.character_id].display_name,
            caption=row.caption,
            media_url=self._state.media_url(row.media_id),
            created_at=to_time(row.created_at),
            world_id=row.world_id,
        )


class WorldService:
    """``generia.world.WorldService``."""

    def __init__(self, state: PlatformState) -> None:
        self._state = state

    def UpdateWorldParams(self, request: world_pb2.UpdateWorldParamsRequest, _: ServedCall) -> world_pb2.UpdateWorldParamsResponse:  # noqa: N802
        """The world's description and numbers."""
        _require(world_id=request.world_id, params=request.params, name=request.name)
        if self._state.any_world:
            self._state.add_world(request.world_id)
        row = self._state.world(request.world_id)
        changes = {
            "params": to_json(request.params),
            "name": to_text(request.name, LONGEST_WORLD_NAME),
            "users_count": request.users_count,
            "posts_count": request.posts_count,
        }
        self._state.database.worlds[row.id] = row.model_copy(update=changes)
        return world_pb2.UpdateWorldParamsResponse(success=True, message="world updated")

    def UpdateWorldImage(self, request: world_pb2.UpdateWorldImageRequest, _: ServedCall) -> world_pb2.UpdateWorldImageResponse:  # noqa: N802
        """The world's header and icon."""
        _require(world_id=request.world_id, image_uuid=request.image_uuid, icon_uuid=request.icon_uuid)
        row = self._state.world(request.world_id)
        changes = {"image_uuid": to_uuid(request.image_uuid), "icon_uuid": to_uuid(request.icon_uuid)}
        self._state.database.worlds[row.id] = row.model_copy(update=changes)
        return world_pb2.UpdateWorldImageResponse(success=True, message="world image updated")
