"""Backfills over many worlds: none starts before a person has confirmed its price."""

from __future__ import annotations

import pytest

from generia_assets.assets.runs import CONFIRMED, UNCONFIRMED_WORLDS
from generia_assets.dagster_internals import BACKFILL_ID_TAG, BulkActionStatus
from tests.support.dagster_internals import PartitionBackfill
from tests.support.worlds_in_process import Worlds


@pytest.fixture(scope="module")
def world_id(the_worlds: Worlds) -> str:
    world_id, made = the_worlds.make("of-backfills", users=1, posts=1)
    assert made.success, made.failure
    return world_id


def a_backfill(worlds: Worlds, world_id: str, count: int) -> dict[str, str]:
    """Start a backfill over this world and others; return the tag of its runs."""
    names = [world_id, *(f"other-{number}" for number in range(count - 1))]
    backfill_id = f"over-{count}-{worlds.instance.get_runs_count()}"
    worlds.instance.add_backfill(PartitionBackfill(backfill_id, BulkActionStatus.REQUESTED, False, {}, 0.0, partition_names=names))
    return {BACKFILL_ID_TAG: backfill_id}


@pytest.mark.case("P42")
@pytest.mark.parametrize("confirmed", [{}, {CONFIRMED: "5"}], ids=["not confirmed", "fewer confirmed"])
@pytest.mark.parametrize("select", [(), ("world_images",)], ids=["all nine", "a part"])
def test_an_unconfirmed_backfill_fails_with_its_price_before_any_call(
    worlds: Worlds, world_id: str, select: tuple[str, ...], confirmed: dict[str, str]
) -> None:
    """It makes no call and changes no world; the backfill fails with the message of the run."""
    assert worlds.gemini is not None
    worlds.gemini.reset()
    before, tags = worlds.raw_status(world_id), a_backfill(worlds, world_id, UNCONFIRMED_WORLDS + 1)
    made = worlds.run(world_id, select=select, tags={**tags, **confirmed})
    assert not made.success
    assert "This backfill covers 6 worlds and would cost about $" in made.failure
    assert f"launch it again with the tag {CONFIRMED} = 6" in made.failure
    assert (worlds.raw_status(world_id), worlds.calls) == (before, 0)
    backfill = worlds.instance.get_backfill(tags[BACKFILL_ID_TAG])
    assert backfill is not None
    assert backfill.status is BulkActionStatus.FAILING
    assert backfill.error is not None
    assert backfill.error.message in made.failure


@pytest.mark.parametrize(("count", "confirmed"), [(UNCONFIRMED_WORLDS, {}), (6, {CONFIRMED: "6"})], ids=["few", "confirmed"])
def test_a_small_or_confirmed_backfill_starts(worlds: Worlds, world_id: str, count: int, confirmed: dict[str, str]) -> None:
    """Its runs make the selected assets, and have at most three of our tags."""
    made = worlds.run(world_id, select=["world_images"], tags={**a_backfill(worlds, world_id, count), **confirmed})
    assert made.success, made.failure
    assert len([name for name in made.run.tags if "generia" in name]) <= 3
