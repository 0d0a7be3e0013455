"""The platform over gRPC, with the emulator: sent data, answers, and the outcome of every failure."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
import grpc.aio
import pytest

from emulators import lifecycle
from emulators.platform.client import PlatformControl
from resources.gateway.outcomes import (
    AmbiguousError,
    CallError,
    FatalCallError,
    RateLimitedError,
    RequestFailedError,
    RequestRejectedError,
    TransientError,
)
from resources.platform import grpc_platform, object_store
from resources.platform.grpc_platform import GrpcPlatform, check_services
from tests.support.platform_services import service_settings, services

PICTURE = b"\xff\xd8 a picture" * 20_000
"""More than one chunk of a stream."""


@pytest.fixture
def control(platform: tuple[str, str]) -> Iterator[PlatformControl]:
    with PlatformControl(platform[1]) as control:
        yield control


@pytest.fixture
def world_id(control: PlatformControl) -> str:
    """A world that was ordered on the platform."""
    world_id = str(uuid.uuid4())
    control.add_world(world_id)
    return world_id


@pytest.fixture
async def served(platform: tuple[str, str]) -> AsyncIterator[GrpcPlatform]:
    async with services(service_settings(platform[0])) as served:
        yield served


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.jpg"
    path.write_bytes(PICTURE)
    return path


async def create(served: GrpcPlatform, world_id: str, name: str = "Ada", **meta: object) -> str:
    return await served.create_character(key="task:character", world_id=world_id, display_name=name, meta={"bio": "counts", **meta})


async def upload(served: GrpcPlatform, world_id: str, character_id: str | None, path: Path, **changes: Any) -> Any:
    order: dict[str, Any] = {"filename": "post.png", "content_type": "image/jpeg", "media_type": 4} | changes
    return await served.upload_media(key="task:media", world_id=world_id, character_id=character_id, path=path, **order)


async def publish(served: GrpcPlatform, world_id: str, character_id: str, media_id: str, caption: str = "Hello") -> str:
    return await served.create_post(
        key="task:post", world_id=world_id, character_id=character_id, caption=caption, media_id=media_id, tags=("a",)
    )


async def test_a_world_arrives_completely(served, control, world_id, picture):
    """Everything that was sent is on the platform, including the pictures' bytes; returned ids have dashes, and ids without dashes
    are accepted."""
    await served.update_world_params(world_id=world_id, params={"theme": "salt"}, name="Saltmarsh", users_count=1, posts_count=1)
    header, icon = [await upload(served, world_id, None, picture, media_type=kind) for kind in (1, 2)]
    await served.update_world_image(world_id=world_id, image_uuid=header.media_id, icon_uuid=icon.media_id.replace("-", ""))
    character_id = await create(served, world_id)
    avatar = await upload(served, world_id, character_id, picture, media_type=3)
    await served.update_character(character_id=character_id, avatar_media_id=avatar.media_id)
    image = await upload(served, world_id, character_id, picture)
    post_id = await publish(served, world_id, character_id, image.media_id.replace("-", ""))
    report = control.world(world_id)
    assert (report.world.name, report.world.users_count, json.loads(report.world.params)) == ("Saltmarsh", 1, {"theme": "salt"})
    assert (report.world.image_uuid, report.world.icon_uuid) == (header.media_id, icon.media_id)
    (character,) = report.characters
    assert (character.id, character.display_name, character.real_user_id) == (character_id, "Ada", None)
    assert json.loads(character.meta or "") == {"bio": "counts", "generator_key": "task:character"}
    assert character.avatar_media_id == avatar.media_id
    assert character.avatar_url == ""  # our URL expires; the platform signs its own
    assert [(post.id, post.caption, post.media_id) for post in report.posts] == [(post_id, "Hello", image.media_id)]
    assert (report.unused_media, report.broken_media) == ([], [])
    assert await served.download_media(media_id=avatar.media_id) == PICTURE
    assert all(str(uuid.UUID(one)) == one for one in (character_id, avatar.media_id, post_id))


CODES = {
    "invalid_argument": RequestRejectedError,
    "not_found": RequestRejectedError,
    "already_exists": RequestRejectedError,
    "permission_denied": RequestRejectedError,
    "failed_precondition": RequestRejectedError,
    "out_of_range": RequestRejectedError,
    "internal": AmbiguousError,
    "unknown": AmbiguousError,
    "data_loss": AmbiguousError,
    "unimplemented": FatalCallError,
    "unauthenticated": FatalCallError,
    "resource_exhausted": RateLimitedError,
    "unavailable": TransientError,
    "aborted": TransientError,
    "cancelled": TransientError,
    "deadline_exceeded": TransientError,
}


@pytest.mark.case("G1")
@pytest.mark.parametrize(("code", "outcome"), CODES.items(), ids=list(CODES))
async def test_every_code_is_one_outcome(served, control, world_id, code, outcome):
    """It has the platform's message, after one attempt: the gateway repeats calls."""
    control.set_faults(rates={code: 1.0})
    with pytest.raises(CallError, match=rf"CreateCharacter: {code.upper()}: a fault of the emulator") as raised:
        await create(served, world_id)
    assert type(raised.value) is outcome
    assert control.stats().calls["CreateCharacter"] == 1
    assert getattr(raised.value, "may_heal", True)


