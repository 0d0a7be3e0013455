"""The order of work along the timeline, with a task runner whose tasks take random times and some of which fail."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from generia_assets.assets import orchestrator, people
from generia_assets.assets.orchestrator import WorldOrchestrator
from generia_assets.assets.selection import Selection, WorldRun
from generia_assets.catalog import TaskType, asset_of
from generia_assets.content.documents import (
    CharacterAvatar,
    CharacterBrief,
    Media,
    Post,
    PostBrief,
    PostImage,
    WorldImages,
    WorldRequest,
)
from generia_assets.content.keys import character_index, post_key
from generia_assets.content.timeline import Timeline, heard_before, timeline
from generia_assets.durable.tasks.runner import TaskFailedError, task_slot
from generia_assets.tasks.generate_character_batch import CharacterBriefs
from generia_assets.tasks.generate_post_batch import PostBriefs
from tests.support.waiting import PATIENCE_S
from tests.support.worlds import a_brief, a_character, a_request, a_world

WORLD = a_world()
MEDIA = Media(media_id="m", url="/m", prompt="", width=1, height=1)
ITEMS = (TaskType.GENERATE_CHARACTER, TaskType.GENERATE_CHARACTER_AVATAR, TaskType.GENERATE_POST_BATCH, TaskType.GENERATE_POST)
"""Task types that fail sometimes, beside the pictures of posts."""


class NothingThere:
    """A world in which nothing is materialized."""

    async def one_if_there(self, model: Any, key: str) -> Any:
        """Nothing."""


def world_run(runner: Any, materialized: Any, selection: Selection, request: WorldRequest) -> WorldRun:
    return WorldRun(runner, materialized, selection, request, WORLD, calls_at_once=1, takes_references=runner.references)


@dataclass
class RandomRunner:
    """Executes each task in a random number of turns of the event loop, ``concurrency`` at once; tasks in ``failing`` fail."""

    request: WorldRequest
    dice: random.Random
    concurrency: asyncio.Semaphore
    failing: set[str] = field(default_factory=set)
    references: bool = False
    """Whether pictures are made from the avatars of those they show."""
    results: dict[str, Any] = field(default_factory=dict)
    known_to: dict[str, Any] = field(default_factory=dict)
    """By task, what its request contains about others."""
    performed: list[str] = field(default_factory=list)
    painted: list[str] = field(default_factory=list)
    published: list[str] = field(default_factory=list)
    twenty_painted: asyncio.Event = field(default_factory=asyncio.Event)
    at_work: int = 0
    most_at_work: int = 0
    priority_of: Any = None

    @property
    def line(self) -> Timeline:
        return timeline(self.request.seed, self.request.users_count, self.request.posts_count)

    async def result_of(self, task: Any, parameters: Any) -> Any:
        await asyncio.sleep(0)
        return self.results.get(f"{task.task_type}:{parameters.key}")

    async def execute(self, brings: Any, task: Any, parameters: Any, *context: Any, **named: Any) -> Any:
        name = f"{task.task_type}:{parameters.key}"
        assert self.priority_of(task.task_type, parameters.key) >= 0
        async with task_slot(self.concurrency):
            self.performed.append(name)
            await self.work()
            if name in self.failing:
                raise TaskFailedError(task.task_type, parameters.key, 2, "diced")
            result = await getattr(self, task.task_type.value)(parameters, *context, **named)
            list(() if brings is None else brings(result))
            self.results[name] = result
            await asyncio.sleep(0)  # recorded
            return result

    async def work(self) -> None:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        for _ in range(self.dice.randrange(1, 40)):
            await asyncio.sleep(0)
        self.at_work -= 1

    async def generate_world_image(self, *_: object) -> WorldImages:
        return WorldImages(header=MEDIA, icon=MEDIA)

    async def generate_character_batch(self, parameters: Any, _request: object, _world: object, characters: Any) -> CharacterBriefs:
        self.known_to[parameters.key] = characters.count
        return CharacterBriefs(briefs=tuple(a_brief(parameters.first + place, self.request) for place in range(parameters.count)))

    async def generate_character(self, parameters: Any, _r: object, _w: object, brief: Any, acquaintances: Any, *_: object) -> Any:
        self.known_to[parameters.key] = [other.key for other in acquaintances]
        return a_character(character_index(brief.key), self.request)

    async def generate_character_avatar(self, parameters: Any, _r: object, _w: object, character: Any) -> CharacterAvatar:
        return CharacterAvatar(key=parameters.key, username=character.username, character_id="", avatar=MEDIA)

    async def generate_post_batch(
        self, parameters: Any, _r: object, _w: object, character: Any, _k: object, ideas: Any
    ) -> PostBriefs:
        self.known_to[parameters.key] = ideas.count
        return PostBriefs(briefs=tuple(self.idea(character, parameters.first + place) for place in range(parameters.count)))

    def idea(self, character: Any, order: int) -> PostBrief:
        t = self.line.t_of(character_index(character.key), order)
        replied = self.line.replies[t]
        return PostBrief(
            key=post_key(character.key, order),
            character=character.key,
            username=character.username,
            order=order,
            moment="",
            idea=f"idea {t}",
            form="",
            t=t,
            in_reply_to=self.key(replied) if replied >= 0 else "",
        )

    def key(self, t: int) -> str:
        return post_key(f"c{self.line.people[t]:04d}", self.line.orders[t])

    async def generate_post(
        self,
        parameters: Any,
        _r: object,
        _w: object,
        character: Any,
        idea: Any,
        _k: object,
        story: Any,
        *,
        replied_to: Any,
        heard: Any,
        former: str,
    ) -> Post:
        assert not former
        self.known_to[parameters.key] = (
            [earlier.order for earlier in story if earlier.order < idea.order][-3:],
            replied_to and replied_to.key,
            [earlier.t for earlier in heard],
        )
        words = dict.fromkeys(("username", "image_prompt", "image_style", "mood", "context", "location", "time_of_day"), "")
        given = {"key": idea.key, "character": idea.character, "character_id": "", "order": idea.order, "moment": "", "t": idea.t}
        anybody = f"c{(idea.t * 7 + 3) % self.request.users_count:04d}"  # also a person who joins later
        given["pictured"] = tuple(dict.fromkeys((character.key, anybody)))
        return Post.model_validate({**words, **given, "content": f"text {idea.t}", "hashtags": (), "mentions": ()})

    def face_of(self, person: str) -> bool:
        """Whether this person will get an avatar."""
        made_by = (TaskType.GENERATE_CHARACTER, TaskType.GENERATE_CHARACTER_AVATAR)
        return not self.failing.intersection(f"{task_type}:{person}" for task_type in made_by)

    async def generate_post_image(
        self, parameters: Any, _r: object, _w: object, _c: object, post: Post, turn: Any, faces: dict[str, str]
    ) -> PostImage:
        assert faces == {person: MEDIA.media_id for person in post.pictured if self.references and self.face_of(person)}
        if parameters.key not in self.painted:  # a recorded step
            await self.work()
            self.painted.append(parameters.key)
            if len(self.painted) == 20:
                self.twenty_painted.set()
        await turn()
        await self.work()
        self.published.append(parameters.key)
        return PostImage(
            key=parameters.key, character=post.character, character_id="", post_id="", image=MEDIA, published_at=datetime.now(UTC)
        )


def some_failing(request: WorldRequest, dice: random.Random, share: float) -> set[str]:
    """Random tasks of items, which will fail."""
    line = timeline(request.seed, request.users_count, request.posts_count)
    people = [f"c{index:04d}" for index in range(request.users_count)]
    posts = [post_key(f"c{line.people[t]:04d}", line.orders[t]) for t in range(len(line))]
    plans = [f"{person}-b{number:03d}" for person in people for number in range(3)]
    named = {TaskType.GENERATE_CHARACTER: people, TaskType.GENERATE_CHARACTER_AVATAR: people, TaskType.GENERATE_POST_BATCH: plans}
    named |= {TaskType.GENERATE_POST: posts, TaskType.GENERATE_POST_IMAGE: posts}
    return {f"{task_type}:{key}" for task_type, keys in named.items() for key in keys if dice.random() < share}


async def made(
    request: WorldRequest,
    seed: int,
    failing: set[str],
    *,
    concurrency: int = 100,
    selection: Selection | None = None,
    references: bool = False,
) -> RandomRunner:
    """The world, made by a WorldOrchestrator whose tasks take random times; it must end."""
    runner = RandomRunner(request, random.Random(seed), asyncio.Semaphore(concurrency), failing, references)
    selection = selection or Selection(frozenset(TaskType))
    async with asyncio.timeout(PATIENCE_S):
        await WorldOrchestrator(world_run(runner, NothingThere(), selection, request)).run()
    return runner


def will_come(runner: RandomRunner, t: int) -> bool:
    """Whether the post at this place depends on no failing task."""
    person, order = f"c{runner.line.people[t]:04d}", runner.line.orders[t]
    key = post_key(person, order)
    needed: Iterable[str] = (
        f"{TaskType.GENERATE_CHARACTER}:{person}",
        f"{TaskType.GENERATE_POST_BATCH}:{person}-b{order // 10:03d}",
        f"{TaskType.GENERATE_POST}:{key}",
        f"{TaskType.GENERATE_POST_IMAGE}:{key}",
    )
    return not runner.failing.intersection(needed)


def small_worlds(count: int) -> Iterable[tuple[int, WorldRequest, random.Random]]:
    """Requests of random small worlds: from one person without posts upwards, with people of one post and of thirty."""
    for seed in range(count):
        dice = random.Random(seed)
        yield seed, a_request(users=dice.choice((1, 2, 3, 5, 12, 23)), posts=dice.choice((0, 1, 3, 8, 20, 45)), seed=seed), dice


@pytest.mark.parametrize("references", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.15])
@pytest.mark.parametrize(
    ("open_posts", "waiting", "concurrency", "kept", "packed"),
    [(80, 100, 100, 300, 0), (1, 0, 1, 10, 0), (3, 2, 2, 10, 5), (10, 3, 5, 20, 100)],
)
async def test_posts_are_published_in_the_order_of_the_timeline_whichever_task_finishes_first(
    monkeypatch: pytest.MonkeyPatch,
    references: bool,
    share: float,
    open_posts: int,
    waiting: int,
    concurrency: int,
    kept: int,
    packed: int,
) -> None:
    """In random worlds with random times and failures, every post that can be made is published once, in order, within every bound.
    Nothing waits for ever, however low the limits of concurrent, waiting and remembered tasks are. With reference pictures each
    picture gets the avatars of the people in it, except failed ones.
    """
    monkeypatch.setattr(orchestrator, "OPEN_POSTS", open_posts)
    monkeypatch.setattr(people, "KEPT_PEOPLE", kept)
    monkeypatch.setattr(people, "PACKED_PEOPLE", packed)
    monkeypatch.setattr(orchestrator, "WAITING", waiting)
    for seed, request, dice in small_worlds(25):
        runner = await made(request, seed, some_failing(request, dice, share), concurrency=concurrency, references=references)
        wanted = [runner.key(t) for t in range(request.posts_count) if will_come(runner, t)]
        assert runner.published == wanted
        assert len(runner.painted) == len(set(runner.painted))
        assert runner.most_at_work <= concurrency
        again = [name for name in runner.performed if runner.performed.count(name) > 1]
        assert all(name.startswith(f"{TaskType.GENERATE_POST_IMAGE}:") for name in again), "nothing else is done twice"
        assert sum(name.startswith(f"{TaskType.GENERATE_CHARACTER}:") for name in runner.performed) == request.users_count


async def test_requests_do_not_depend_on_which_task_finishes_first() -> None:
    """The same world with other random times makes the same requests, so that recorded answers still fit after a restart."""
    for seed, request, dice in small_worlds(25):
        failing = some_failing(request, dice, 0.1)
        runners = [await made(request, seed * 7 + number, failing, concurrency=100) for number in range(2)]
        assert runners[0].known_to == runners[1].known_to
        line, known_to = runners[0].line, runners[0].known_to
        for t in range(request.posts_count):
            if (found := known_to.get(runners[0].key(t))) is None:
                continue
            _, replied_to, heard = found
            assert replied_to is None or replied_to == runners[0].key(line.replies[t])
            assert set(heard) <= set(heard_before(request.seed, request.users_count, request.posts_count, t))


async def test_a_reply_to_a_post_that_failed_is_an_ordinary_post() -> None:
    """It is written without the other text as soon as that post has failed, and published at its own place."""
    request = a_request(users=12, posts=45)
    line = timeline(request.seed, 12, 45)
    reply = next(t for t in range(45) if line.replies[t] >= 0)
    other = post_key(f"c{line.people[line.replies[reply]]:04d}", line.orders[line.replies[reply]])
    quoted = {}
    for failing in (set[str](), {f"{TaskType.GENERATE_POST}:{other}"}):
        runner = await made(request, 1, failing)
        assert runner.key(reply) in runner.published
        quoted[bool(failing)] = runner.known_to[runner.key(reply)][1]
    assert quoted == {False: other, True: None}


@pytest.mark.parametrize("stopped_by", [RuntimeError("budget"), asyncio.CancelledError()])
async def test_an_error_that_stops_the_world_ends_all_waiting_tasks(
    monkeypatch: pytest.MonkeyPatch, stopped_by: BaseException
) -> None:
    """A hanging post occupies only its own place among the open posts: the others are painted and wait. An error that then stops
    the world ends them all, and nothing is published after it.
    """
    monkeypatch.setattr(orchestrator, "OPEN_POSTS", 4)
    request = a_request(users=12, posts=45)
    runner = RandomRunner(request, random.Random(1), asyncio.Semaphore(100))
    hold = asyncio.Event()
    original = runner.generate_post

    async def generate_post(parameters: Any, *context: Any, **named: Any) -> Post:
        if parameters.key == runner.key(5):
            await hold.wait()
            raise stopped_by
        return await original(parameters, *context, **named)

    runner.generate_post = generate_post  # type: ignore[method-assign]
    working = asyncio.create_task(
        WorldOrchestrator(world_run(runner, NothingThere(), Selection(frozenset(TaskType)), request)).run()
    )
    async with asyncio.timeout(PATIENCE_S):
        await runner.twenty_painted.wait()
        published = list(runner.published)
        assert published == [runner.key(t) for t in range(len(published))]
        assert len(published) <= 5
        hold.set()
        if isinstance(stopped_by, asyncio.CancelledError):
            working.cancel()
        with pytest.raises((ExceptionGroup, asyncio.CancelledError)):
            await working
    assert runner.published == published
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_run_over_some_items_waits_for_no_other_item() -> None:
    """One person's posts are made in their order, without waiting for posts of others."""
    request = a_request(users=12, posts=45)
    whole = await made(request, 1, set())
    line = whole.line
    person = max(range(12), key=line.count_of)

    class There(NothingThere):
        """A world in which everything is materialized."""

        async def one_if_there(self, *asked: Any) -> Any:
            model, key = asked
            return whole.results.get(f"{asset_of(model).task_type}:{key}")

        async def one(self, model: Any, key: str) -> Any:
            if model is CharacterBrief:
                index = int(key[1:])
                return whole.results[f"{TaskType.GENERATE_CHARACTER_BATCH}:b{index // 10:03d}"].briefs[index % 10]
            return await self.one_if_there(model, key)

    key = f"c{person:04d}"
    runner = RandomRunner(request, random.Random(2), asyncio.Semaphore(100))
    posts = frozenset({TaskType.GENERATE_POST_BATCH, TaskType.GENERATE_POST, TaskType.GENERATE_POST_IMAGE})
    async with asyncio.timeout(PATIENCE_S):
        await WorldOrchestrator(world_run(runner, There(), Selection(posts, frozenset({key})), request)).run()
    assert runner.published == [whole.key(t) for t in range(45) if line.people[t] == person]
    replied = {whole.key(t): whole.key(line.replies[t]) for t in range(45) if line.people[t] == person and line.replies[t] >= 0}
    assert {post: runner.known_to[post][1] for post in replied} == replied
