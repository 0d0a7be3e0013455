"""Live events on Apache Kafka itself."""

from __future__ import annotations

import asyncio

import pytest

from generia_assets.durable.events import relay as relay_module
from generia_assets.durable.events.events import Completed, StageStarted
from generia_assets.durable.events.relay import Relay
from generia_assets.durable.leases.changes import Change
from generia_assets.durable.leases.commits import Commits
from generia_assets.durable.status import Stage
from tests.support.durable_world import durable_world
from tests.support.live_events import durable, ended, events_kafka, numbers, read_topic

pytestmark = pytest.mark.apache_kafka


async def test_a_worlds_events_arrive_in_order_in_one_partition(
    apache_kafka: str, mongodb_uri: str, mongo_database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same holds with its own protocol version, its own topics and its own acknowledgements."""
    monkeypatch.setattr(relay_module, "CLOSING_SECONDS", 60.0)  # however busy the machine is
    kafka = events_kafka(apache_kafka, api_version="")
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        session = world.client.start_session()
        relay = Relay(world.database, world.world_id, kafka.progress)
        fence = await world.take("run-1", session=session)
        commits = Commits(session, world.database, fence, outage_timeout=60, on_written=relay.changed)
        change = Change(events=[StageStarted(stage=Stage.POSTS)])
        await asyncio.gather(*(commits.commit(change) for _ in range(120)))
        await commits.commit(Change(values={"status": "completed"}, events=[Completed()]))
        await commits.aclose()
        await relay.aclose()
        arrived = read_topic(kafka, ended)
        assert numbers(durable(arrived)) == list(range(1, 123))
        assert len({one.partition for one in arrived}) == 1
        assert world.status["events_sent"] == 122
