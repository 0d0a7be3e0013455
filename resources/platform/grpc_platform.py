"""The platform's services over gRPC: the calls of the ``Platform`` protocol as requests of the four services.

This platform has no idempotency keys; what happens in doubt is decided in generia_assets/durable/calls/platform_client.py.
"""

import asyncio
import json
import math
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import grpc
import httpx2

from resources.gateway.outcomes import AmbiguousError, CallError, FatalCallError, RequestRejectedError
from resources.pictures import MOST_BYTES, bytes_of_file, extension_of
from resources.platform import object_store
from resources.platform.addresses import ServiceAddresses
from resources.platform.grpc_channels import GrpcChannels, Method
from resources.platform.object_store import UrlExpiredError
from resources.platform.proto import character_pb2, media_pb2, post_pb2, world_pb2
from resources.platform.protocol import StoredMedia
from resources.redaction import fit, fit_json
from resources.settings import PlatformSettings, spare_loopback

_CHARACTERS, _MEDIA = "/generia.character.CharacterService", "/media.MediaService"
_POSTS, _WORLDS = "/generia.post.PostService", "/generia.world.WorldService"
CREATE_CHARACTER = Method("character-service", f"{_CHARACTERS}/CreateCharacter", character_pb2.Character)
UPDATE_CHARACTER = Method("character-service", f"{_CHARACTERS}/UpdateCharacter", character_pb2.Character)
PRESIGN = Method("media-service", f"{_MEDIA}/GetPresignedUploadURL", media_pb2.GetPresignedUploadURLResponse)
CONFIRM = Method("media-service", f"{_MEDIA}/ConfirmUpload", media_pb2.ConfirmUploadResponse)
MEDIA_URL = Method("media-service", f"{_MEDIA}/GetMediaURL", media_pb2.GetMediaURLResponse)
CREATE_POST = Method("post-service", f"{_POSTS}/CreateAIPost", post_pb2.CreatePostResponse)
CHARACTER_POSTS = Method("post-service", f"{_POSTS}/GetCharacterPosts", post_pb2.PostList)
WORLD_PARAMS = Method("world-service", f"{_WORLDS}/UpdateWorldParams", world_pb2.UpdateWorldParamsResponse)
WORLD_IMAGE = Method("world-service", f"{_WORLDS}/UpdateWorldImage", world_pb2.UpdateWorldImageResponse)

WorldAnswerT = TypeVar("WorldAnswerT", world_pb2.UpdateWorldParamsResponse, world_pb2.UpdateWorldImageResponse)

PAGE = 100
"""Posts asked for at once."""
MOST_URLS = 3
"""Presigned URLs asked for in one upload."""
EXPIRES_SOON_SECONDS = 5
SHOWN_SECONDS = 7 * 86_400
"""How long a picture's URL in documents and events is good: the longest that S3 signs. ConfirmUpload's are good for an hour."""


