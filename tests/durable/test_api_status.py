"""What a run stores about an API for later runs: that it has answered, and how long its answers took."""

from __future__ import annotations

from generia_assets.durable.calls.api_status import latest_answers, name_of, trust
from resources.gateway.calls import Api
from resources.mongodb.connection import connect_async


async def test_the_next_process_knows_the_answers_of_an_api_by_its_name(mongodb_uri: str, mongo_database_name: str) -> None:
    """With another key nothing is known; a later record replaces the earlier one; the record of an earlier version has no times."""
    name, other = name_of(Api.LLM, "address", "key"), name_of(Api.LLM, "address", "another key")
    async with connect_async(mongodb_uri) as client:
        fleet = client[mongo_database_name].fleet
        assert await latest_answers(fleet, name) is None
        await trust(fleet, name, {"post": [0.5]})
        await trust(fleet, name, {"post": [0.5, 0.7], "post_batch": [2.0]})
        assert await latest_answers(fleet, name) == {"post": [0.5, 0.7], "post_batch": [2.0]}
        assert await latest_answers(fleet, other) is None
        await fleet.insert_one({"_id": other})
        assert await latest_answers(fleet, other) == {}
