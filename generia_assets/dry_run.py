"""A dry run: every request of a small world in the order of work, made by the real tasks, without a call and without a server.

Here: the order of work as a plain loop, the tools that the tasks are handed, and sample answers. Not here: other answers and what
becomes of the requests (prompts.py), and the order of work of real worlds (assets/orchestrator.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import ParamSpec, Protocol, TypeVar, cast

from pydantic import BaseModel, ValidationError

from generia_assets.asset_spec import AssetSpec, Unit
from generia_assets.catalog import ASSETS, TaskType
from generia_assets.content import languages, social
from generia_assets.content.documents import (
    Acquaintance,
    Character,
    CharacterBrief,
    Document,
    Media,
    Post,
    PostBrief,
    Quality,
    WorldDescription,
    WorldRequest,
)
from generia_assets.content.drafts import Draft
from generia_assets.content.keys import WORLD_KEY, batch_key, character_key, post_batch_key, post_key
from generia_assets.content.names import CharacterIndex
from generia_assets.content.prompt import Prompt
from generia_assets.content.samples import sample_answer
from generia_assets.content.shares import BATCH
from generia_assets.content.similarity import Ideas
from generia_assets.content.storyline import ALONE
from generia_assets.content.timeline import heard_before, timeline
from generia_assets.tasks.clients import DraftT, ImageRequest, NewCharacter, NewPost, TaskClients
from generia_assets.tasks.generate_character import generate_character
from generia_assets.tasks.generate_character_batch import generate_character_batch
from generia_assets.tasks.generate_post import generate_post
from generia_assets.tasks.generate_post_batch import generate_post_batch
from generia_assets.tasks.generate_post_image import generate_post_image
from generia_assets.tasks.generate_world_description import generate_world_description
from generia_assets.tasks.task_definition import BatchParameters, DurableTask, TaskParameters, task_of
from resources.gemini.answers import explain_invalid

ParametersT = TypeVar("ParametersT", bound=TaskParameters)
ResultT = TypeVar("ResultT", bound=BaseModel)
Context = ParamSpec("Context")
DocumentT = TypeVar("DocumentT", bound=Document)


@dataclass(frozen=True)
class DryRequest:
    """One request. ``number``: the place of its task in the order of work, from 1; ``name``: its type and whom or what it is for.

    ``answer`` is None where there is none, or no usable one: then ``wrong`` says why, and ``prompt`` contains the complaint.
    """

    number: int
    name: str
    prompt: Prompt
    answer: BaseModel | None
    wrong: str = ""


class Answers(Protocol):
    """Where the answers come from."""

    def to(self, name: str, prompt: Prompt, draft: type[DraftT]) -> DraftT | None:
        """The answer to this request, or None. Raises ``ValidationError`` for one that does not fit the draft."""


class SampleAnswers:
    """An answer to everything, which is the same whatever the templates say."""

    def __init__(self, sentence: str) -> None:
        guess = languages.guess(sentence)
        self._language = guess.name if guess else "English"

    def to(self, name: str, prompt: Prompt, draft: type[DraftT]) -> DraftT | None:
        return cast("DraftT", sample_answer(cast("type[Draft]", draft), prompt.schema, name, self._language))


async def _at_once() -> None:
    """The turn to publish, where nothing is published."""


class _UnansweredError(Exception):
    """A request has no answer that can be used, or is about something that is not there for want of one."""


class DryRun:
    """Makes the requests of a world, ``asked``, as far as there are answers. Its tasks ask it, as their ``TextClient``."""

    def __init__(self, request: WorldRequest, answers: Answers) -> None:
        self.asked: list[DryRequest] = []
        self._request = request
        self._answers = answers
        self._line = timeline(request.seed, *request.size)
        self._number, self._place = 0, ""
        """Of the task: its place in the order of work, and whom or what it is for, at the end of its requests' names."""
        self._answered: set[tuple[int, str]] = set()
        self._made: dict[tuple[type[Document], str], Document] = {}

    def _one(self, kind: type[DocumentT], key: str) -> DocumentT:
        """The document of this class with this key. Whoever needs one that is not there cannot go on."""
        document = self._made.get((kind, key))
        if not isinstance(document, kind):
            raise _UnansweredError
        return document

    def _brief(self, index: int) -> CharacterBrief:
        return self._one(CharacterBrief, character_key(index))

    @property
    def _world(self) -> WorldDescription:
        return self._one(WorldDescription, WORLD_KEY)

    async def run(self) -> list[DryRequest]:
        """Execute every task whose inputs exist. Returns the requests in the order of work."""
        for task_type, index, order in order_of_work(self._request):
            self._number += 1
            with suppress(_UnansweredError):
                await self._task(task_type, index, order)
        return self.asked

    async def _task(self, task_type: TaskType, index: int, order: int) -> None:
        if task_type.asset.per:
            await self._follow(task_type.asset, index, order)
            return
        match task_type:
            case TaskType.GENERATE_WORLD_DESCRIPTION:
                await self._do("", generate_world_description, TaskParameters(key=WORLD_KEY), self._request)
            case TaskType.GENERATE_CHARACTER_BATCH:
                await self._batch(index)
            case TaskType.GENERATE_CHARACTER:
                await self._person(index)
            case TaskType.GENERATE_POST_BATCH:
                await self._plan(index, order)
            case _:
                await self._post(task_type, index, order)

    async def _follow(self, asset: AssetSpec, index: int, order: int) -> None:
        """Execute what is made once for each document of another asset."""
        world, key, place = self._world, WORLD_KEY, ""
        if asset.unit is not Unit.WORLD:
            key, place = character_key(index), f".@{self._brief(index).username}"
        if asset.unit is Unit.POST:
            key, place = post_key(key, order), f"{place}.{order + 1}"
        document = self._one(ASSETS[asset.per].document, key)
        context = (self._request, world, *([] if document is world else [document]))
        await self._do(place, task_of(asset.task_type), TaskParameters(key=key), *context)

    async def _batch(self, batch: int) -> None:
        first = batch * BATCH
        characters = CharacterIndex(self._brief(index) for index in range(first))
        count = min(BATCH, self._request.users_count - first)
        parameters = BatchParameters(key=batch_key(first), first=first, count=count)
        await self._do(f".{batch}", generate_character_batch, parameters, self._request, self._world, characters)

    async def _person(self, index: int) -> None:
        brief, world = self._brief(index), self._world
        place, parameters = f".@{brief.username}", TaskParameters(key=brief.key)
        await self._do(place, generate_character, parameters, self._request, world, brief, self._known(index))

    def _known(self, index: int) -> tuple[Acquaintance, ...]:
        ties = social.acquaintances(self._request.seed, self._request.users_count, index, self._request.size.former)
        briefs = {other: self._brief(other) for other in (index, *(tie.index for tie in ties))}
        return social.introduce(self._request, self._world, index, briefs)

    async def _plan(self, index: int, batch: int) -> None:
        character, first = self._one(Character, character_key(index)), batch * BATCH
        earlier = Ideas(self._one(PostBrief, post_key(character.key, order)) for order in range(first))
        count = min(BATCH, character.posts_count - first)
        parameters = BatchParameters(key=post_batch_key(character.key, first), first=first, count=count)
        place, known = f".@{character.username}.{batch}", self._known(index)
        await self._do(place, generate_post_batch, parameters, self._request, self._world, character, known, earlier)

    async def _post(self, task_type: TaskType, index: int, order: int) -> None:
        character, world = self._one(Character, character_key(index)), self._world
        parameters = TaskParameters(key=post_key(character.key, order))
        place, key = f".@{character.username}.{order + 1}", parameters.key
        if task_type is TaskType.GENERATE_POST_IMAGE:
            post = self._one(Post, key)
            await self._do(place, generate_post_image, parameters, self._request, world, character, post, _at_once)
            return
        brief = self._one(PostBrief, key)
        story = [self._one(PostBrief, post_key(character.key, earlier)) for earlier in range(order)]
        replied_to = self._one(Post, brief.in_reply_to) if brief.in_reply_to else None
        context = (brief, self._known(index), story, replied_to, [] if brief.form in ALONE else self._heard(index, order))
        await self._do(place, generate_post, parameters, self._request, world, character, *context)

    def _heard(self, index: int, order: int) -> list[PostBrief]:
        """The ideas of acquaintances' earlier posts that a post's prompt contains."""
        request, line = self._request, self._line
        earlier = heard_before(request.seed, request.users_count, request.posts_count, line.t_of(index, order), request.size.former)
        return [self._one(PostBrief, post_key(character_key(line.people[t]), line.orders[t])) for t in earlier]

    async def _do(
        self,
        place: str,
        task: DurableTask[ParametersT, Context, ResultT],
        parameters: ParametersT,
        *context: Context.args,
        **named: Context.kwargs,
    ) -> None:
        self._place = place
        result = await task(parameters, TaskClients(self, _NoImages(), _NoPlatform()), *context, **named)
        for document in getattr(result, "briefs", [result]):
            self._made[type(document), document.key] = document

    async def write(self, prompt: Prompt, draft: type[DraftT], *, once: bool = False) -> DraftT:
        """The answer. A task has one to each of its requests: to ask again is to find it unfit."""
        del once
        name = f"{prompt.request_type}{self._place}"
        answer, wrong = None, ""
        if (self._number, name) in self._answered:
            wrong = " ".join(prompt.complaints) or "the task asked again, without a complaint"
        else:
            self._answered.add((self._number, name))
            try:
                answer = self._answers.to(name, prompt, draft)
            except ValidationError as error:
                wrong = explain_invalid(error)
                prompt = prompt.with_complaints(wrong)
        self.asked.append(DryRequest(self._number, name, prompt, answer, wrong))
        if answer is None:
            raise _UnansweredError
        return answer


