"""What came of a world, as the one JSON object of figures that programs read."""

from __future__ import annotations

from datetime import datetime

from generia_assets.catalog import ASSETS
from generia_assets.cli.data_dir import DataDir
from generia_assets.content.documents import FrozenModel
from generia_assets.durable.collections import TASKS
from generia_assets.durable.status import WorldStatus
from generia_assets.pages.links import ServedLinks
from generia_assets.queries.records import completed
from generia_assets.settings import Settings
from resources.mongodb.connection import MongoDatabase


class WorldResult(FrozenModel):
    """The object of ``--json``. ``seconds`` count from the moment the order was sent.

    ``llm_calls`` and ``image_calls`` are of the present generation (of a rerun: of what was made again), ``cost_usd`` of all.

    ``gallery``: the world's page, a file or an address; null where none could be written.
    """

    world_id: str
    status: str
    characters: int
    posts: int
    images: int
    llm_calls: int
    image_calls: int
    cost_usd: float
    seconds: float
    seconds_to_first_post: float | None
    gallery: str | None


def world_result(database: MongoDatabase, status: WorldStatus, since: datetime, *, gallery: str | None = None) -> WorldResult:
    """The figures of a world that is over; ``since`` is when it was ordered."""
    end = status.finished_at or status.updated_at
    first_post = status.first_post_at
    return WorldResult(
        world_id=status.world_id,
        status=status.status.value,
        characters=status.users_created,
        posts=status.posts_created,
        images=_pictures(database, status),
        llm_calls=status.api_calls_made_LLM,
        image_calls=status.api_calls_made_images,
        cost_usd=round(status.cost_usd, 6),
        seconds=round((end - since).total_seconds(), 2),
        seconds_to_first_post=None if first_post is None else round((first_post - since).total_seconds(), 2),
        gallery=gallery,
    )


def page_of(settings: Settings, world_id: str) -> str:
    """The world's page: the file that `demo` wrote, or else its address on the pages' server (PAGES_URL)."""
    written = DataDir(settings.generia_data_dir.absolute()).gallery / world_id / "index.html"
    return str(written) if written.is_file() else f"{settings.pages_url}{ServedLinks(world_id).feed()}"


def _pictures(database: MongoDatabase, status: WorldStatus) -> int:
    made = (asset for asset in ASSETS.values() if asset.pictures)
    return sum(
        len(asset.pictures) * database[TASKS].count_documents(completed(status.world_id, status.generation, asset.task_type))
        for asset in made
    )
