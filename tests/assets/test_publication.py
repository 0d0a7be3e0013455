"""The order of publication: posts are published in the order of their places, one at a time, in whatever order they are painted."""

import asyncio
import random

import pytest

from generia_assets.assets import publication
from generia_assets.assets.publication import RESUMED, PostponedError, PublicationOrder
from tests.support.waiting import PATIENCE_S


async def published(order: PublicationOrder, dice: random.Random, places: int, failing: set[int]) -> tuple[list[int], int]:
    """Paint the places in a random order; some fail. Return what was published, in order, and the number of postponed posts."""
    out: list[int] = []
    postponed, at_once = 0, 0

    async def publish(t: int) -> None:
        nonlocal at_once
        await order.turn(t)
        at_once += 1
        assert at_once == 1
        await asyncio.sleep(0)
        out.append(t)
        at_once -= 1
        order.settle(t)

    async def paint(t: int) -> None:
        nonlocal postponed
        for _ in range(dice.randrange(3 * places)):
            await asyncio.sleep(0)
        if t in failing:
            order.settle(t)
            return
        try:
            await publish(t)
        except PostponedError:
            postponed += 1

    async def take_up() -> None:
        while (t := await order.next_postponed()) is not None:
            group.create_task(publish(t))

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(take_up())
        for t in dice.sample(range(places), places):
            group.create_task(paint(t))
    return out, postponed


@pytest.mark.parametrize("waiting", [0, 1, 3, 1000])
async def test_the_order_of_publication_is_that_of_the_places_in_whatever_order_they_are_painted(waiting: int) -> None:
    """For random orders and failures every post that did not fail is published once, in order, and none waits for ever."""
    let_go = 0
    for seed in range(40):
        dice = random.Random(seed)
        places = dice.randrange(3 * RESUMED)
        failing = {t for t in range(places) if dice.random() < 0.3}
        out, postponed = await published(PublicationOrder(places, waiting=waiting), dice, places, failing)
        assert out == [t for t in range(places) if t not in failing]
        let_go += postponed
    assert bool(let_go) is (waiting < 1000)


async def test_a_place_has_its_turn_when_all_earlier_places_are_done() -> None:
    """The first place does not wait, and a place can be marked done twice."""
    order = PublicationOrder(3, waiting=0)
    for t in (1, 0, 0):
        order.settle(t)
    assert order.has_come(2)
    await order.turn(2)
    order.settle(2)
    assert await order.next_postponed() is None


async def test_a_cancelled_wait_frees_its_place() -> None:
    """A task that is cancelled while it waits is removed: another task may wait, and no turn is lost."""
    order = PublicationOrder(3, waiting=1)
    first = asyncio.create_task(order.turn(1))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(order.turn(2))
    await asyncio.sleep(0)
    order.settle(0)
    await asyncio.sleep(0)
    assert not second.done()
    order.settle(1)
    await asyncio.wait_for(second, PATIENCE_S)


async def test_a_world_without_posts_waits_for_no_first_post() -> None:
    """Work that starts after the first place is done starts at once if there is no place."""
    order = PublicationOrder(0, waiting=1)
    assert order.first_settled.is_set()
    assert await order.next_postponed() is None


async def test_slow_publishing_opens_no_more_posts_than_can_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """While posts are published, the next one is opened when at most half of the waiting places are used; when the order is
    blocked, at once."""
    standstill, clock = publication.STANDSTILL_SECONDS, asyncio.get_running_loop().time
    monkeypatch.setattr(publication, "STANDSTILL_SECONDS", PATIENCE_S)
    order = PublicationOrder(10, waiting=4)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        order.settle(0)
        waiting = [group.create_task(order.turn(t)) for t in (2, 3, 4)]
        await asyncio.sleep(0)
        opening = group.create_task(order.backpressure())
        await asyncio.sleep(0.01)
        assert not opening.done()
        began = clock()
        order.settle(1)  # the turn of 2: two wait
        await opening
        waiting.append(group.create_task(order.turn(5)))
        await asyncio.sleep(0)
        monkeypatch.setattr(publication, "STANDSTILL_SECONDS", standstill)
        await order.backpressure()
        assert clock() - began >= standstill
        again = group.create_task(order.backpressure())
        await asyncio.sleep(0)
        assert again.done()
        for t in range(2, 10):
            order.settle(t)
            await asyncio.sleep(0)
    assert all(task.done() for task in waiting)
