"""Pictures between the image call and the upload: their bytes are in files, never in MongoDB, and no picture is made twice without
need."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

from generia_assets.catalog import TaskType
from generia_assets.content.documents import Media
from generia_assets.content.pictures import FRIEND, Shown
from generia_assets.durable.calls.clients import MOST_REPAINTS, TaskImageClient
from generia_assets.durable.calls.ledger import BudgetLedger
from generia_assets.durable.calls.pictures import PendingPicture, PendingPictures, ReferencePictures
from generia_assets.durable.calls.platform_client import TaskPlatformClient
from generia_assets.durable.calls.publications import Publications
from generia_assets.durable.calls.task_calls import Checkpoints, Providers, TaskCalls, TaskContext
from generia_assets.durable.collections import HISTORY, PUBLICATIONS, STATUS, STEPS
from generia_assets.tasks.clients import ImageRequest, MediaType
from resources.gateway.api_gateway import ApiGateway, ApiPolicy
from resources.gateway.breaker import Breaker
from resources.gateway.calls import Api
from resources.gateway.concurrency import ConcurrencyLimiter
from resources.gateway.outcomes import InvalidAnswerError, RequestFailedError, RequestRejectedError
from resources.images import GeneratedImage
from resources.platform.protocol import StoredMedia
from resources.settings import GatewaySettings
from tests.support.durable_world import DurableWorld, Run, durable_world
from tests.support.waiting import until

HEADER = ImageRequest(media_type=MediaType.WORLD_HEADER, prompt="a harbour", width=1536, height=640, seed=1)
ICON = HEADER.model_copy(update={"media_type": MediaType.WORLD_ICON, "prompt": "a boat"})


def picture(number: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (96, 40), (number, 90, 160)).save(data, "PNG")
    return data.getvalue()


class FakeServices:
    """An image API that makes the ``wrong`` pictures first, and then a new picture each time; and a platform that reads the upload,
    or ``dies`` a moment after the request, before it answers."""

    cost_per_image_usd = 0.25

    def __init__(self) -> None:
        self.made: list[bytes] = []
        self.uploaded: list[bytes] = []
        self.wrong: list[bytes] = []
        self.dies = False
        self.refuses: RequestFailedError | None = None
        self.asked_for: list[str] = []
        self.moment: Callable[[], Awaitable[None]] = asyncio.Event().wait  # type: ignore[assignment]

    async def generate(self, **request: Any) -> GeneratedImage:
        self.made.append(self.wrong.pop() if self.wrong else picture(len(self.made)))
        return GeneratedImage(data=self.made[-1], mime="image/png", cost_usd=0.25, provider_id=f"n{len(self.made)}")

    async def download_media(self, *, media_id: str) -> bytes:
        self.asked_for.append(media_id)
        raise RequestRejectedError(f"there is no {media_id}")

    async def upload_media(self, *, path: Path, **order: Any) -> StoredMedia:
        if self.dies:
            await self.moment()
            raise ConnectionResetError("the process died")
        if self.refuses is not None:
            raise self.refuses
        self.uploaded.append(await asyncio.to_thread(path.read_bytes))
        return StoredMedia(f"media-{len(self.uploaded)}", path.name)


@pytest.fixture
async def world(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[DurableWorld]:
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        world.see[STATUS].update_one({"_id": world.world_id}, {"$set": {"api_call_limits_images": 100}})
        yield world


@pytest.fixture
async def gateway(world: DurableWorld) -> AsyncIterator[ApiGateway]:
    def policy(api: Api) -> ApiPolicy:
        limiter = ConcurrencyLimiter(world.database.fleet, api.value, limit=4, lease_seconds=30)
        return ApiPolicy(limiter, Breaker(api.value, GatewaySettings(), lambda state, probe_in: None))

    gateway = ApiGateway({api: policy(api) for api in (Api.IMAGE, Api.PLATFORM)}, patience_seconds=60)
    yield gateway
    await gateway.aclose()


def images(
    run: Run, gateway: ApiGateway, services: FakeServices, folder: Path, *, resumed: bool = False, reasks: int = 5
) -> TaskImageClient:
    """The image client of a task that is new or resumed."""
    nobody, services.moment = cast("Any", None), run.commits.flush
    times = {Api.IMAGE: 60.0, Api.PLATFORM: 60.0}
    providers = Providers(gateway, nobody, nobody, cast("Any", services), cast("Any", services), times, reasks, 60)
    task = TaskContext("task-1", TaskType.GENERATE_WORLD_IMAGE, "world", resumed)
    steps = Checkpoints(run.database, run.commits, "task-1", resumed=resumed)
    calls = TaskCalls(task, steps, providers, BudgetLedger(run.database, run.commits, run.generation))
    platform = TaskPlatformClient("world-1", calls, Publications(run.database, run.commits, "local"))
    return TaskImageClient(calls, platform, PendingPictures(folder, "world-1"), ReferencePictures())


async def died(world: DurableWorld, gateway: ApiGateway, services: FakeServices, folder: Path) -> None:
    """A run that makes the header and dies during its upload."""
    services.dies = True
    with pytest.raises(ConnectionResetError):
        await images(await world.run(), gateway, services, folder).paint(HEADER)
    services.dies = False


def files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


def bytes_in(database: Any) -> int:
    """The number of documents of this database that contain a part of a picture."""
    documents = [document for name in database.list_collection_names() for document in database[name].find()]
    return sum("PNG" in repr(document) and "IHDR" in repr(document) for document in documents)


@pytest.mark.case("E7")
async def test_a_crash_before_the_upload_loses_no_picture_and_leaves_none_in_mongodb(
    world: DurableWorld, gateway: ApiGateway, tmp_path: Path
) -> None:
    """The bytes are in a file, whose checkpoint is written before the upload begins; the resumed task uploads that file."""
    services = FakeServices()
    await died(world, gateway, services, tmp_path)
    assert files(tmp_path) == services.made
    assert (world.see[STEPS].count_documents({}), bytes_in(world.see)) == (1, 0)
    run = await world.run("later")
    assert isinstance(await images(run, gateway, services, tmp_path, resumed=True).paint(HEADER), Media)
    await run.commits.flush()
    assert (services.uploaded, len(services.made)) == (services.made, 1)
    await until(lambda: not [*tmp_path.rglob("*.png")])


class StoppedPictures(PendingPictures):
    """The run is stopped after a picture was paid for, and before its file is written."""

    def path(self, picture: PendingPicture) -> Path:
        cast("asyncio.Task[Any]", asyncio.current_task()).cancel()
        return super().path(picture)


async def test_a_stop_while_a_picture_is_written_does_not_lose_it(world: DurableWorld, gateway: ApiGateway, tmp_path: Path) -> None:
    """An answered picture is stored unless the run crashes; no further step is begun, such as the upload."""
    services, run = FakeServices(), await world.run()
    client = images(run, gateway, services, tmp_path)
    client._pending = StoppedPictures(tmp_path, "world-1")

    async def paint() -> None:
        with client._calls.checkpoints.attempt():
            await client.paint(HEADER)

    await asyncio.wait({painting := asyncio.create_task(paint())})
    await run.commits.flush()
    assert (painting.cancelled(), services.uploaded, files(tmp_path)) == (True, [], services.made)
    await images(await world.run("later"), gateway, services, tmp_path, resumed=True).paint(HEADER)
    assert (services.uploaded, len(services.made)) == (services.made, 1)


@pytest.mark.parametrize("refusal", [RequestFailedError("INTERNAL, eight times"), RequestRejectedError("no such type")], ids=type)
async def test_a_picture_is_kept_for_the_next_attempt_unless_the_platform_rejects_it(
    world: DurableWorld, gateway: ApiGateway, tmp_path: Path, refusal: RequestFailedError
) -> None:
    """After an outage of the database the same picture is used again; a rejected picture is made again, because it may be the
    cause."""
    services = FakeServices()
    services.refuses = refusal
    client = images(await world.run(), gateway, services, tmp_path)
    with pytest.raises(type(refusal)):
        await client.paint(HEADER)
    assert client._calls.checkpoints.outlive_attempt is not isinstance(refusal, RequestRejectedError)


@pytest.mark.parametrize("damaged", [False, True], ids=["another machine", "a damaged file"])
async def test_a_picture_whose_file_is_missing_is_made_again_once_and_paid_for(
    world: DurableWorld, gateway: ApiGateway, tmp_path: Path, damaged: bool
) -> None:
    """It replaces the lost one in its checkpoint, so that the task's next picture stays the next, also after another crash."""
    services, folder = FakeServices(), tmp_path / "here"
    await died(world, gateway, services, folder)
    if damaged:
        next(path for path in folder.rglob("*.png")).write_bytes(b"half of it")
    else:
        folder = tmp_path / "there"
    second = images(await world.run("second"), gateway, services, folder, resumed=True)
    assert (await second.paint(HEADER)).prompt == "a harbour"
    services.dies = True
    with pytest.raises(ConnectionResetError):
        await second.paint(ICON)
    services.dies = False
    third = images(await world.run("third"), gateway, services, folder, resumed=True)
    assert [(await third.paint(one)).prompt for one in (HEADER, ICON)] == ["a harbour", "a boat"]
    assert services.uploaded == services.made[1:]
    assert (len(services.made), world.status["api_calls_made_images"], world.status["image_cost_total"]) == (3, 3, 0.75)


