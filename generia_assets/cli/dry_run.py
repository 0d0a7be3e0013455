"""A dry run: every request of a small world in the order of work, made by the real tasks, without a call and without a server.

Here: the order of work as a plain loop, and the tools that the tasks are handed. Not here: where answers come from and what becomes
of the requests (prompts.py), and the order of work of real worlds (assets/conductor.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import ParamSpec, TypeVar

from pydantic import BaseModel, ValidationError

from generia_assets.content import social
from generia_assets.content.documents import (
    WORLD_KEY,
    Acquaintance,
    Character,
    CharacterBrief,
    Media,
    Post,
    PostBrief,
    Quality,
    WorldDescription,
    WorldRequest,
    character_index,
    character_key,
    post_key,
)
from generia_assets.content.heard import heard_before
from generia_assets.content.ideas import Ideas
from generia_assets.content.names import Roster
from generia_assets.content.prompt import Prompt
from generia_assets.content.shares import BATCH
from generia_assets.content.timeline import timeline
from generia_assets.tasks.generate_character import generate_character
from generia_assets.tasks.generate_character_avatar import generate_character_avatar
from generia_assets.tasks.generate_character_batch import CharacterBatchParameters, generate_character_batch
from generia_assets.tasks.generate_post import generate_post
from generia_assets.tasks.generate_post_batch import PostBatchParameters, generate_post_batch
from generia_assets.tasks.generate_post_image import generate_post_image
from generia_assets.tasks.generate_world_description import generate_world_description
from generia_assets.tasks.generate_world_image import generate_world_image
from generia_assets.tasks.kinds import DurableTask, TaskParameters, TaskType
from generia_assets.tasks.tools import DraftT, NewCharacter, NewPost, Picture, Tools
from resources.gemini_answers import explain_invalid

ParametersT = TypeVar("ParametersT", bound=TaskParameters)
ResultT = TypeVar("ResultT", bound=BaseModel)
Context = ParamSpec("Context")


@dataclass(frozen=True)
class Asked:
    """One request. ``number``: the place of its task in the order of work, from 1; ``name``: its type and whom or what it is for.

    ``answer`` is None where there is none, or none that can be used: then ``wrong`` says why, and ``prompt`` complains of it.
    """

    number: int
    name: str
    prompt: Prompt
    answer: BaseModel | None
    wrong: str = ""


class Answers:
    """Where the answers come from."""

    def to(self, name: str, prompt: Prompt, draft: type[DraftT]) -> DraftT | None:
        """The answer to this request, or None. Raises ``ValidationError`` for one that does not fit the draft."""
        raise NotImplementedError


async def _at_once() -> None:
    """The turn to publish, where nothing is published."""


class _UnansweredError(Exception):
    """A task's request has no answer that can be used."""


