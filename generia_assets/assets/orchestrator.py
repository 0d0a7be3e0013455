"""The conductor: the order of work inside a world, along its timeline.

Here: which posts are open at once, what each of them waits for, and the gate between painting and publishing, on one event loop.
Posts are opened in the order of the timeline and published in it; between the two each is made as fast as what it needs. What a run
does not make is loaded from what was materialized before. Not here: people and their plans (people.py), how one task is done
(tasks/), how it survives (durable/), whose calls go first (priorities.py), and what Dagster sees (content.py).

Nothing can wait for ever. A post needs, beside calls, only what belongs to its own or an earlier place: its person and plan, ideas
and one text of earlier posts, and the publication of every earlier post. An earlier place has been opened before, is worked on by a
coroutine of its own, and is settled even when it fails. Who waits for the order of publication holds neither a place among the open
posts nor one among the journal's tasks. So the earliest place that is not settled always has all it needs.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial

from generia_assets.assets.materialized import ItemMissingError, Materialized
from generia_assets.assets.people import CharacterPool
from generia_assets.assets.priorities import Priorities
from generia_assets.assets.publication import PostponedError, PublicationOrder
from generia_assets.assets.selection import Selection
from generia_assets.catalog import TaskType
from generia_assets.content import social
from generia_assets.content.documents import WORLD_KEY, Post, PostImage, WorldDescription, WorldRequest, character_key, post_key
from generia_assets.content.heard import heard_before
from generia_assets.content.shares import BATCH
from generia_assets.content.timeline import timeline
from generia_assets.durable.events.events import LiveEvent, post_published
from generia_assets.durable.orders.workload import batch_key
from generia_assets.durable.tasks.runner import TaskFailedError, TaskRunner, TaskSlot, TaskSpec
from generia_assets.tasks.generate_character_avatar import generate_character_avatar
from generia_assets.tasks.generate_post import generate_post
from generia_assets.tasks.generate_post_image import generate_post_image
from generia_assets.tasks.generate_world_image import generate_world_image
from generia_assets.tasks.task_definition import TaskParameters

logger = logging.getLogger(__name__)

OPEN_POSTS = 80
"""Posts at work at once, until they are painted: enough to keep fifteen calls in flight while some wait for others."""
OPEN_PEOPLE = 40
"""People who join at once, until their picture is painted."""
FIRST_PEOPLE = 8
"""The same until the first post is out: half of the calls stay free for what it needs."""


class WorldOrchestrator:
    """Makes a world's content. ``run`` returns when all of it has been made, or has failed for good and is counted."""

    def __init__(
        self, journal: TaskRunner, materialized: Materialized, selection: Selection, request: WorldRequest, world: WorldDescription
    ) -> None:
        self._journal = journal
        self._materialized = materialized
        self._selection = selection
        self._request = request
        self._world = world
        self._line = timeline(request.seed, request.users_count, request.posts_count)
        self._order = PublicationOrder(len(self._line))
        self._open_posts = asyncio.Semaphore(OPEN_POSTS)
        self._open_people = asyncio.Semaphore(FIRST_PEOPLE)
        self._texts: dict[int, asyncio.Future[Post | None]] = {}
        """The texts of the open posts, for their replies."""

    async def run(self) -> None:
        """Make everything selected. Raises what stops a whole world (as an exception group)."""
        self._journal.priority_of = Priorities(self._request)
        async with asyncio.TaskGroup() as group:
            self._people = CharacterPool(group, self._journal, self._materialized, self._selection, self._request, self._world)
            if self._selection.makes(TaskType.GENERATE_WORLD_IMAGE, WORLD_KEY):
                group.create_task(self._world_images(), name="world_images")
            group.create_task(self._open(group), name="timeline")
            group.create_task(self._open_more_people(), name="first_post")
            group.create_task(self._publish_postponed(), name="postponed")

    async def _world_images(self) -> None:
        await self._journal.execute(None, generate_world_image, TaskParameters(key=WORLD_KEY), self._request, self._world)

    async def _open(self, group: asyncio.TaskGroup) -> None:
        """Open people and posts in the order of the timeline, as there is room."""
        joining = deque(sorted(range(self._request.users_count), key=self._line.joined))
        for t in range(len(self._line)):
            while joining and self._line.joined(joining[0]) <= t:
                await self._open_person(group, joining.popleft())
            if not self._makes_of(t):
                self._order.settle(t)
                continue
            await self._open_posts.acquire()
            self._texts[t] = asyncio.get_running_loop().create_future()
            group.create_task(self._post(t), name=self._key(t))
        for index in joining:
            await self._open_person(group, index)

    async def _open_more_people(self) -> None:
        await self._order.first_settled.wait()
        for _ in range(OPEN_PEOPLE - FIRST_PEOPLE):
            self._open_people.release()

    async def _open_person(self, group: asyncio.TaskGroup, index: int) -> None:
        key = character_key(index)
        makes_person = any(map(partial(self._makes, key=key), (TaskType.GENERATE_CHARACTER, TaskType.GENERATE_CHARACTER_AVATAR)))
        if makes_person or any(self._makes(TaskType.GENERATE_CHARACTER_BATCH, made) for made in (batch_key(index), key)):
            await self._open_people.acquire()
            group.create_task(self._join(index, makes_person=makes_person), name=key)

    async def _join(self, index: int, *, makes_person: bool) -> None:
        """Make the person, whether they post or not, and their picture; or no more than the concept."""
        try:
            if not makes_person:
                await self._people.batch(social.batch_of(index))
                return
            person = await self._people.person(index)
            if person is None or not self._makes(TaskType.GENERATE_CHARACTER_AVATAR, person.character.key):
                return
            parameters = TaskParameters(key=person.character.key)
            made = await self._journal.execute(
                None, generate_character_avatar, parameters, self._request, self._world, person.character
            )
            self._people.show_avatar(index, made)
        except TaskFailedError as error:
            logger.warning("%s; the character stays without an avatar", error)
        finally:
            self._open_people.release()

    async def _post(self, t: int) -> None:
        """Write, paint and publish the post at this place, or settle that it will not come."""
        with ExitStack() as making:
            making.callback(self._open_posts.release)
            try:
                post = await self._written(t)
            except (TaskFailedError, ItemMissingError) as error:
                logger.warning("%s", error)
                post = None
            self._texts.pop(t).set_result(post)
            if post is None or not self._makes(TaskType.GENERATE_POST_IMAGE, post.key):
                self._order.settle(t)
            else:
                await self._publish(t, post, making.close)

    async def _written(self, t: int) -> Post | None:
        """The post at this place; None where nothing more is to be made of it."""
        index, order, key = self._line.people[t], self._line.orders[t], self._key(t)
        person, makes_post = await self._people.person(index), self._makes(TaskType.GENERATE_POST, key)
        if person is None:
            return None
        if not makes_post and self._makes(TaskType.GENERATE_POST_IMAGE, key):
            return await self._materialized.one("posts", Post, key)
        number = order // BATCH
        story = [*(await self._people.plan(index, number - 1) if number else ()), *await self._people.plan(index, number)]
        idea = next((idea for idea in story if idea.order == order), None)
        if not makes_post or idea is None:
            return None
        earlier = heard_before(self._request.seed, self._request.users_count, self._request.posts_count, t)
        heard = [await self._people.idea(other) for other in earlier]
        return await self._journal.execute(
            self._after_post,
            generate_post,
            TaskParameters(key=key),
            self._request,
            self._world,
            person.character,
            idea,
            person.acquaintances,
            story,
            replied_to=await self._text(self._line.replies[t]) if idea.in_reply_to else None,
            heard=[idea for idea in heard if idea is not None],
            former=await self._people.before.unwanted_text(idea),
        )

    async def _text(self, t: int) -> Post | None:
        """The post at this place, as soon as it is written; None where it will not be."""
        if t in self._texts:
            return await self._texts[t]
        key = self._key(t)
        if self._makes(TaskType.GENERATE_POST, key):
            return await self._journal.result_of(generate_post, TaskParameters(key=key))
        return await self._materialized.one_if_there("posts", Post, key)

    async def _publish(self, t: int, post: Post, painted: Callable[[], object] = lambda: None) -> None:
        """Paint the post, call ``painted``, and publish it when it is its turn."""
        person = await self._people.person(self._line.people[t])
        if person is None:
            raise AssertionError(f"{post.key} is written without a person")

        async def turn() -> None:
            painted()
            if not self._order.has_come(t):
                await TaskSlot.wait_without(partial(self._order.turn, t))

        def after(made: PostImage) -> Iterable[LiveEvent]:
            self._order.settle(t)  # it is out: the next one need not wait until that is recorded
            yield post_published(person.character, post, made, person.avatar_url)

        parameters = TaskParameters(key=post.key)
        try:
            await self._journal.execute(
                after, generate_post_image, parameters, self._request, self._world, person.character, post, turn
            )
        except PostponedError:
            return
        except TaskFailedError as error:
            logger.warning("%s", error)
        self._order.settle(t)

    async def _publish_postponed(self) -> None:
        """Publish what was painted and let go; its steps are recorded, so that it is not painted again."""
        while (t := await self._order.next_postponed()) is not None:
            post = await self._text(t)
            if post is None:
                raise AssertionError(f"{self._key(t)} is painted and not written")
            await self._publish(t, post)

    def _makes(self, task_type: TaskType, key: str) -> bool:
        return self._selection.makes(task_type, key)

    def _makes_of(self, t: int) -> bool:
        """Whether this run makes anything of the post at this place, its idea included."""
        key, person = self._key(t), character_key(self._line.people[t])
        makes_post = self._makes(TaskType.GENERATE_POST, key) or self._makes(TaskType.GENERATE_POST_IMAGE, key)
        return makes_post or self._makes(TaskType.GENERATE_POST_BATCH, person)

    def _key(self, t: int) -> str:
        return post_key(character_key(self._line.people[t]), self._line.orders[t])

    def _after_post(self, made: Post) -> Iterable[TaskSpec]:
        return self._selection.tasks(TaskType.GENERATE_POST_IMAGE, [made.key])
