"""The conductor: the order of work inside a world, without barriers.

Here: the natural recursion batch → character → (avatar | ideas → post → image), on one event loop. A character's posts start when
that character is ready, an image when its post is. What a run does not make is loaded from what was materialized before. Not here:
how one task is done (tasks/), how it survives (durable/), and what Dagster sees (content.py).

How much is open at once is bounded (``OPEN_PEOPLE``, ``OPEN_BATCHES``), so that memory does not grow with the world and the first
posts appear early in a large one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from math import ceil

from generia_assets.assets.materialized import ItemMissingError, Materialized
from generia_assets.assets.selection import Before, Selection
from generia_assets.content import social
from generia_assets.content.documents import (
    WORLD_KEY,
    Acquaintance,
    Character,
    CharacterAvatar,
    CharacterBrief,
    Post,
    PostBrief,
    PostImage,
    WorldDescription,
    WorldRequest,
    character_index,
    post_key,
)
from generia_assets.content.ideas import Ideas
from generia_assets.content.names import Roster
from generia_assets.content.shares import BATCH
from generia_assets.durable.events import LiveEvent, character_created, post_published
from generia_assets.durable.items import batch_key
from generia_assets.durable.journal import Journal, TaskFailedError, TaskSpec
from generia_assets.tasks.another_self import Former
from generia_assets.tasks.generate_character import generate_character
from generia_assets.tasks.generate_character_avatar import generate_character_avatar
from generia_assets.tasks.generate_character_batch import CharacterBatchParameters, CharacterBriefs, generate_character_batch
from generia_assets.tasks.generate_post import generate_post
from generia_assets.tasks.generate_post_batch import PostBatchParameters, PostBriefs, generate_post_batch
from generia_assets.tasks.generate_post_image import generate_post_image
from generia_assets.tasks.generate_world_image import generate_world_image
from generia_assets.tasks.kinds import TaskParameters, TaskType

logger = logging.getLogger(__name__)

OPEN_PEOPLE = 40
"""People worked on at once: enough to keep fifteen calls in the air from their few posts each."""
OPEN_BATCHES = 3
"""Batches of ten post ideas of one person worked on at once."""

_PEOPLE = frozenset(
    {
        TaskType.GENERATE_CHARACTER,
        TaskType.GENERATE_CHARACTER_AVATAR,
        TaskType.GENERATE_POST_BATCH,
        TaskType.GENERATE_POST,
        TaskType.GENERATE_POST_IMAGE,
    }
)
_POSTS = frozenset({TaskType.GENERATE_POST_BATCH, TaskType.GENERATE_POST, TaskType.GENERATE_POST_IMAGE})


class Conductor:
    """Makes a world's content. ``run`` returns when all of it has been made, or has failed for good and is counted."""

    def __init__(
        self, journal: Journal, materialized: Materialized, selection: Selection, request: WorldRequest, world: WorldDescription
    ) -> None:
        self._journal = journal
        self._materialized = materialized
        self._selection = selection
        self._request = request
        self._world = world
        self._before = Before(materialized, selection, request, world)
        self._open = asyncio.Semaphore(OPEN_PEOPLE)
        self._avatars: dict[str, str] = {}
        """Where the pictures of the people at work are, for the events of their posts."""

    async def run(self) -> None:
        """Make everything selected. Raises what stops a whole world (as an exception group)."""
        async with asyncio.TaskGroup() as group:
            if self._selection.makes(TaskType.GENERATE_WORLD_IMAGE, WORLD_KEY):
                group.create_task(self._world_images(), name="world_images")
            if self._selection.types & (_PEOPLE | {TaskType.GENERATE_CHARACTER_BATCH}):
                group.create_task(self._people(), name="people")

    async def _world_images(self) -> None:
        await self._journal.perform(None, generate_world_image, TaskParameters(key=WORLD_KEY), self._request, self._world)

    async def _people(self) -> None:
        """Invent the people, ten at a time in one dialog, and start on everyone whose acquaintances all have names."""
        count, seed = self._request.users_count, self._request.seed
        roster, known = Roster(), dict[int, CharacterBrief]()
        waiting: list[int] = []
        async with asyncio.TaskGroup() as group:
            for batch in range(ceil(count / BATCH)):
                first = batch * BATCH
                briefs = await self._briefs(batch, roster, known)
                roster.add(*briefs)
                known |= {first + place: brief for place, brief in enumerate(briefs)}
                waiting += range(first, first + len(briefs))
                if not self._selection.types & _PEOPLE:
                    continue
                ready = [index for index in waiting if social.ready_after(seed, count, index) <= batch]
                waiting = [index for index in waiting if index not in ready]
                for index in ready:
                    brief = known[index]
                    if not self._selection.touches(brief.key, brief.posts_count):
                        continue
                    acquaintances = social.introduce(self._request, self._world, index, known)
                    await self._open.acquire()
                    group.create_task(self._person(brief, acquaintances), name=brief.key)
                known = {index: brief for index, brief in known.items() if index >= first - BATCH}

    async def _briefs(self, batch: int, roster: Roster, known: Mapping[int, CharacterBrief]) -> Sequence[CharacterBrief]:
        first = batch * BATCH
        count = min(BATCH, self._request.users_count - first)
        key = batch_key(first)
        if not self._selection.makes(TaskType.GENERATE_CHARACTER_BATCH, key):
            briefs = await self._materialized.briefs(first, count)
            for place, brief in enumerate(briefs):
                if self._selection.makes(TaskType.GENERATE_CHARACTER_BATCH, brief.key):
                    there = {**known, **{first + other: theirs for other, theirs in enumerate(briefs)}}
                    briefs[place] = await self._another_self(await self._before.concept_of(brief, there))
            return briefs
        parameters = CharacterBatchParameters(key=key, first=first, count=count)
        made = await self._journal.perform(
            self._after_briefs, generate_character_batch, parameters, self._request, self._world, roster
        )
        return made.briefs

    async def _another_self(self, former: Former) -> CharacterBrief:
        """Another concept under the same name."""
        key = former.brief.key
        parameters = CharacterBatchParameters(key=key, first=character_index(key), count=1)
        made = await self._journal.perform(
            self._after_briefs, generate_character_batch, parameters, self._request, self._world, Roster(), former
        )
        return made.briefs[0]

    async def _person(self, brief: CharacterBrief, acquaintances: Sequence[Acquaintance]) -> None:
        """Everything of one character: the person, then the avatar beside the posts."""
        try:
            character = await self._character(brief, acquaintances)
            async with asyncio.TaskGroup() as group:
                if self._selection.makes(TaskType.GENERATE_CHARACTER_AVATAR, brief.key):
                    group.create_task(self._avatar(character), name=f"{brief.key}:avatar")
                elif there := await self._materialized.one_if_there("character_avatars", CharacterAvatar, brief.key):
                    self._avatars[brief.key] = there.avatar.url
                if self._selection.types & _POSTS and brief.posts_count:
                    group.create_task(self._story(character, acquaintances), name=f"{brief.key}:story")
        except (TaskFailedError, ItemMissingError) as error:
            logger.warning("%s; what hangs on it is not made", error)
        finally:
            self._avatars.pop(brief.key, None)
            self._open.release()

    async def _character(self, brief: CharacterBrief, acquaintances: Sequence[Acquaintance]) -> Character:
        if not self._selection.makes(TaskType.GENERATE_CHARACTER, brief.key):
            return await self._materialized.one("characters", Character, brief.key)
        former, character_id = await self._before.self_of(brief)
        return await self._journal.perform(
            self._after_character,
            generate_character,
            TaskParameters(key=brief.key),
            self._request,
            self._world,
            brief,
            acquaintances,
            former,
            await self._before.told_by(former, acquaintances) if former is not None else (),
            character_id,
        )

    async def _avatar(self, character: Character) -> None:
        try:
            made = await self._journal.perform(
                None, generate_character_avatar, TaskParameters(key=character.key), self._request, self._world, character
            )
            self._avatars[character.key] = made.avatar.url
        except TaskFailedError as error:
            logger.warning("%s; the character stays without an avatar", error)

    async def _story(self, character: Character, acquaintances: Sequence[Acquaintance]) -> None:
        """The character's posts: ideas ten at a time in one dialog, each post as soon as its idea is there."""
        ideas = Ideas()
        open_batches = asyncio.Semaphore(OPEN_BATCHES)
        async with asyncio.TaskGroup() as group:
            for first in range(0, character.posts_count, BATCH):
                await open_batches.acquire()
                try:
                    batch = await self._ideas(character, acquaintances, first, ideas)
                except (TaskFailedError, ItemMissingError) as error:
                    logger.warning("%s; these posts are not made", error)
                    open_batches.release()
                    continue
                ideas.add(*batch)
                group.create_task(self._posts(character, acquaintances, batch, ideas.latest, open_batches))

    async def _ideas(
        self, character: Character, acquaintances: Sequence[Acquaintance], first: int, earlier: Ideas
    ) -> Sequence[PostBrief]:
        count = min(BATCH, character.posts_count - first)
        key = f"{character.key}-b{first // BATCH:03d}"
        if not self._selection.makes(TaskType.GENERATE_POST_BATCH, character.key):
            keys = [post_key(character.key, index) for index in range(first, first + count)]
            return [await self._materialized.one("post_briefs", PostBrief, post) for post in keys]
        made = await self._journal.perform(
            self._after_ideas,
            generate_post_batch,
            PostBatchParameters(key=key, first=first, count=count),
            self._request,
            self._world,
            character,
            acquaintances,
            earlier,
        )
        return made.briefs

    async def _posts(
        self,
        character: Character,
        acquaintances: Sequence[Acquaintance],
        batch: Sequence[PostBrief],
        told: Sequence[PostBrief],
        open_batches: asyncio.Semaphore,
    ) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for idea in batch:
                    group.create_task(self._post(character, acquaintances, idea, told), name=idea.key)
        finally:
            open_batches.release()

    async def _post(
        self, character: Character, acquaintances: Sequence[Acquaintance], idea: PostBrief, told: Sequence[PostBrief]
    ) -> None:
        parameters = TaskParameters(key=idea.key)
        makes_image = self._selection.makes(TaskType.GENERATE_POST_IMAGE, idea.key)
        try:
            if self._selection.makes(TaskType.GENERATE_POST, idea.key):
                post = await self._journal.perform(
                    self._after_post,
                    generate_post,
                    parameters,
                    self._request,
                    self._world,
                    character,
                    idea,
                    acquaintances,
                    told,
                    former=await self._before.unwanted_text(idea),
                )
            elif makes_image:
                post = await self._materialized.one("posts", Post, idea.key)
            else:
                return
            if makes_image:
                await self._journal.perform(
                    partial(self._after_image, character, post),
                    generate_post_image,
                    parameters,
                    self._request,
                    self._world,
                    character,
                    post,
                )
        except (TaskFailedError, ItemMissingError) as error:
            logger.warning("%s", error)

    def _after_briefs(self, made: CharacterBriefs) -> Iterable[TaskSpec]:
        return self._selected(TaskType.GENERATE_CHARACTER, [brief.key for brief in made.briefs])

    def _after_character(self, made: Character) -> Iterable[TaskSpec | LiveEvent]:
        yield character_created(made)
        yield from self._selected(TaskType.GENERATE_CHARACTER_AVATAR, [made.key])
        if self._selection.makes(TaskType.GENERATE_POST_BATCH, made.key):
            for first in range(0, made.posts_count, BATCH):
                count = min(BATCH, made.posts_count - first)
                parameters = PostBatchParameters(key=f"{made.key}-b{first // BATCH:03d}", first=first, count=count)
                yield TaskSpec(TaskType.GENERATE_POST_BATCH, parameters)

    def _after_ideas(self, made: PostBriefs) -> Iterable[TaskSpec]:
        return self._selected(TaskType.GENERATE_POST, [brief.key for brief in made.briefs])

    def _after_post(self, made: Post) -> Iterable[TaskSpec]:
        return self._selected(TaskType.GENERATE_POST_IMAGE, [made.key])

    def _after_image(self, character: Character, post: Post, made: PostImage) -> Iterable[LiveEvent]:
        yield post_published(character, post, made, self._avatars.get(character.key))

    def _selected(self, task_type: TaskType, keys: Iterable[str]) -> Iterable[TaskSpec]:
        return [TaskSpec(task_type, TaskParameters(key=key)) for key in keys if self._selection.makes(task_type, key)]