class DryRun:
    """Makes the requests of a world. ``run`` goes as far as there are answers, and tells ``found`` of each request."""

    def __init__(self, request: WorldRequest, answers: Answers, found: Callable[[Asked], None]) -> None:
        self._request = request
        self._answers = answers
        self._found = found
        self._timeline = timeline(request.seed, request.users_count, request.posts_count)
        self._world: WorldDescription | None = None
        self._roster = Roster()
        self._briefs: dict[int, CharacterBrief] = {}
        self._characters: dict[int, Character] = {}
        self._ideas: defaultdict[int, Ideas] = defaultdict(Ideas)
        self._plans: dict[str, PostBrief] = {}
        self._posts: dict[str, Post] = {}

    async def run(self) -> None:
        """Do every task whose context is there."""
        for number, (task_type, index, order) in enumerate(order_of_work(self._request), 1):
            await self._task(number, task_type, index, order)

    async def _task(self, number: int, task_type: TaskType, index: int, order: int) -> None:
        request, world, parameters = self._request, self._world, TaskParameters(key=WORLD_KEY)
        if task_type is TaskType.GENERATE_WORLD_DESCRIPTION:
            self._world = await self._do(number, "", generate_world_description, parameters, request)
        elif world is None:
            return
        elif task_type is TaskType.GENERATE_WORLD_IMAGE:
            await self._do(number, "", generate_world_image, parameters, request, world)
        elif task_type is TaskType.GENERATE_CHARACTER_BATCH:
            await self._people(number, world, index)
        else:
            await self._of_person(number, world, task_type, index, order)

    async def _people(self, number: int, world: WorldDescription, batch: int) -> None:
        first = batch * BATCH
        if self._roster.count < first:
            return
        count = min(BATCH, self._request.users_count - first)
        parameters = CharacterBatchParameters(key=f"b{batch:03d}", first=first, count=count)
        made = await self._do(number, f".{batch}", generate_character_batch, parameters, self._request, world, self._roster)
        if made is not None:
            self._roster.add(*made.briefs)
            self._briefs |= dict(enumerate(made.briefs, first))

    async def _of_person(self, number: int, world: WorldDescription, task_type: TaskType, index: int, order: int) -> None:
        request = self._request
        last_needed = social.ready_after(request.seed, request.users_count, index) * BATCH
        if index not in self._briefs or last_needed not in self._briefs:
            return
        brief = self._briefs[index]
        place, parameters = f".@{brief.username}", TaskParameters(key=brief.key)
        known = social.introduce(request, world, index, self._briefs)
        if task_type is TaskType.GENERATE_CHARACTER:
            made = await self._do(number, place, generate_character, parameters, request, world, brief, known)
            if made is not None:
                self._characters[index] = made
            return
        if (character := self._characters.get(index)) is None:
            return
        if task_type is TaskType.GENERATE_CHARACTER_AVATAR:
            await self._do(number, place, generate_character_avatar, parameters, request, world, character)
        elif task_type is TaskType.GENERATE_POST_BATCH:
            await self._plan(number, place, world, character, known, order)
        else:
            await self._post(number, f"{place}.{order + 1}", world, task_type, character, known, order)

    async def _plan(
        self, number: int, place: str, world: WorldDescription, character: Character, known: tuple[Acquaintance, ...], batch: int
    ) -> None:
        earlier, first = self._ideas[character_index(character.key)], batch * BATCH
        if earlier.count < first:
            return
        count = min(BATCH, character.posts_count - first)
        parameters = PostBatchParameters(key=f"{character.key}-b{batch:03d}", first=first, count=count)
        named = f"{place}.{batch}"
        made = await self._do(number, named, generate_post_batch, parameters, self._request, world, character, known, earlier)
        if made is not None:
            earlier.add(*made.briefs)
            self._plans |= {brief.key: brief for brief in made.briefs}

    async def _post(
        self,
        number: int,
        place: str,
        world: WorldDescription,
        task_type: TaskType,
        character: Character,
        known: tuple[Acquaintance, ...],
        order: int,
    ) -> None:
        key = post_key(character.key, order)
        parameters = TaskParameters(key=key)
        if task_type is TaskType.GENERATE_POST_IMAGE:
            if key in self._posts:
                post = self._posts[key]
                await self._do(number, place, generate_post_image, parameters, self._request, world, character, post, _at_once)
            return
        brief, heard = self._plans.get(key), self._heard(character, order)
        replied_to = self._posts.get(brief.in_reply_to) if brief is not None else None
        if brief is None or heard is None or (brief.in_reply_to and replied_to is None):
            return
        story = self._ideas[character_index(character.key)].latest
        made = await self._do(
            number, place, generate_post, parameters, self._request, world, character, brief, known, story, replied_to, heard
        )
        if made is not None:
            self._posts[key] = made

    def _heard(self, character: Character, order: int) -> list[PostBrief] | None:
        """The ideas of acquaintances' earlier posts that a post is told; None where one of them is not there yet."""
        line, index = self._timeline, character_index(character.key)
        t = line.t_of(index, order)
        told = heard_before(self._request.seed, self._request.users_count, self._request.posts_count, t)
        ideas = [self._plans.get(post_key(character_key(line.people[place]), line.orders[place])) for place in told]
        return [idea for idea in ideas if idea is not None] if all(ideas) else None

    async def _do(
        self,
        number: int,
        place: str,
        task: DurableTask[ParametersT, Context, ResultT],
        parameters: ParametersT,
        *context: Context.args,
        **named: Context.kwargs,
    ) -> ResultT | None:
        """The task's result; None where one of its requests has no answer."""
        tools = Tools(_Writer(number, place, self._answers, self._found), _Painter(), _Publisher())
        try:
            return await task(parameters, tools, *context, **named)
        except _UnansweredError:
            return None


