"""The order of work inside a world, along its timeline.

Here: which posts are open at once, what each of them waits for, and the order of publication, on one event loop. Posts are opened
and published in the order of the timeline; in between each is made as soon as its inputs exist. Inputs that a run does not make are
loaded from earlier materializations. A task type that the catalogue executes for each document of an asset (``AssetSpec.per``) runs
after that document's task. Not here: people and their plans (people.py), how one task is executed (tasks/), durable execution
(durable/), and Dagster's assets (content.py).

No deadlock: beside calls, a post needs only things of its own or an earlier place: its person and plan, ideas and one text of
earlier posts, and the publication of every earlier post; and the avatars of those whom its picture shows, since people never wait
for posts. An earlier place was opened before, has a coroutine of its own, and is settled (published, or given up) even when it
fails. A post that waits for its turn to publish holds neither a place among the open posts nor a task slot. So the earliest place
that is not settled can always proceed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import ExitStack
from functools import partial
from math import ceil

from generia_assets.asset_spec import AssetSpec
from generia_assets.assets.materialized import ItemMissingError
from generia_assets.assets.people import CharacterPool
from generia_assets.assets.publication import WAITING, PostponedError, Priorities, PublicationOrder
from generia_assets.assets.selection import WorldRun
from generia_assets.catalog import ASSETS, TaskType, followers_of
from generia_assets.content import social
from generia_assets.content.documents import CharacterAvatar, Document, Post, PostImage
from generia_assets.content.keys import batch_key, character_index, character_key, post_key
from generia_assets.content.shares import BATCH
from generia_assets.content.storyline import ALONE
from generia_assets.content.timeline import heard_before
from generia_assets.durable.events.events import LiveEvent, post_published
from generia_assets.durable.orders.workload import task_keys
from generia_assets.durable.tasks.claims import TaskSpec
from generia_assets.durable.tasks.runner import TaskFailedError, wait_without_slot
from generia_assets.tasks.generate_post import generate_post
from generia_assets.tasks.generate_post_image import generate_post_image
from generia_assets.tasks.task_definition import TaskParameters, task_of
from resources.cancellation import ReliableTaskGroup

logger = logging.getLogger(__name__)

OPEN_POSTS = 3
"""Posts at work at once for each call at once, until they are painted: enough to keep all calls in flight while some posts wait for
others."""
OPEN_PEOPLE = 2
"""People who join at once for each call at once, until their picture is painted."""
FIRST_PEOPLE = 0.5
"""The same until the first post is out: some calls stay free for what it needs."""


class WorldOrchestrator:
    """Makes a world's content. ``run`` returns when all of it has been made, or has failed for good and is counted."""

    def __init__(self, run: WorldRun) -> None:
        self._run = run
        self._order = PublicationOrder(len(run.line), waiting=WAITING * run.calls_at_once)
        self._open_posts = asyncio.Semaphore(OPEN_POSTS * run.calls_at_once)
        self._first_people = ceil(FIRST_PEOPLE * run.calls_at_once)
        self._open_people = asyncio.Semaphore(self._first_people)
        self._texts: dict[int, asyncio.Future[Post | None]] = {}
        """The texts of the open posts, for their replies."""
        self._opened = bytearray(run.request.users_count)
        self._avatar_ended = bytearray(run.request.users_count)
        self._avatar_waits: dict[int, asyncio.Event] = {}
        """By person: set when the avatar has been made or has failed."""

    async def run(self) -> None:
        """Make everything selected. Raises the errors that stop a whole world (as an exception group)."""
        self._run.runner.priority_of = Priorities(self._run.request, avatars_first=self._run.takes_references)
        async with ReliableTaskGroup() as group:
            self._group, self._people = group, CharacterPool(group, self._run)
            group.create_task(self._follow_all("world_description", self._run.world), name="world")
            group.create_task(self._open(), name="timeline")
            group.create_task(self._open_more_people(), name="first_post")
            group.create_task(self._publish_postponed(), name="postponed")

    async def _open(self) -> None:
        """Open people and posts in the order of the timeline, within the limits of open ones."""
        joining = deque(sorted(range(self._run.request.users_count), key=self._run.line.joined))
        for t in range(len(self._run.line)):
            while joining and self._run.line.joined(joining[0]) <= t:
                await self._open_person(joining.popleft())
            if not self._makes_of(t):
                self._order.settle(t)
                continue
            await self._open_posts.acquire()
            await self._order.backpressure()
            self._texts[t] = asyncio.get_running_loop().create_future()
            self._group.create_task(self._post(t), name=self._key(t))
        for index in joining:
            await self._open_person(index)

    async def _open_more_people(self) -> None:
        await self._order.first_settled.wait()
        for _ in range(OPEN_PEOPLE * self._run.calls_at_once - self._first_people):
            self._open_people.release()

    async def _open_person(self, index: int) -> None:
        """Let this person join: when the timeline says so, or earlier where a picture shows them."""
        if self._opened[index]:
            return
        self._opened[index] = 1
        key, makes = character_key(index), self._run.selection.makes
        makes_person = makes(TaskType.GENERATE_CHARACTER, key) or self._run.selection.follows("characters", key)
        makes_concept = any(makes(TaskType.GENERATE_CHARACTER_BATCH, made) for made in (batch_key(index), key))
        if makes_person or makes_concept or self._run.selection.follows("character_briefs", key):
            await self._open_people.acquire()
            self._group.create_task(self._join(index, makes_person=makes_person), name=key)

    async def _join(self, index: int, *, makes_person: bool) -> None:
        """Make the person, also one without posts, and each person's dependent items; or only the concept."""
        try:
            if not makes_person:
                await self._people.batch(social.batch_of(index))
            elif (person := await self._people.person(index)) is not None:
                async for made in self._follow("characters", person.character):
                    if isinstance(made, CharacterAvatar):
                        self._people.show_avatar(index, made)
                        self._avatar_has_ended(index)
            await self._follow_all("character_briefs", character_key(index))
        finally:
            self._avatar_has_ended(index)
            self._open_people.release()

    def _avatar_has_ended(self, index: int) -> None:
        self._avatar_ended[index] = 1
        if (waited := self._avatar_waits.pop(index, None)) is not None:
            waited.set()

    async def _faces(self, post: Post) -> dict[str, str]:
        """The media ids of the avatars of those whom the post's picture shows, by key, as soon as each has been made or has failed.

        A picture that replaces a refused avatar shows nobody.
        """
        faces = {}
        for key in post.pictured if self._run.takes_references else ():
            if self._run.makes(TaskType.GENERATE_CHARACTER_AVATAR, key):
                index = character_index(key)
                await self._open_person(index)
                if not self._avatar_ended[index]:
                    await self._avatar_waits.setdefault(index, asyncio.Event()).wait()
            avatar = await self._document(ASSETS["character_avatars"], key)
            if isinstance(avatar, CharacterAvatar) and not avatar.avatar.moderation:
                faces[key] = avatar.avatar.media_id
        return faces

    async def _follow(self, name: str, document: Document) -> AsyncIterator[Document]:
        """Execute the task types that follow each document of this asset, and theirs in turn; yield the results."""
        for asset in followers_of(name):
            made: Document | None = None
            if self._run.makes(asset.task_type, document.key):
                context = [] if document is self._run.world else [document]
                after = partial(self._run.selection.follow_ups, asset.name)
                try:
                    made = await self._run.execute(after, task_of(asset.task_type), TaskParameters(key=document.key), *context)
                except TaskFailedError as error:
                    if not asset.unit.of_item:
                        raise
                    logger.warning("%s; what depends on it is not made", error)
                    continue
                yield made
            elif self._run.selection.follows(asset.name, document.key):
                made = await self._document(asset, document.key)
            if made is not None:
                async for further in self._follow(asset.name, made):
                    yield further

    async def _follow_all(self, name: str, of: Document | str) -> None:
        """``_follow`` for a document, or for the one with this key, which this run or an earlier one has made."""
        key = of if isinstance(of, str) else of.key
        if self._run.selection.follows(name, key):
            document = await self._document(ASSETS[name], key) if isinstance(of, str) else of
            if document is not None:
                async for _ in self._follow(name, document):
                    pass

    async def _document(self, asset: AssetSpec, key: str) -> Document | None:
        if not self._run.makes(asset.task_type, key):
            return await self._run.materialized.one_if_there(asset.document, key)
        for task_key in task_keys(asset.unit, key):
            result = await self._run.runner.result_of(task_of(asset.task_type), TaskParameters(key=task_key))
            made = getattr(result, "briefs", ()) if asset.unit.batched else (result,)
            if found := next((one for one in made if one is not None and one.key == key), None):
                return asset.document.model_validate(found.model_dump())
        return None

    async def _post(self, t: int) -> None:
        """Write, paint and publish the post at this place; a post that fails settles its place, too."""
        with ExitStack() as making:
            making.callback(self._open_posts.release)
            try:
                post = await self._written(t)
            except (TaskFailedError, ItemMissingError) as error:
                logger.warning("%s", error)
                post = None
            self._texts.pop(t).set_result(post)
            if post is None or not self._run.makes(TaskType.GENERATE_POST_IMAGE, post.key):
                self._order.settle(t)
                await self._follow_all("post_images", self._key(t))
            else:
                await self._publish(t, post, making.close)
        for name in ("post_briefs", "posts"):
            await self._follow_all(name, self._key(t))

    async def _written(self, t: int) -> Post | None:
        """The post at this place; None where nothing more is to be made of it."""
        index, order, key = self._run.line.people[t], self._run.line.orders[t], self._key(t)
        person, makes_post = await self._people.person(index), self._run.makes(TaskType.GENERATE_POST, key)
        if person is None:
            return None
        if not makes_post and self._run.makes(TaskType.GENERATE_POST_IMAGE, key):
            return await self._run.materialized.one(Post, key)
        if not makes_post and not self._run.selection.makes_idea(key):
            return None
        number = order // BATCH
        story = [*(await self._people.plan(index, number - 1) if number else ()), *await self._people.plan(index, number)]
        idea = next((idea for idea in story if idea.order == order), None)
        if not makes_post or idea is None:
            return None
        story = [await self._run.as_posted(one) for one in story if one.order < order]
        people, posts, former = self._run.request.size
        earlier = () if idea.form in ALONE else heard_before(self._run.request.seed, people, posts, t, former)
        heard = [await self._people.idea(other) for other in earlier]
        return await self._run.execute(
            partial(self._run.selection.follow_ups, "posts", also=[TaskType.GENERATE_POST_IMAGE]),
            generate_post,
            TaskParameters(key=key),
            person.character,
            idea,
            person.acquaintances,
            story,
            replied_to=await self._text(self._run.line.replies[t]) if idea.in_reply_to else None,
            heard=[await self._run.as_posted(idea) for idea in heard if idea is not None],
            former=await self._run.text_to_replace(idea),
        )

    async def _text(self, t: int) -> Post | None:
        """The post at this place, as soon as it is written; None where it will not be."""
        if t in self._texts:
            return await self._texts[t]
        key = self._key(t)
        if self._run.makes(TaskType.GENERATE_POST, key):
            return await self._run.runner.result_of(generate_post, TaskParameters(key=key))
        return await self._run.materialized.one_if_there(Post, key)

    async def _publish(self, t: int, post: Post, painted: Callable[[], object] = lambda: None) -> None:
        """Paint the post, call ``painted``, and publish it when it is its turn."""
        person = await self._people.person(self._run.line.people[t])
        if person is None:
            raise AssertionError(f"{post.key} is written without a person")

        async def turn() -> None:
            painted()
            if not self._order.has_come(t):
                await wait_without_slot(partial(self._order.turn, t))

        def after(made: PostImage) -> Iterable[TaskSpec | LiveEvent]:
            self._order.settle(t)  # the post is published: the next one need not wait until that is recorded
            yield post_published(person.character, post, made, person.avatar_url)
            yield from self._run.selection.follow_ups("post_images", made)

        parameters, made = TaskParameters(key=post.key), None
        try:
            faces = await self._faces(post)
            made = await self._run.execute(after, generate_post_image, parameters, person.character, post, turn, faces)
        except PostponedError:
            return
        except TaskFailedError as error:
            logger.warning("%s", error)
        self._order.settle(t)
        if made is not None:
            await self._follow_all("post_images", made)

    async def _publish_postponed(self) -> None:
        """Publish posts that were painted and then postponed; their checkpoints are stored, so that they are not painted again."""
        while (t := await self._order.next_postponed()) is not None:
            self._group.create_task(self._resume(t), name=self._key(t))

    async def _resume(self, t: int) -> None:
        post = await self._text(t)
        if post is None:
            raise AssertionError(f"{self._key(t)} is painted and not written")
        await self._publish(t, post)

    def _makes_of(self, t: int) -> bool:
        """Whether this run makes anything of the post at this place, its idea included."""
        key, selection = self._key(t), self._run.selection
        assets = [ASSETS[name] for name in ("post_briefs", "posts", "post_images")]
        return selection.makes_idea(key) or any(
            selection.makes(one.task_type, key) or selection.follows(one.name, key) for one in assets
        )

    def _key(self, t: int) -> str:
        return post_key(character_key(self._run.line.people[t]), self._run.line.orders[t])
