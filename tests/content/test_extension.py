"""An extension: the draws of the former world do not change, and new draws follow them."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from generia_assets.asset_spec import Unit
from generia_assets.catalog import TaskType
from generia_assets.content import social
from generia_assets.content.axes import years
from generia_assets.content.documents import WorldDescription, WorldRequest
from generia_assets.content.keys import EXTENSION, batch_key, character_key, post_key
from generia_assets.content.plan import Extension, plan
from generia_assets.content.replies import LONGEST_CHAIN
from generia_assets.content.samples import sample
from generia_assets.content.shares import BATCH, Size, ceiling, shares
from generia_assets.content.storyline import storyline
from generia_assets.content.timeline import Timeline, heard_before, timeline

SIZES = [
    Size(15, 72, Size(5, 12)),
    Size(5, 72, Size(5, 12)),
    Size(9, 12, Size(5, 12)),
    Size(35, 210, Size(25, 150)),
    Size(2, 3, Size(1, 0)),
    Size(4, 9, Size(3, 9)),
    Size(60, 310, Size(50, 250, Size(20, 100))),
    Size(9, 40, Size(9, 30, Size(5, 30, Size(4, 8)))),
    Size(400, 900, Size(8, 20)),
]
SEEDS = (1, 7, 99, 2**40 + 3)


def request_of(seed: int, size: Size) -> WorldRequest:
    """The request of a world with this size."""
    former, sizes = size.former, list[tuple[int, int]]()
    while former is not None:
        sizes.insert(0, (former.people, former.posts))
        former = former.former
    counts = {"users_count": size.people, "posts_count": size.posts, "former_sizes": tuple(sizes)}
    return WorldRequest(user_prompt="a town", seed=seed, created_at=datetime(2026, 1, 1, tzinfo=UTC), **counts)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_draws_of_the_former_world_do_not_change(seed: int, size: Size) -> None:
    """Shares only grow, and places, replies, times of joining, old ties and storylines of the former world are the beginning of the
    new ones."""
    former = size.former
    assert former is not None
    old, new = timeline(seed, *former), timeline(seed, *size)
    assert request_of(seed, size).size == size
    assert [list(new.people[: len(old)]), list(new.orders[: len(old)]), list(new.replies[: len(old)])] == [
        list(old.people),
        list(old.orders),
        list(old.replies),
    ]
    world = sample(WorldDescription, full=True)
    for index in range(former.people):
        assert new.joined(index) == old.joined(index)
        places = [new.t_of(index, order) for order in range(old.count_of(index))]
        assert places == [old.t_of(index, order) for order in range(old.count_of(index))]
        known = social.acquaintances(seed, former.people, index, former.former)
        assert social.acquaintances(seed, size.people, index, former)[: len(known)] == known
        before = storyline(request_of(seed, former), world, index)
        after = storyline(request_of(seed, size), world, index)
        assert after.slots[: len(before.slots)] == before.slots and (not before.arc or after.arc == before.arc)
    assert all(
        heard_before(seed, *size[:2], t, former) == heard_before(seed, *former[:2], t, former.former) for t in range(len(old))
    )


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_new_posts_are_by_old_and_new_people_with_exact_counts(seed: int, size: Size) -> None:
    """The sum is exact; every place is the next post of a person; each person's posts are in order; a reply answers an earlier post
    of an acquaintance."""
    former, given, line = size.former, shares(seed, *size), timeline(seed, *size)
    assert former is not None
    added = [share - before for share, before in zip(given, (*shares(seed, *former), *[0] * size.people), strict=False)]
    assert sum(given) == size.posts == len(line) and min(added) >= 0
    assert max(added, default=0) <= ceiling(size.people, size.posts - former.posts)
    if size.posts - former.posts >= 2 * (size.people - former.people) > 0:
        assert min(added[former.people :]) >= 1 and sum(added[: former.people]) > 0
    for index, share in enumerate(given):
        places = [line.t_of(index, order) for order in range(share)]
        assert places == sorted(set(places)) and [line.orders[t] for t in places] == list(range(share))
        assert 0 <= line.joined(index) <= len(line)
    for t, to in enumerate(line.replies):
        assert to < t
        if to >= 0:
            known = {tie.index for tie in social.acquaintances(seed, size.people, line.people[t], former)}
            assert line.people[to] in known and chain(line, t) <= LONGEST_CHAIN
    last = max((line.joined(index) for index in range(former.people, size.people)), default=len(line))
    assert last >= len(line) - (size.posts - former.posts)


def chain(line: Timeline, t: int) -> int:
    """The length of the chain of replies that ends there."""
    return 1 if line.replies[t] < 0 else 1 + chain(line, line.replies[t])


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_new_people_meet_old_ones(seed: int, size: Size) -> None:
    """Ties are symmetric, fit the ages, are at most eight for each person, and at least one new person knows an old one."""
    former = size.former
    assert former is not None
    known = [social.acquaintances(seed, size.people, index, former) for index in range(size.people)]
    met = 0
    for index, ties in enumerate(known):
        assert len(ties) <= 8 and [tie.index for tie in ties] == sorted({tie.index for tie in ties})
        for tie in ties:
            other = next(side for side in known[tie.index] if side.index == index)
            assert other.kind == tie.kind and other.is_first != tie.is_first and tie.index != index
            if tie.is_first and tie.kind.older_by:
                least, most = tie.kind.older_by
                assert least <= years(seed, tie.index) - years(seed, index) <= most
            met += index >= former.people > tie.index
    assert met or size.people == former.people


def test_two_extensions_have_different_draws() -> None:
    """Two extensions with the same counts add different shares and different ties."""
    size = Size(30, 130, Size(20, 90, Size(10, 50)))
    first, second, third = (shares(3, *one) for one in (Size(10, 50), size.former or size, size))
    assert [b - a for a, b in zip(first, second, strict=False)] != [b - a for a, b in zip(second, third, strict=False)]


def test_an_extension_begins_after_the_last_event() -> None:
    """New posts come after all events, and never before an old post in world time; in a world without posts the timeline begins
    there."""
    world = sample(WorldDescription, full=True)
    slots = [
        slot
        for size in (Size(15, 72, Size(5, 12)),)
        for index in range(size.people)
        for slot in storyline(request_of(5, size), world, index).slots
    ]
    ordered = sorted(slots, key=lambda slot: slot.t)
    assert all(one.after <= other.after for one, other in pairwise(ordered))
    assert {slot.after for slot in ordered[12:]} == {len(world.calendar)}
    assert any(slot.reply_to for slot in ordered[12:]) and any(slot.event for slot in ordered[12:])
    late = storyline(request_of(5, Size(1, 6, Size(1, 0))), world, 0).slots
    assert late[0].after == 1 and late[-1].after == len(world.calendar)


def test_the_plan_of_an_extension_counts_what_is_new() -> None:
    """It has the number of new items for each task type, and no call for the ideas of a person whose single post is new."""
    size = Size(15, 72, Size(5, 12))
    request, line = request_of(5, size), timeline(5, *size)
    new = Extension(request)
    made = new.numbers()
    assert (made[Unit.PERSON], made[Unit.POST], made[Unit.PEOPLE_BATCH]) == (10, 60, 2)
    keys = [post_key(character_key(index), order) for index, order in zip(line.people, line.orders, strict=True)]
    assert [new.has(Unit.POST, key) for key in keys] == [False] * 12 + [True] * 60
    batches = {(index, order // BATCH) for index, order in zip(line.people[12:], line.orders[12:], strict=True)}
    assert made[Unit.POST_BATCH] == len(batches)
    planned = plan(request, {TaskType.GENERATE_POST_BATCH: len(batches)}, (EXTENSION,))
    alone = sum(line.count_of(index) == 1 and line.t_of(index, 0) >= 12 for index in range(15))
    assert planned.llm_total == len(batches) - alone
    assert [new.has(Unit.PEOPLE_BATCH, batch_key(index)) for index in (0, 10, 20)] == [True, True, False]
    assert not new.has(Unit.PEOPLE_BATCH, "c0007") and not new.has(Unit.WORLD, "world")
