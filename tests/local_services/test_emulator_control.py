"""The world of a demo in the platform emulator: its row is created, and its received data is reported."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from pymongo import MongoClient

from generia_assets.catalog import ASSETS
from generia_assets.cli.console import CommandError
from local_services.summary import add_world, describe_arrived
from tests.support.platform_caller import caller


async def test_received_objects_are_counted_and_their_order_is_compared(
    platform: tuple[str, str], mongo_client: MongoClient[dict[str, Any]], mongo_database_name: str
) -> None:
    """The sentence has the counts of the platform; it says if the feed is not in the order of the timeline."""
    database = mongo_client[mongo_database_name]
    async with caller(platform) as me:
        me.world_id = str(uuid.uuid4())
        add_world(platform[1], me.world_id)
        character = await me.character()
        posts = [await me.post(character_id=character, media_id=await me.picture(character), caption=f"{t}") for t in range(2)]
        images = database[ASSETS["post_images"].collection]
        images.insert_many([{"world_id": me.world_id, "t": t, "post_id": post} for t, post in enumerate(posts)])
        assert describe_arrived(platform[1], database, me.world_id).endswith(
            "1 character, 2 pictures, 2 posts in the world's order"
        )
        for t, post in enumerate(reversed(posts)):
            images.update_one({"post_id": post}, {"$set": {"t": t}})
        assert "NOT in the world's order" in describe_arrived(platform[1], database, me.world_id)


def test_a_refusal_of_the_emulator_is_an_error_of_the_command(platform: tuple[str, str]) -> None:
    """An id that is not a UUID is refused in one line."""
    with pytest.raises(CommandError, match="the emulator does not answer as it should"):
        add_world(platform[1], "lull")
