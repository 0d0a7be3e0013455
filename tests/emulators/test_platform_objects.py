"""The object store of the platform emulator: a presigned URL is valid for one upload until it expires."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import httpx2
import pytest

from resources.platform.proto import media_pb2
from tests.support.platform_caller import PICTURE, Caller, caller


@pytest.fixture
async def me(platform: tuple[str, str]) -> AsyncIterator[Caller]:
    async with caller(platform) as made:
        yield made


async def test_an_upload_is_confirmed_and_read(me: Caller) -> None:
    """Without its object a picture cannot be confirmed; with it it can, also twice, and is read unchanged."""
    announced = await me.presigned()
    confirm = media_pb2.ConfirmUploadRequest(media_id=announced.media_id)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await me.medias.ConfirmUpload(confirm)
    assert error.value.code() is grpc.StatusCode.UNKNOWN
    assert await me.put(announced.upload_url) == 200
    for _ in range(2):
        assert (await me.medias.ConfirmUpload(confirm)).success
    link = await me.medias.GetMediaURL(media_pb2.GetMediaURLRequest(media_id=announced.media_id, expires_in=60))
    read = await me.http.get(link.url)
    assert (read.content, read.headers["content-type"]) == (PICTURE, "image/png")
    assert 30 < link.expires_at - time.time() <= 60


async def test_a_url_accepts_exactly_the_announced_upload(me: Caller) -> None:
    """Another content type, size, object or token is 403; an upload without its length is 411; the right one is accepted."""
    announced, other = await me.presigned(), await me.presigned()
    assert await me.put(announced.upload_url, content_type="image/jpeg") == 403
    assert await me.put(announced.upload_url, data=PICTURE + b"!") == 403
    assert await me.put(announced.upload_url.replace(announced.media_id, other.media_id)) == 403
    assert await me.put(announced.upload_url[:-1] + ("0" if announced.upload_url[-1] != "0" else "1")) == 403
    assert await me.put(announced.upload_url.partition("?")[0]) == 403
    assert (await me.http.get(announced.upload_url)).status_code == 403

    async def chunks() -> AsyncIterator[bytes]:
        yield PICTURE

    assert (await me.http.put(announced.upload_url, content=chunks(), headers={"Content-Type": "image/png"})).status_code == 411
    assert await me.put(announced.upload_url) == 200


async def test_a_url_expires(me: Caller) -> None:
    """A URL is valid for ten minutes by default; one that is valid for a tenth of a second is 403 afterwards."""
    announced = await me.presigned()
    assert 500 < announced.expires_at - time.time() <= 600
    me.control.set_faults(url_seconds=0.1)
    announced = await me.presigned()
    await asyncio.sleep(0.15)
    refused = await me.http.put(announced.upload_url, content=PICTURE, headers={"Content-Type": "image/png"})
    assert refused.status_code == 403
    assert "Request has expired" in refused.text


@pytest.mark.parametrize(
    ("fault", "status"), [("url_expired", 403), ("put_403", 403), ("put_500", 500), ("put_reset", None), ("put_lost_reset", None)]
)
async def test_faults_of_uploads_have_their_effect(me: Caller, fault: str, status: int | None) -> None:
    """A PUT is refused or its connection is reset; only an upload whose answer is lost is stored."""
    me.control.set_faults(rates={fault: 1})
    announced = await me.presigned()
    try:
        assert await me.put(announced.upload_url) == status
    except httpx2.TransportError:
        assert status is None
    me.control.set_faults(rates={})
    confirm = me.medias.ConfirmUpload(media_pb2.ConfirmUploadRequest(media_id=announced.media_id))
    if fault == "put_lost_reset":
        assert (await confirm).success
    else:
        with pytest.raises(grpc.aio.AioRpcError):
            await confirm
    assert me.control.stats().outcomes[fault] == 1
