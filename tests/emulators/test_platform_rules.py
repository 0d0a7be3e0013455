"""What the platform emulator's services accept and refuse, with the codes and texts of the contract (docs/requirements.md)."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from resources.platform.proto import character_pb2, media_pb2, post_pb2, world_pb2
from tests.support.platform_caller import Caller, caller

UNKNOWN_ID = str(uuid.uuid4())


@pytest.fixture
async def me(platform: tuple[str, str]) -> AsyncIterator[Caller]:
    async with caller(platform) as made:
        yield made


def refused(error: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> tuple[str, str]:
    return error.value.code().name, error.value.details()


async def test_a_published_world_is_reported(me: Caller) -> None:
    """The report has the created objects as they were sent, and the feed in the order of creation."""
    params = world_pb2.UpdateWorldParamsRequest(world_id=me.world_id, params='{"a": 1}', name="Lull", users_count=1, posts_count=3)
    assert (await me.worlds.UpdateWorldParams(params)).success
    header, icon = await me.picture(), await me.picture()
    assert (
        await me.worlds.UpdateWorldImage(world_pb2.UpdateWorldImageRequest(world_id=me.world_id, image_uuid=header, icon_uuid=icon))
    ).success
    character = await me.character()
    avatar = await me.picture(character)
    changed = await me.characters.UpdateCharacter(
        character_pb2.UpdateCharacterRequest(character_id=character, avatar_media_id=avatar)
    )
    assert changed.avatar_media_id == str(uuid.UUID(avatar))
    assert (changed.is_ai, changed.display_name, json.loads(changed.meta)) == (True, "Mira", {"generator_key": "key"})
    posts = [
        await me.post(character_id=character, media_id=await me.picture(character), caption=f"{t}", tags=["x"]) for t in range(3)
    ]
    report = me.control.world(me.world_id)
    assert (report.world.name, report.world.users_count, report.world.posts_count) == ("Lull", 1, 3)
    assert [post.id for post in report.posts] == posts
    assert len({post.created_at for post in report.posts}) == 3
    assert len(report.media) == 2 + 1 + 3
    for wrong in (report.orphans, report.doubled_characters, report.doubled_posts, report.unused_media, report.broken_media):
        assert wrong == []
    listed = await me.posts.GetCharacterPosts(
        post_pb2.GetCharacterPostsRequest(character_id=character, limit=2, world_id=me.world_id)
    )
    assert ([post.post_id for post in listed.posts], listed.total) == (posts[:0:-1], 3)
    assert (await me.http.get(listed.posts[0].media_url)).status_code == 200


async def test_media_ids_have_dashes_everywhere_but_in_the_announcement(me: Caller) -> None:
    """GetPresignedUploadURL gives 32 hex digits, GetMedia the same id with dashes, and both are understood."""
    media_id = await me.picture()
    assert len(media_id) == 32
    for known_as in (media_id, str(uuid.UUID(media_id))):
        found = await me.medias.GetMedia(media_pb2.GetMediaRequest(media_id=known_as))
        assert found.media_id == str(uuid.UUID(media_id))
    assert (found.world_id, found.content_type, len(found.variants)) == (me.world_id, "image/png", 1)


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"world_id": "lull"}, "INTERNAL", 'invalid input syntax for type uuid: "lull"'),
        ({"world_id": ""}, "INTERNAL", "invalid input syntax for type uuid"),
        ({"world_id": UNKNOWN_ID}, "INTERNAL", 'violates foreign key constraint "characters_world_id_fkey"'),
        ({"meta": "{"}, "INTERNAL", "invalid input syntax for type json"),
        ({"meta": '{"a": "\\u0000"}'}, "INTERNAL", "unsupported Unicode escape sequence"),
        ({"display_name": "a\0b"}, "INTERNAL", "invalid byte sequence"),
    ],
)
async def test_the_database_refuses_an_invalid_character(me: Caller, fields: Any, code: str, words: str) -> None:
    """A violated constraint of the database is INTERNAL with the database's message, and nothing is created."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await me.character(**fields)
    assert refused(error)[0] == code
    assert words in refused(error)[1]
    assert me.control.stats().characters == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"character_id": ""}, "INVALID_ARGUMENT"),
        ({"media_id": ""}, "INVALID_ARGUMENT"),
        ({"world_id": ""}, "INVALID_ARGUMENT"),
        ({"character_id": UNKNOWN_ID}, "NOT_FOUND"),
        ({"character_id": "mira"}, "INTERNAL"),
        ({"character_id": "human"}, "PERMISSION_DENIED"),
        ({"media_id": "somebody else's"}, "PERMISSION_DENIED"),
        ({"media_id": "the world's"}, "PERMISSION_DENIED"),
        ({"media_id": UNKNOWN_ID}, "UNKNOWN"),
        ({"world_id": UNKNOWN_ID}, "INTERNAL"),
    ],
)
async def test_an_invalid_post_is_refused(me: Caller, fields: Any, code: str) -> None:
    """CreateAIPost needs an AI character, a picture of this character and an existing world."""
    character, other, human = await me.character(), await me.character(), await me.character(human=True)
    given = {"character_id": character, "media_id": await me.picture(character), **fields}
    if given["character_id"] == "human":
        given |= {"character_id": human, "media_id": await me.picture(human)}
    if "'s" in given["media_id"]:
        given["media_id"] = await me.picture("" if "world" in given["media_id"] else other)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await me.post(**given)
    assert refused(error)[0] == code
    assert me.control.stats().posts == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"params": ""}, "INVALID_ARGUMENT"),
        ({"name": ""}, "INVALID_ARGUMENT"),
        ({"world_id": ""}, "INVALID_ARGUMENT"),
        ({"world_id": UNKNOWN_ID}, "NOT_FOUND"),
        ({"world_id": "lull"}, "INTERNAL"),
        ({"name": "n" * 101}, "INTERNAL"),
    ],
)
async def test_invalid_params_of_a_world_are_refused(me: Caller, fields: Any, code: str) -> None:
    """All fields are needed, the world must exist, and its name has at most 100 characters."""
    request = world_pb2.UpdateWorldParamsRequest(**{"world_id": me.world_id, "params": "{}", "name": "Lull", **fields})
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await me.worlds.UpdateWorldParams(request)
    assert refused(error)[0] == code
    await me.worlds.UpdateWorldParams(world_pb2.UpdateWorldParamsRequest(world_id=me.world_id, params="{}", name="ж" * 100))
    assert me.control.world(me.world_id).world.name == "ж" * 100


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"image_uuid": ""}, "INVALID_ARGUMENT"), ({"icon_uuid": ""}, "INVALID_ARGUMENT"), ({"world_id": UNKNOWN_ID}, "NOT_FOUND")],
)
async def test_a_worlds_pictures_are_required(me: Caller, fields: Any, code: str) -> None:
    """UpdateWorldImage needs the world and both pictures."""
    request = world_pb2.UpdateWorldImageRequest(
        **{"world_id": me.world_id, "image_uuid": UNKNOWN_ID, "icon_uuid": UNKNOWN_ID, **fields}
    )
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await me.worlds.UpdateWorldImage(request)
    assert refused(error)[0] == code


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"filename": "post.jpg"}, "UNKNOWN", "does not match content type image/png"),
        ({"filename": "post"}, "UNKNOWN", "does not match"),
        ({"content_type": "text/html"}, "UNKNOWN", "unsupported content type"),
        ({"media_type": 0}, "UNKNOWN", "invalid media type"),
        ({"size": 0}, "UNKNOWN", "invalid size"),
        ({"world_id": UNKNOWN_ID}, "INTERNAL", "media_world_id_fkey"),
        ({"character_id": UNKNOWN_ID}, "INTERNAL", "media_character_id_fkey"),
        ({"character_id": "mira"}, "INTERNAL", "uuid"),
    ],
)
async def test_an_invalid_picture_is_refused(me: Caller, fields: dict[str, object], code: str, words: str) -> None:
    """An error of the media service itself has no code and is UNKNOWN; one of its database is INTERNAL."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await me.presigned(**fields)
    assert refused(error)[0] == code
    assert words in refused(error)[1]
    assert me.control.stats().media == 0


@pytest.mark.parametrize("method", ["GetCharacter", "UpdateCharacter"])
async def test_an_unknown_character_is_not_found(me: Caller, method: str) -> None:
    """Reading or changing an unknown character is NOT_FOUND."""
    request = getattr(character_pb2, f"{method}Request")(character_id=UNKNOWN_ID)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await getattr(me.characters, method)(request)
    assert refused(error)[0] == "NOT_FOUND"


async def test_creates_are_not_idempotent_and_the_report_counts_duplicates(me: Caller) -> None:
    """The same create twice makes two objects; a second character of the same key is an orphan if nothing refers to it, otherwise
    it is doubled."""
    first, orphan = await me.character(key="a"), await me.character(key="a")
    media_id = await me.picture(first)
    twice = [await me.post(character_id=first, media_id=media_id) for _ in range(2)]
    report = me.control.world(me.world_id)
    assert (report.orphans, report.doubled_posts, report.doubled_characters) == ([orphan], twice[1:], [])
    await me.post(character_id=orphan, media_id=await me.picture(orphan))
    report = me.control.world(me.world_id)
    assert (report.orphans, report.doubled_characters) == ([], [orphan])


async def test_health_and_consul(me: Caller, platform: tuple[str, str]) -> None:
    """Every service is SERVING by the standard check, and Consul names its address in both forms of the question."""
    grpc_address, url = platform
    checks = health_pb2_grpc.HealthStub(me.channel)
    for name in (
        "",
        "generia.character.CharacterService",
        "media.MediaService",
        "generia.post.PostService",
        "generia.world.WorldService",
    ):
        answer = await checks.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    for query in ("?passing=true", ""):
        (entry,) = (await me.http.get(f"{url}/v1/health/service/post-service{query}")).json()
        assert f"{entry['Service']['Address']}:{entry['Service']['Port']}" == grpc_address
    assert (await me.http.get(f"{url}/v1/health/service/other?passing=true")).json() == []