def order_of_work(request: WorldRequest) -> Iterator[tuple[TaskType, int, int]]:
    """The tasks of a world that ask the model: the world, its people, then the posts in the order of the timeline.

    Each with the index of its person (of people: of their batch), and the order of its post (of ideas: of their batch).
    """
    refined = request.quality is Quality.HIGH
    yield TaskType.GENERATE_WORLD_DESCRIPTION, 0, 0
    yield TaskType.GENERATE_WORLD_IMAGE, 0, 0
    for batch in range(ceil(request.users_count / BATCH)):
        yield TaskType.GENERATE_CHARACTER_BATCH, batch, 0
    for index in range(request.users_count):
        yield TaskType.GENERATE_CHARACTER, index, 0
        if refined:
            yield TaskType.GENERATE_CHARACTER_AVATAR, index, 0
    line = timeline(request.seed, request.users_count, request.posts_count)
    for index, order in zip(line.people, line.orders, strict=True):
        if order % BATCH == 0:
            yield TaskType.GENERATE_POST_BATCH, index, order // BATCH
        yield TaskType.GENERATE_POST, index, order
        if refined:
            yield TaskType.GENERATE_POST_IMAGE, index, order


class _Writer:
    """See ``tasks.tools.Writer``. A task has one answer to each of its requests: to ask again is to find it unfit."""

    def __init__(self, number: int, place: str, answers: Answers, found: Callable[[Asked], None]) -> None:
        self._number = number
        self._place = place
        self._answers = answers
        self._found = found
        self._answered: set[str] = set()

    async def write(self, prompt: Prompt, draft: type[DraftT], *, once: bool = False) -> DraftT:
        """The answer there is."""
        del once
        name = f"{prompt.request_type}{self._place}"
        answer, wrong = None, ""
        if name in self._answered:
            wrong = " ".join(prompt.complaints) or "the task asked again, without a complaint"
        else:
            self._answered.add(name)
            try:
                answer = self._answers.to(name, prompt, draft)
            except ValidationError as error:
                wrong = explain_invalid(error)
                prompt = prompt.with_complaints(wrong)
        self._found(Asked(self._number, name, prompt, answer, wrong))
        if answer is None:
            raise _UnansweredError
        return answer


class _Painter:
    """See ``tasks.tools.Painter``. Paints nothing."""

    async def paint(self, picture: Picture, *, character_id: str | None = None) -> Media:
        """A picture that nobody keeps."""
        del character_id
        return Media(media_id="", url="", prompt=picture.prompt, width=picture.width, height=picture.height)


class _Publisher:
    """See ``tasks.tools.Publisher``. Publishes nothing."""

    async def world_params(self, name: str, params: dict[str, object], users_count: int, posts_count: int) -> None:
        """Nothing."""

    async def world_images(self, header_media_id: str, icon_media_id: str) -> None:
        """Nothing."""

    async def character(self, character: NewCharacter) -> str:
        """An id of nobody."""
        return ""

    async def character_changed(self, character_id: str, character: NewCharacter) -> None:
        """Nothing."""

    async def avatar(self, character_id: str, media: Media) -> None:
        """Nothing."""

    async def post(self, post: NewPost, turn: Callable[[], Awaitable[None]]) -> str:
        """An id of nothing."""
        return ""
