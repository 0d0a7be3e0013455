"""The memory of a run for its people: ``Memo``."""

from __future__ import annotations

import asyncio
from collections import Counter

from pydantic import TypeAdapter

from generia_assets.assets.people import Memo
from generia_assets.content.documents import PostBrief
from resources.cancellation import ReliableTaskGroup

PLAN = TypeAdapter(tuple[PostBrief, ...])


def a_plan(number: int) -> tuple[PostBrief, ...]:
    """A plan of two posts, with every kind of field."""
    brief = PostBrief(
        key=f"c{number:04d}-p0000",
        character=f"c{number:04d}",
        username="mira",
        order=0,
        moment="the first night — «ночь»",
        idea="Dreams\nturn solid.",
        form="a list",
        mentions=("oro", "ilse"),
    )
    return (brief, brief.model_copy(update={"key": f"c{number:04d}-p0001", "order": 1}))


async def test_a_value_is_made_once_and_stays_equal() -> None:
    """Of eight values two are kept as objects and six packed: the latest are returned without being made, the first is loaded
    again."""
    made = Counter[tuple[int, bool]]()

    async def make(number: int, again: bool) -> tuple[PostBrief, ...]:
        made[number, again] += 1
        await asyncio.sleep(0)
        return a_plan(number)

    async with ReliableTaskGroup() as group:
        memo = Memo(group, make, PLAN, numbers=8, kept=2, packed=6)
        for number in range(8):
            await memo.get(number)
        assert made == {(number, False): 1 for number in range(8)}
        for number in (7, 6, 5, 4, 3):
            assert await memo.get(number) == a_plan(number)
        assert made == {(number, False): 1 for number in range(8)}
        assert await asyncio.gather(memo.get(0), memo.get(0)) == [a_plan(0)] * 2
        assert made[0, True] == 1


async def test_a_value_that_is_changed_is_not_taken_from_its_packed_form() -> None:
    """A caller may change the returned value: its earlier packed form is not used any more."""
    made = Counter[int]()

    async def make(number: int, again: bool) -> tuple[PostBrief, ...]:
        made[number] += 1
        return a_plan(number)

    async with ReliableTaskGroup() as group:
        memo = Memo(group, make, PLAN, numbers=4, kept=1, packed=4)
        for number in range(4):
            await memo.get(number)
        assert memo.there(0) is None
        assert memo.there(3) == a_plan(3)
        await memo.get(0)
        await memo.get(1)
        assert made == {0: 2, 1: 1, 2: 1, 3: 1}
