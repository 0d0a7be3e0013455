"""A plain client of the platform's services for tests of their emulator: stubs, and the first steps of most tests."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import grpc
import httpx2
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from emulators.platform.client import PlatformControl
from resources.platform.proto import character_pb2, media_pb2, post_pb2, world_pb2

PICTURE = b"\x89PNG, or so"
TIMEOUT_S = 60.0


@dataclass
class Caller:
    """Stubs of the four services, an HTTP client for the object store, the emulator's control, and a world that exists."""

    channel: grpc.aio.Channel
    http: httpx2.AsyncClient
    control: PlatformControl
    world_id: str

    def __post_init__(self) -> None:
        self.characters = self._stub(character_pb2.DESCRIPTOR.services_by_name["CharacterService"])
        self.medias = self._stub(media_pb2.DESCRIPTOR.services_by_name["MediaService"])
        self.posts = self._stub(post_pb2.DESCRIPTOR.services_by_name["PostService"])
        self.worlds = self._stub(world_pb2.DESCRIPTOR.services_by_name["WorldService"])

    def _stub(self, service: ServiceDescriptor) -> Any:
        """The service's methods as functions."""
        return SimpleNamespace(
            **{
                method.name: self.channel.unary_unary(
                    f"/{service.full_name}/{method.name}",
                    request_serializer=GetMessageClass(method.input_type).SerializeToString,
                    response_deserializer=GetMessageClass(method.output_type).FromString,
                )
                for method in service.methods
            }
        )

    async def character(self, *, key: str = "key", human: bool = False, seconds: float = TIMEOUT_S, **fields: Any) -> str:
        """Create a character; return its id."""
        if human:
            fields["real_user_id"] = str(uuid.uuid4())
        fields = {"world_id": self.world_id, "display_name": "Mira", "meta": json.dumps({"generator_key": key}), **fields}
        made = await self.characters.CreateCharacter(character_pb2.CreateCharacterRequest(**fields), timeout=seconds)
        return str(made.id)

    async def presigned(self, **fields: Any) -> Any:
        """Announce a picture."""
        fields = {
            "world_id": self.world_id,
            "filename": "post.png",
            "content_type": "image/png",
            "size": len(PICTURE),
            "media_type": media_pb2.MEDIA_TYPE_POST_IMAGE,
            **fields,
        }
        request = media_pb2.GetPresignedUploadURLRequest(**fields)
        return await self.medias.GetPresignedUploadURL(request, timeout=TIMEOUT_S)

    async def put(self, url: str, data: bytes = PICTURE, content_type: str = "image/png") -> int:
        """Upload the bytes; return HTTP's status."""
        return (await self.http.put(url, content=data, headers={"Content-Type": content_type})).status_code

    async def picture(self, character_id: str = "") -> str:
        """Upload a picture; return its id."""
        announced = await self.presigned(character_id=character_id)
        assert await self.put(announced.upload_url) == 200
        await self.medias.ConfirmUpload(media_pb2.ConfirmUploadRequest(media_id=announced.media_id), timeout=TIMEOUT_S)
        return str(announced.media_id)

    async def post(self, **fields: Any) -> str:
        """Create a post; return its id."""
        request = post_pb2.CreateAIPostRequest(**{"world_id": self.world_id, "caption": "Hello", **fields})
        return str((await self.posts.CreateAIPost(request, timeout=TIMEOUT_S)).post_id)


@asynccontextmanager
async def caller(addresses: tuple[str, str]) -> AsyncIterator[Caller]:
    """A caller with its own world."""
    grpc_address, url = addresses
    world_id = str(uuid.uuid4())
    async with grpc.aio.insecure_channel(grpc_address) as channel, httpx2.AsyncClient(trust_env=False) as http:
        with PlatformControl(url) as control:
            control.add_world(world_id)
            yield Caller(channel, http, control, world_id)