async def test_a_picture_whose_upload_is_recorded_needs_no_file(world: DurableWorld, gateway: ApiGateway, tmp_path: Path) -> None:
    """The file is deleted when the upload is durable; a task that is resumed later neither makes nor uploads the picture again."""
    services, run = FakeServices(), await world.run()
    first = await images(run, gateway, services, tmp_path).paint(HEADER)
    await run.commits.flush()
    await until(lambda: not [*tmp_path.rglob("*.png")])
    assert [row["status"] for row in world.see[PUBLICATIONS].find()] == ["answered"]
    again = images(await world.run("later"), gateway, services, tmp_path, resumed=True)
    assert await again.paint(HEADER) == first
    assert (len(services.made), len(services.uploaded)) == (1, 1)


async def test_an_invalid_picture_is_requested_again_and_paid_for(world: DurableWorld, gateway: ApiGateway, tmp_path: Path) -> None:
    """A truncated picture is an invalid answer: it is recorded with the reason and its price, and no file is written."""
    services, run = FakeServices(), await world.run()
    services.wrong = [picture(7)[:-30]]
    made = await images(run, gateway, services, tmp_path).paint(HEADER)
    await run.commits.flush()
    assert (made.width, made.height) == (96, 40)  # the picture's own size, not the requested one
    assert services.uploaded == services.made[1:]
    calls = [(row["outcome"], row["cost_usd"]) for row in world.see[HISTORY].find({"api_type": "image_generation"})]
    assert calls == [("invalid", 0.25), ("ok", 0.25)]
    assert "the picture is damaged" in str(world.see[HISTORY].find_one({"outcome": "invalid"}))


async def test_a_picture_that_is_wrong_each_time_is_refused_after_a_few_calls(
    world: DurableWorld, gateway: ApiGateway, tmp_path: Path
) -> None:
    """After that another prompt is tried (tasks/fallback_chain.py)."""
    services, run = FakeServices(), await world.run()
    services.wrong = [b"<html>a page</html>"] * 9
    with pytest.raises(InvalidAnswerError, match="the picture is no picture"):
        await images(run, gateway, services, tmp_path).paint(HEADER)
    assert len(services.made) == 1 + MOST_REPAINTS


async def test_a_missing_reference_picture_is_requested_once(world: DurableWorld, gateway: ApiGateway, tmp_path: Path) -> None:
    """The picture is made without it, and so are the later ones that show the same person."""
    services, friend = FakeServices(), Shown(who=FRIEND, media_id="lost")
    client = images(await world.run(), gateway, services, tmp_path)
    for _ in range(2):
        assert await client._references.load(client._calls, [friend]) == []
    assert services.asked_for == ["lost"]