@pytest.mark.parametrize("fault", ["slow", "slow_committed", "reset", "lost_reset", "lost_unavailable"])
async def test_a_call_without_an_answer_is_in_doubt(platform, control, world_id, fault):
    """After a time-out and a reset the work may have been done; only after a time-out it may be done later."""
    slow = fault.startswith("slow")
    control.set_faults(rates={fault: 1.0}, slow_seconds=5)
    async with services(service_settings(platform[0], **({"platform_timeout_seconds": 0.5} if slow else {}))) as served:
        with pytest.raises(TransientError) as raised:
            await create(served, world_id)
    assert type(raised.value) is TransientError
    assert (raised.value.in_doubt, raised.value.late) == (True, slow)


async def test_a_call_to_a_missing_service_is_not_in_doubt(world_id):
    """A refused connection and an unknown host name leave no doubt."""
    for address in (f"127.0.0.1:{lifecycle.free_port()}", "nowhere.invalid:50051"):
        async with services(service_settings(address)) as served:
            with pytest.raises(TransientError) as raised:
                await create(served, world_id)
            assert not raised.value.in_doubt


@pytest.mark.parametrize("world", ["9c1f2a34-0000-4000-8000-000000000000", "saltmarsh"])
async def test_a_world_that_the_platform_does_not_have_fails_at_once_with_what_to_do(served, world):
    """Its description is refused as fatal, with both possible solutions; also for a world whose id is not a UUID."""
    with pytest.raises(FatalCallError, match=r"does not know world .* Order it on the platform, or set PLATFORM=local"):
        await served.update_world_params(world_id=world, params={}, name="x", users_count=1, posts_count=0)