class GrpcPlatform:
    """The platform. Made by ``open_platform``; ``aclose`` it on the event loop it was made on."""

    has_keys = False

    def __init__(self, channels: GrpcChannels, http: httpx2.AsyncClient) -> None:
        self._channels = channels
        self._call = channels.call
        self._http = http

    async def update_world_params(
        self, *, world_id: str, params: Mapping[str, object], name: str, users_count: int, posts_count: int
    ) -> None:
        request = world_pb2.UpdateWorldParamsRequest(
            world_id=world_id, params=_json(params), name=fit(name), users_count=users_count, posts_count=posts_count
        )
        await self._update_world(WORLD_PARAMS, request, world_id)

    async def update_world_image(self, *, world_id: str, image_uuid: str, icon_uuid: str) -> None:
        request = world_pb2.UpdateWorldImageRequest(
            world_id=world_id, image_uuid=_dashed(image_uuid, "image_uuid"), icon_uuid=_dashed(icon_uuid, "icon_uuid")
        )
        await self._update_world(WORLD_IMAGE, request, world_id)

    async def create_character(self, *, key: str, world_id: str, display_name: str, meta: Mapping[str, object]) -> str:
        """The key goes into ``meta``, by which an operator finds what was created twice."""
        request = character_pb2.CreateCharacterRequest(
            world_id=world_id, display_name=fit(display_name), meta=_json({**meta, "generator_key": key})
        )
        return _dashed((await self._call(CREATE_CHARACTER, request)).id, "CreateCharacter's id")

    async def update_character(
        self,
        *,
        character_id: str,
        display_name: str | None = None,
        meta: Mapping[str, object] | None = None,
        avatar_media_id: str | None = None,
    ) -> None:
        request = character_pb2.UpdateCharacterRequest(
            character_id=character_id,
            display_name=None if display_name is None else fit(display_name),
            meta=None if meta is None else _json(meta),
            avatar_media_id=None if avatar_media_id is None else _dashed(avatar_media_id, "avatar_media_id"),
        )
        await self._call(UPDATE_CHARACTER, request)

    async def upload_media(
        self, *, key: str, world_id: str, character_id: str | None, filename: str, content_type: str, media_type: int, path: Path
    ) -> StoredMedia:
        """The extension of the name is that of the content type: the store's name of the object has it."""
        extension = extension_of(content_type)
        request = media_pb2.GetPresignedUploadURLRequest(
            world_id=world_id,
            character_id=character_id or "",
            filename=f"{fit(Path(filename).stem) or key}.{extension}",
            content_type=content_type,
            size=bytes_of_file(path),
            media_type=media_pb2.MediaType.Name(media_type),
        )
        given_id = await self._put(request, path)
        confirmed = await self._call(CONFIRM, media_pb2.ConfirmUploadRequest(media_id=given_id))
        if not confirmed.success:
            raise AmbiguousError("ConfirmUpload: the media service did not confirm the upload")
        media_id = _dashed(given_id, "GetPresignedUploadURL's media_id")
        return StoredMedia(media_id=media_id, url=await self._url(media_id, SHOWN_SECONDS))

    async def create_post(
        self, *, key: str, world_id: str, character_id: str, caption: str, media_id: str, tags: Sequence[str]
    ) -> str:
        request = post_pb2.CreateAIPostRequest(
            character_id=character_id,
            caption=fit(caption),
            media_id=_dashed(media_id, "media_id"),
            world_id=world_id,
            tags=map(fit, tags),
        )
        return _dashed((await self._call(CREATE_POST, request)).post_id, "CreateAIPost's post_id")

    async def find_posts(self, *, world_id: str, character_id: str, caption: str) -> list[str]:
        """Reads page by page; a service that tells no total is asked until a page brings nothing new."""
        wanted, seen, found, more = fit(caption), set[str](), list[tuple[str, str]](), True
        while more:
            request = post_pb2.GetCharacterPostsRequest(character_id=character_id, limit=PAGE, offset=len(seen), world_id=world_id)
            page = await self._call(CHARACTER_POSTS, request)
            new = [post for post in page.posts if post.post_id not in seen]
            seen.update(post.post_id for post in new)
            found += [(post.created_at, post.post_id) for post in new if post.caption == wanted]
            more = bool(new) and not 0 < page.total <= len(seen)
        return [_dashed(post_id, "post_id") for _, post_id in sorted(found)]

    async def download_media(self, *, media_id: str) -> bytes:
        return await object_store.get(self._http, await self._url(_dashed(media_id, "media_id"), 600), MOST_BYTES)

    async def aclose(self) -> None:
        try:
            await self._channels.aclose()
        finally:
            await self._http.aclose()

    async def _update_world(
        self,
        method: Method[WorldAnswerT],
        request: world_pb2.UpdateWorldParamsRequest | world_pb2.UpdateWorldImageRequest,
        world_id: str,
    ) -> None:
        try:
            _dashed(world_id, "world_id")  # the database's answer to another one is INTERNAL
            answer = await self._call(method, request)
        except RequestRejectedError as error:
            cause = error.__cause__
            if isinstance(cause, grpc.aio.AioRpcError) and cause.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            raise FatalCallError(
                f"The platform does not know world {world_id}. It makes a world's row when the world is ordered there; one that "
                "was ordered in Dagster or by a command has none. Order it on the platform, or set PLATFORM=local for such "
                f"worlds. ({error})"
            ) from error
        if not answer.success:
            raise AmbiguousError(f"{method.path}: {answer.message or 'no success, and no message'}")

    async def _put(self, request: media_pb2.GetPresignedUploadURLRequest, path: Path) -> str:
        """Store the file; a URL that has expired is asked for again. Returns the media id as the service gave it."""
        left = MOST_URLS
        while True:
            given = await self._call(PRESIGN, request)
            left -= 1
            if left and given.expires_at - time.time() < EXPIRES_SOON_SECONDS:  # the last one is tried: a clock may be wrong
                continue
            try:
                await object_store.put(self._http, given.upload_url, path, request.content_type)
            except UrlExpiredError as error:
                if not left:
                    raise RequestRejectedError(f"{error} ({MOST_URLS} presigned URLs were refused or expired at once)") from error
            else:
                return given.media_id

    async def _url(self, media_id: str, seconds: int) -> str:
        request = media_pb2.GetMediaURLRequest(media_id=media_id, variant="original", expires_in=seconds)
        return (await self._call(MEDIA_URL, request)).url


def open_platform(settings: PlatformSettings) -> GrpcPlatform:
    """The platform at the addresses of the settings, on the running event loop. Nothing is connected yet."""
    seconds = settings.platform_timeout_seconds
    spare_loopback()
    try:
        http = httpx2.AsyncClient(timeout=httpx2.Timeout(seconds, connect=min(10.0, seconds)))
    except (ValueError, ImportError) as error:
        raise FatalCallError(f"HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used ({error}): correct or unset it") from None
    addresses = ServiceAddresses(settings.service_addresses, settings.consul_address, http)
    return GrpcPlatform(GrpcChannels(addresses, seconds), http)


async def check_services(settings: PlatformSettings, *, seconds: float = math.inf) -> dict[str, str | CallError]:
    """For each service its address, if it says within these seconds that it serves, or what is wrong."""
    most = min(seconds, settings.platform_timeout_seconds)
    platform = open_platform(settings.model_copy(update={"platform_timeout_seconds": most}))

    async def check(service: str) -> str | CallError:
        try:
            return await platform._channels.check(service)
        except CallError as error:
            return error

    try:
        return dict(zip(settings.service_addresses, await asyncio.gather(*map(check, settings.service_addresses)), strict=True))
    finally:
        await platform.aclose()


def _json(value: Mapping[str, object]) -> str:
    try:
        return json.dumps(fit_json(value), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise FatalCallError(f"The platform takes JSON, and this is none: {error}") from error


def _dashed(media_id: str, what: str) -> str:
    """The id with dashes: the media service answers with 32 hex digits where the others take and give a UUID with dashes."""
    try:
        return str(uuid.UUID(media_id))
    except ValueError:
        raise RequestRejectedError(f"{what}={media_id[:80]!r} is no UUID: the platform's ids are") from None
