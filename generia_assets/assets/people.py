"""The people of a world, made on demand and once: concepts, characters and plans of posts.

Not here: when each is needed (orchestrator.py), and how one of them is made (tasks/).

A batch of concepts needs the batch before it, a character the batches of its acquaintances, a plan of ten posts the character and
that person's plan before it. So each of them waits only for documents that an earlier place of the timeline needs, too.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from pydantic import TypeAdapter

from generia_assets.assets.materialized import ItemMissingError
from generia_assets.assets.selection import WorldRun
from generia_assets.catalog import TaskType
from generia_assets.content import social
from generia_assets.content.documents import Acquaintance, Character, CharacterAvatar, CharacterBrief, PostBrief
from generia_assets.content.keys import batch_key, character_index, character_key, post_batch_key, post_key
from generia_assets.content.names import CharacterIndex
from generia_assets.content.shares import BATCH
from generia_assets.content.similarity import Ideas
from generia_assets.durable.events.events import LiveEvent, character_created
from generia_assets.durable.tasks.claims import TaskSpec
from generia_assets.durable.tasks.runner import TaskFailedError
from generia_assets.tasks.generate_character import generate_character
from generia_assets.tasks.generate_character_avatar import generate_character_avatar
from generia_assets.tasks.generate_character_batch import CharacterBriefs, generate_character_batch
from generia_assets.tasks.generate_post_batch import PostBriefs, generate_post_batch
from generia_assets.tasks.task_definition import BatchParameters, TaskParameters
from resources.cancellation import ReliableTaskGroup

logger = logging.getLogger(__name__)

ValueT = TypeVar("ValueT")

KEPT_PEOPLE = 6
"""People in memory for each call at once, each with a plan of ten posts."""
PACKED_PEOPLE = 120
"""The same of people beyond these, packed: about 2 kB each, and 1.5 kB a plan. Others are loaded again when a post needs them."""


class Memo(Generic[ValueT]):
    """Values by number (from 0 to below ``numbers``) that many wait for: each is made once at a time, and the latest ones stay.

    The latest ``kept`` are there as they are, ``packed`` before them as packed JSON of this ``kind``. ``make(number, again)`` makes
    one; ``again``: this memo made it before and has dropped it, so that it only has to be loaded. An error ends the task group.
    Memory does not grow with the world.
    """

    def __init__(
        self,
        group: ReliableTaskGroup,
        make: Callable[[int, bool], Awaitable[ValueT]],
        kind: TypeAdapter[ValueT],
        *,
        numbers: int,
        kept: int,
        packed: int,
    ) -> None:
        self._group = group
        self._make = make
        self._kind = kind
        self._made = bytearray(numbers)
        self._kept = kept
        self._most_packed = packed
        self._tasks: OrderedDict[int, asyncio.Task[ValueT]] = OrderedDict()
        self._packed: OrderedDict[int, bytes] = OrderedDict()

    async def get(self, number: int) -> ValueT:
        """The value, made now if it is not there; other callers wait for the same task."""
        task = self._tasks.get(number)
        if task is None:
            self._pack()
            task = self._tasks[number] = self._group.create_task(self._once(number))
        self._tasks.move_to_end(number)
        return await task

    def there(self, number: int) -> ValueT | None:
        """The value if it is in memory, else None. It may be changed: its packed form is dropped."""
        self._packed.pop(number, None)
        task = self._tasks.get(number)
        return task.result() if task is not None and task.done() else None

    async def _once(self, number: int) -> ValueT:
        if (packed := self._packed.get(number)) is not None:
            self._packed.move_to_end(number)
            return self._kind.validate_json(zlib.decompress(packed))
        value = await self._make(number, bool(self._made[number]))
        self._made[number] = 1
        return value

    def _pack(self) -> None:
        """Pack the least recently used values. Those being made stay, so that nothing is made twice at once."""
        surplus = max(0, len(self._tasks) + 1 - self._kept)
        for number in list(islice((number for number, task in self._tasks.items() if task.done()), surplus)):
            task = self._tasks.pop(number)
            if task.cancelled() or task.exception() is not None:
                continue
            if number not in self._packed:
                self._packed[number] = zlib.compress(self._kind.dump_json(task.result()), level=1)
            self._packed.move_to_end(number)
        while len(self._packed) > self._most_packed:
            self._packed.popitem(last=False)


@dataclass
class CharacterRun:
    """A character and their acquaintances. ``avatar_url``: of their picture, once it exists, for the events of their posts."""

    character: Character
    acquaintances: tuple[Acquaintance, ...]
    avatar_url: str | None = None


_CONCEPTS, _PLAN = TypeAdapter(tuple[CharacterBrief, ...]), TypeAdapter(tuple[PostBrief, ...])
_PERSON = TypeAdapter(CharacterRun | None)


class CharacterPool:
    """Makes concepts, characters and plans, or loads them. An item that failed for good is None, or a plan without posts."""

    def __init__(self, group: ReliableTaskGroup, run: WorldRun) -> None:
        self._run = run
        self._characters = CharacterIndex()
        self._ideas: OrderedDict[int, tuple[int, Ideas]] = OrderedDict()
        """By person: the number of plans that are made, and their ideas."""
        people, self._kept, packed = run.request.users_count, KEPT_PEOPLE * run.calls_at_once, PACKED_PEOPLE * run.calls_at_once
        batches = {"numbers": people // BATCH + 1, "kept": self._kept // BATCH, "packed": packed // BATCH}
        self._batches = Memo(group, self._make_batch, _CONCEPTS, **batches)
        self._persons = Memo(group, self._make_person, _PERSON, numbers=people, kept=self._kept, packed=packed)
        self._plans = Memo(group, self._make_plan, _PLAN, numbers=run.request.posts_count, kept=self._kept, packed=packed)
        """By the place of a plan's first post."""

    async def batch(self, number: int) -> Sequence[CharacterBrief]:
        return await self._batches.get(number)

    async def person(self, index: int) -> CharacterRun | None:
        return await self._persons.get(index)

    async def plan(self, index: int, number: int) -> Sequence[PostBrief]:
        """Ten ideas of this person; those of a plan that failed are missing."""
        return await self._plans.get(self._run.line.t_of(index, number * BATCH))

    async def idea(self, t: int) -> PostBrief | None:
        index, order = self._run.line.people[t], self._run.line.orders[t]
        key = post_key(character_key(index), order)
        if not self._run.selection.makes_idea(key):
            return await self._run.materialized.one_if_there(PostBrief, key)
        return next((brief for brief in await self.plan(index, order // BATCH) if brief.order == order), None)

    def show_avatar(self, index: int, avatar: CharacterAvatar) -> None:
        if (person := self._persons.there(index)) is not None:
            person.avatar_url = avatar.avatar.url

    async def _make_batch(self, number: int, again: bool) -> tuple[CharacterBrief, ...]:
        key, numbers = batch_key(number * BATCH), range(number * BATCH, min((number + 1) * BATCH, self._run.request.users_count))
        if not self._run.makes(TaskType.GENERATE_CHARACTER_BATCH, key):
            return await self._materialized_batch(number, numbers, again)
        if number and not again:
            await self.batch(number - 1)  # one batch after the other: the names of earlier people are taken
        first = max(numbers.start, self._run.first_new_person)
        parameters = BatchParameters(key=key, first=first, count=numbers.stop - first)
        made = await self._run.runner.result_of(generate_character_batch, parameters) if again else None
        if made is None:
            if self._characters.count < first:  # an extension
                await self._run.materialized.each(CharacterBrief, self._characters.add)
            known = {tie.index for index in numbers for tie in self._run.acquaintances(index)}
            before = sorted(index for index in known if index < self._run.first_new_person)  # who were there already
            self._characters.know(*[await self._brief(index) for index in before])
            made = await self._run.execute(self._after_briefs, generate_character_batch, parameters, self._characters)
            self._characters.add(*made.briefs)
        return (*[await self._brief(index) for index in range(numbers.start, first)], *made.briefs)

    async def _brief(self, index: int) -> CharacterBrief:
        """The materialized concept. A person who was there before an extension has as many posts as they have now."""
        brief = await self._run.materialized.one(CharacterBrief, character_key(index))
        return brief.model_copy(update={"posts_count": self._run.line.count_of(index)})

    async def _materialized_batch(self, number: int, people: Iterable[int], again: bool) -> tuple[CharacterBrief, ...]:
        """The materialized concepts, except of people who are regenerated under the same name."""
        briefs = [await self._brief(index) for index in people]
        regenerated = [place for place, brief in enumerate(briefs) if self._run.makes(TaskType.GENERATE_CHARACTER_BATCH, brief.key)]
        if not regenerated:
            return tuple(briefs)
        known = [brief for earlier in range(max(0, number - 2), number) for brief in await self.batch(earlier)]
        for place in regenerated:
            there = {character_index(brief.key): brief for brief in (*known, *briefs)}
            previous, key = await self._run.previous_concept(briefs[place], there), briefs[place].key
            parameters = BatchParameters(key=key, first=character_index(key), count=1)
            made = await self._run.runner.result_of(generate_character_batch, parameters) if again else None
            made = made or await self._run.execute(
                self._after_briefs, generate_character_batch, parameters, CharacterIndex(), previous
            )
            briefs[place] = made.briefs[0]
        return tuple(briefs)

    async def _make_person(self, index: int, again: bool) -> CharacterRun | None:
        ties = self._run.acquaintances(index)
        numbers = sorted({social.batch_of(other) for other in (index, *(tie.index for tie in ties))})
        known = {character_index(brief.key): brief for number in numbers for brief in await self.batch(number)}
        acquaintances = social.introduce(self._run.request, self._run.world, index, known)
        try:
            character = await self._character(known[index], acquaintances, again)
        except (TaskFailedError, ItemMissingError) as error:
            logger.warning("%s; what depends on it is not made", error)
            return None
        return None if character is None else CharacterRun(character, acquaintances, await self._avatar_url(character.key, again))

    async def _character(self, brief: CharacterBrief, acquaintances: Sequence[Acquaintance], again: bool) -> Character | None:
        parameters = TaskParameters(key=brief.key)
        if not self._run.makes(TaskType.GENERATE_CHARACTER, brief.key):
            there = await self._run.materialized.one(Character, brief.key)
            return there.model_copy(update={"posts_count": brief.posts_count})
        if again:
            return await self._run.runner.result_of(generate_character, parameters)
        previous, character_id = await self._run.previous_character(brief)
        to_update = await self._run.acquaintances_to_update(previous, acquaintances) if previous is not None else ()
        return await self._run.execute(
            self._after_character, generate_character, parameters, brief, acquaintances, previous, to_update, character_id
        )

    async def _avatar_url(self, key: str, again: bool) -> str | None:
        found: CharacterAvatar | None = None
        if not self._run.makes(TaskType.GENERATE_CHARACTER_AVATAR, key):
            found = await self._run.materialized.one_if_there(CharacterAvatar, key)
        elif again:
            found = await self._run.runner.result_of(generate_character_avatar, TaskParameters(key=key))
        return None if found is None else found.avatar.url

    async def _make_plan(self, t: int, again: bool) -> tuple[PostBrief, ...]:
        index, begin = self._run.line.people[t], self._run.line.orders[t]
        key, end = character_key(index), min(begin + BATCH, self._run.line.count_of(index))
        posts = [post_key(key, order) for order in range(begin, end)]
        known = [post for post in posts if not self._run.selection.makes_idea(post)]
        found = [await self._run.materialized.one_if_there(PostBrief, post) for post in known]
        there = tuple(brief for brief in found if brief is not None)
        if known == posts:
            return there
        first = begin + len(known)
        parameters = BatchParameters(key=post_batch_key(key, first), first=first, count=end - first)
        if again:
            made = await self._run.runner.result_of(generate_post_batch, parameters)
            return there if made is None else (*there, *made.briefs)
        person, ideas = await self.person(index), await self._ideas_before(index, begin // BATCH)
        if person is None:
            return there
        ideas.add(*[await self._run.as_posted(brief) for brief in there])
        briefs: tuple[PostBrief, ...] = ()
        try:
            made = await self._run.execute(
                self._after_ideas, generate_post_batch, parameters, person.character, person.acquaintances, ideas
            )
            briefs = made.briefs
        except TaskFailedError as error:
            logger.warning("%s; these posts are not made", error)
        ideas.add(*briefs)
        if end < self._run.line.count_of(index):
            self._ideas[index] = (begin // BATCH + 1, ideas)
            if len(self._ideas) > self._kept:
                self._ideas.popitem(last=False)
        return (*there, *briefs)

    async def _ideas_before(self, index: int, number: int) -> Ideas:
        """The ideas of this person's plans before this one, all of which are made or have failed then."""
        if number:
            await self.plan(index, number - 1)
        plans, ideas = self._ideas.pop(index, (0, Ideas()))
        if plans < number:
            ideas = Ideas([brief for earlier in range(number) for brief in await self.plan(index, earlier)])
        return ideas

    def _after_briefs(self, made: CharacterBriefs) -> Iterable[TaskSpec]:
        return self._run.selection.follow_ups("character_briefs", *made.briefs, also=[TaskType.GENERATE_CHARACTER])

    def _after_character(self, made: Character) -> Iterable[TaskSpec | LiveEvent]:
        yield character_created(made)
        yield from self._run.selection.follow_ups("characters", made)
        if self._run.makes(TaskType.GENERATE_POST_BATCH, made.key):
            for first in range(0, made.posts_count, BATCH):
                key, count = post_batch_key(made.key, first), min(BATCH, made.posts_count - first)
                yield TaskSpec(TaskType.GENERATE_POST_BATCH, BatchParameters(key=key, first=first, count=count))

    def _after_ideas(self, made: PostBriefs) -> Iterable[TaskSpec]:
        return self._run.selection.follow_ups("post_briefs", *made.briefs, also=[TaskType.GENERATE_POST])