async def test_an_unreadable_answer_leaves_a_doubt(world_id):
    """An invalid message is an outcome, not an exception of our own."""

    async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return b"\xff\xff\xff"

    methods = {"CreateCharacter": grpc.unary_unary_rpc_method_handler(answer)}
    handler = grpc.method_handlers_generic_handler("generia.character.CharacterService", methods)
    server = grpc.aio.server(handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with services(service_settings(f"127.0.0.1:{port}")) as served:
            with pytest.raises(AmbiguousError, match=r"CreateCharacter: the answer is no generia\.character\.Character"):
                await create(served, world_id)
    finally:
        await server.stop(None)


async def test_an_expired_url_is_requested_again(served, control, world_id, picture):
    """If the answer says that it has expired, and if the store refuses it."""
    control.set_faults(rates={"url_expired": 1.0}, for_calls=1)
    await upload(served, world_id, None, picture, media_type=1)
    stats = control.stats()
    assert (stats.calls["GetPresignedUploadURL"], stats.calls["PUT"]) == (2, 1)


async def test_a_store_that_refuses_every_url_rejects_the_picture(served, control, world_id, picture):
    """After some URLs the item is rejected with the store's message, so that the requests end."""
    control.set_faults(rates={"put_403": 1.0})
    with pytest.raises(RequestRejectedError, match=r"403.*AccessDenied"):
        await upload(served, world_id, None, picture, media_type=1)
    assert control.stats().calls["PUT"] == grpc_platform.MOST_URLS


@pytest.mark.parametrize("fault", ["put_500", "put_reset", "put_lost_reset"])
async def test_a_store_that_fails_is_an_outage(served, control, world_id, picture, fault):
    """The gateway repeats the upload after 5xx and reset connections; then it is complete."""
    control.set_faults(rates={fault: 1.0})
    with pytest.raises(TransientError):
        await upload(served, world_id, None, picture, media_type=1)
    control.set_faults(rates={})
    image = await upload(served, world_id, None, picture, media_type=1)
    assert await served.download_media(media_id=image.media_id) == PICTURE


async def test_an_unreadable_picture_file_fails_its_item(served, world_id, tmp_path):
    """The next attempt makes a missing or empty file again; nothing is announced to the platform."""
    empty = tmp_path / "empty.jpg"
    empty.touch()
    for path in (tmp_path / "gone.jpg", empty):
        with pytest.raises(RequestFailedError, match=path.name):
            await upload(served, world_id, None, path, media_type=1)


async def test_a_picture_that_is_too_large_is_not_downloaded(served, world_id, picture, monkeypatch):
    """The download stops at its limit; an unknown picture also has an outcome."""
    image = await upload(served, world_id, None, picture, media_type=1)
    monkeypatch.setattr(grpc_platform, "MOST_BYTES", 100_000)
    with pytest.raises(RequestRejectedError, match="more than 100,000 bytes"):
        await served.download_media(media_id=image.media_id)
    for unknown in (str(uuid.uuid4()), "no-uuid"):
        with pytest.raises(CallError):
            await served.download_media(media_id=unknown)


async def test_a_pictures_url_is_valid_for_seven_days(served, world_id, picture):
    """ConfirmUpload's own URLs, which are valid for an hour, are not used, because documents and events show the picture for
    longer."""
    image = await upload(served, world_id, None, picture, media_type=1)
    assert int(parse_qs(urlsplit(image.url).query)["X-Expires"][0]) / 1000 - time.time() > 6 * 86_400


async def test_a_refused_url_rejects_the_download(served, world_id, picture):
    """The picture that needed it as a reference is made without it; the world continues."""
    image = await upload(served, world_id, None, picture, media_type=1)
    with pytest.raises(RequestRejectedError, match="answered 403"):
        await object_store.get(served._http, f"{image.url}0", 1_000_000)


async def test_posts_are_found_by_their_caption_on_every_page(served, world_id, picture, monkeypatch):
    """All of this character with exactly this caption, the oldest first."""
    monkeypatch.setattr(grpc_platform, "PAGE", 2)
    ada, bob = await create(served, world_id), await create(served, world_id, "Bob")
    hers, his = [(await upload(served, world_id, owner, picture)).media_id for owner in (ada, bob)]
    made = [await publish(served, world_id, ada, hers, caption) for caption in ("Hello", "Rain", "Hello", "Rain", "Hello")]
    await publish(served, world_id, bob, his)
    assert await served.find_posts(world_id=world_id, character_id=ada, caption="Hello") == made[::2]
    assert await served.find_posts(world_id=world_id, character_id=ada, caption="hello") == []


@pytest.mark.case("G2")
async def test_every_text_can_be_sent_to_the_platform(served, control, world_id, picture):
    """Lone surrogates and null bytes, which protobuf and PostgreSQL refuse, are replaced before they are sent."""
    strange = "A\ud800 rain\x00bow \U0001f308"
    await served.update_world_params(world_id=world_id, params={strange: [strange]}, name=strange, users_count=1, posts_count=1)
    character_id = await create(served, world_id, strange, secret=strange)
    await served.update_character(character_id=character_id, display_name=strange, meta={"secret": {"deep": strange}})
    image = await upload(served, world_id, character_id, picture, filename=f"{strange}.jpg")
    post_id = await publish(served, world_id, character_id, image.media_id, strange)
    assert await served.find_posts(world_id=world_id, character_id=character_id, caption=strange) == [post_id]
    assert control.world(world_id).posts[0].caption == "A\ufffd rain\ufffdbow \U0001f308"
    with pytest.raises(FatalCallError, match="JSON"):
        await create(served, world_id, bio=float("nan"))


async def test_no_signature_is_in_a_log_or_an_error(served, control, world_id, picture, caplog):
    """A presigned URL is a secret: neither a log line nor an error has it, for any result of the upload."""
    caplog.set_level(logging.DEBUG)
    await upload(served, world_id, None, picture, media_type=1)
    for fault in ("put_403", "put_500", "put_reset"):
        control.set_faults(rates={fault: 1.0})
        with pytest.raises(CallError) as raised:
            await upload(served, world_id, None, picture, media_type=1)
        assert "X-Signature" not in str(raised.value)
    assert "X-Signature" not in caplog.text


async def test_the_health_of_each_service_is_checked(platform):
    """For `doctor`: the address of a service that serves, and the problem of one that does not."""
    wrong = f"127.0.0.1:{lifecycle.free_port()}"
    found = await check_services(service_settings(platform[0], post_service=wrong))
    assert {name for name, what in found.items() if what == platform[0]} == {"character-service", "media-service", "world-service"}
    assert "refused" in str(found["post-service"])