def order_of_work(request: WorldRequest) -> Iterator[tuple[TaskType, int, int]]:
    """The tasks of a world that ask the model: the world, its people, then the posts in the order of the timeline.

    Each with the index of its person (of people: of their batch), and the order of its post (of ideas: of their batch).
    """
    refined = request.quality is Quality.HIGH
    asking = [
        task_type for task_type in TaskType if any(refined or not call.high_quality_only for call in task_type.asset.llm_calls)
    ]

    def of(*units: Unit) -> list[TaskType]:
        return [task_type for task_type in asking if task_type.asset.unit in units]

    yield from ((task_type, 0, 0) for task_type in of(Unit.WORLD))
    yield from ((task_type, batch, 0) for batch in range(ceil(request.users_count / BATCH)) for task_type in of(Unit.PEOPLE_BATCH))
    yield from ((task_type, index, 0) for index in range(request.users_count) for task_type in of(Unit.PERSON))
    line = timeline(request.seed, *request.size)
    for index, order in zip(line.people, line.orders, strict=True):
        if order % BATCH == 0:
            yield from ((task_type, index, order // BATCH) for task_type in of(Unit.POST_BATCH))
        yield from ((task_type, index, order) for task_type in of(Unit.POST))


class _NoImages:
    """An ``ImageClient`` that paints nothing."""

    async def paint(self, picture: ImageRequest, *, character_id: str | None = None) -> Media:
        del character_id
        return Media(media_id="", url="", prompt=picture.prompt, width=picture.width, height=picture.height)


class _NoPlatform:
    """A ``PlatformClient`` that publishes nothing."""

    async def world_params(self, name: str, params: dict[str, object], users_count: int, posts_count: int) -> None: ...
    async def world_images(self, header_media_id: str, icon_media_id: str) -> None: ...
    async def character(self, character: NewCharacter) -> str:
        return ""

    async def character_changed(self, character_id: str, character: NewCharacter) -> None: ...
    async def avatar(self, character_id: str, media: Media) -> None: ...
    async def post(self, post: NewPost, turn: Callable[[], Awaitable[None]]) -> str:
        return ""
