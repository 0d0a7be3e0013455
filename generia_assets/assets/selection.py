"""The items of a run, and the documents that they had before.

Not here: the order of the work (orchestrator.py), and how an item is made (tasks/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Concatenate, ParamSpec, TypeVar

from pydantic import BaseModel

from generia_assets.assets.materialized import Materialized
from generia_assets.catalog import TaskType, followers_of
from generia_assets.content import social
from generia_assets.content.documents import (
    Acquaintance,
    Character,
    CharacterBrief,
    Document,
    Post,
    PostBrief,
    WorldDescription,
    WorldRequest,
)
from generia_assets.content.keys import author_of, batch_key, character_index, character_key
from generia_assets.content.plan import Extension
from generia_assets.content.timeline import Timeline, timeline
from generia_assets.durable.events.events import LiveEvent
from generia_assets.durable.tasks.claims import TaskSpec
from generia_assets.durable.tasks.runner import TaskRunner
from generia_assets.tasks.generate_character_batch import PreviousCharacter
from generia_assets.tasks.task_definition import DurableTask, TaskParameters

ParametersT = TypeVar("ParametersT", bound=TaskParameters)
ResultT = TypeVar("ResultT", bound=BaseModel)
Context = ParamSpec("Context")

NEIGHBOURS = 20
"""People on either side, by index, in the prompt that regenerates a person; and all acquaintances of that person."""


@dataclass(frozen=True)
class Selection:
    """The selected task types, and of these only the items named in ``keys`` (none named: all).

    A character's key selects everything of that character. Concepts are made ten at a time by their batch's key, or one by the
    person's key, who is then regenerated under the same name (durable/orders/workload.py).
    """

    types: frozenset[TaskType]
    keys: frozenset[str] = frozenset()
    extension: Extension | None = None
    """The run extends the world, and makes what is new of these types."""

    def makes(self, task_type: TaskType, key: str) -> bool:
        if self.extension is not None:
            return task_type in self.types and self.extension.has(task_type.asset.unit, key)
        return task_type in self.types and (not self.keys or key in self.keys or key.split("-")[0] in self.keys)

    def makes_idea(self, post: str) -> bool:
        return self.makes(TaskType.GENERATE_POST_BATCH, post if self.extension is not None else author_of(post))

    def follow_ups(self, name: str, *made: Document, also: Sequence[TaskType] = ()) -> list[TaskSpec]:
        """The selected tasks that follow these documents of an asset: of the types ``also``, and by ``AssetSpec.per``."""
        types = (*also, *(asset.task_type for asset in followers_of(name)))
        return [TaskSpec(one, TaskParameters(key=each.key)) for one in types for each in made if self.makes(one, each.key)]

    def follows(self, name: str, key: str) -> bool:
        """Whether a selected task follows this document, directly or not."""
        return any(self.makes(asset.task_type, key) or self.follows(asset.name, key) for asset in followers_of(name))


@dataclass(frozen=True)
class WorldRun:
    """A run's work on one world: the task runner, the selection, the arguments of every task, and the documents before this run.

    Attributes:
        calls_at_once: Of texts and pictures; how much is at work at once follows from it.
        takes_references: A post's picture is made from the avatars of those it shows, and waits for them.
    """

    runner: TaskRunner
    materialized: Materialized
    selection: Selection
    request: WorldRequest
    world: WorldDescription
    calls_at_once: int
    takes_references: bool = False

    @cached_property
    def line(self) -> Timeline:
        return timeline(self.request.seed, *self.request.size)

    @property
    def first_new_person(self) -> int:
        """The index from which on people are new, where the run extends the world; else 0."""
        return 0 if self.selection.extension is None else self.selection.extension.people.start

    def acquaintances(self, index: int) -> tuple[social.SeededRelation, ...]:
        return social.acquaintances(self.request.seed, self.request.users_count, index, self.request.size.former)

    def makes(self, task_type: TaskType, key: str) -> bool:
        return self.selection.makes(task_type, key)

    async def execute(
        self,
        after: Callable[[ResultT], Iterable[TaskSpec | LiveEvent]] | None,
        task: DurableTask[ParametersT, Concatenate[WorldRequest, WorldDescription, Context], ResultT],
        parameters: ParametersT,
        *context: Context.args,
        **named: Context.kwargs,
    ) -> ResultT:
        """``TaskRunner.execute`` with the request and the world as first arguments of the task."""
        return await self.runner.execute(after, task, parameters, self.request, self.world, *context, **named)

    async def previous_concept(self, brief: CharacterBrief, known: Mapping[int, CharacterBrief]) -> PreviousCharacter:
        """The person who has the name, and the other people. ``known``: this run's concepts; the others are loaded."""
        index, count = character_index(brief.key), self.request.users_count
        near = range(max(0, index - NEIGHBOURS), min(count, index + NEIGHBOURS + 1))
        others = {
            other: known.get(other) or await self.materialized.one(CharacterBrief, character_key(other))
            for other in sorted({*near, *(tie.index for tie in self.acquaintances(index))} - {index})
        }
        acquaintances = social.introduce(self.request, self.world, index, others)
        return PreviousCharacter(brief, tuple(others.values()), acquaintances)

    async def previous_character(self, brief: CharacterBrief) -> tuple[Character | None, str]:
        """The previous document of a person who keeps the name; and the id of the platform's character that had this key, or ''.

        A batch invents other people under the keys of the previous ones: no call of the platform deletes a character.
        """
        previous = await self.materialized.one_if_there(Character, brief.key)
        if previous is None:
            return None, ""
        invented = self.makes(TaskType.GENERATE_CHARACTER_BATCH, batch_key(character_index(brief.key)))
        return None if invented or previous.username != brief.username else previous, previous.character_id

    async def acquaintances_to_update(self, previous: Character, acquaintances: Sequence[Acquaintance]) -> list[Character]:
        """The people who stay as they are and have a relationship to this person."""
        stay = [other.key for other in acquaintances if not self.makes(TaskType.GENERATE_CHARACTER, other.key)]
        found = [await self.materialized.one_if_there(Character, key) for key in stay]
        return [one for one in found if one is not None and any(tie.username == previous.username for tie in one.relationships)]

    async def text_to_replace(self, idea: PostBrief) -> str:
        """The present text of a post that this run writes again from the same idea; '' for other posts."""
        if not self.selection.keys or self.makes(TaskType.GENERATE_POST_BATCH, idea.character):
            return ""
        previous = await self.materialized.one_if_there(Post, idea.key)
        return previous.content if previous is not None and not previous.deleted_reason else ""

    async def as_posted(self, brief: PostBrief) -> PostBrief:
        """The brief. The only post of a person had no idea: after an extension its text is the idea that later posts go on from."""
        if brief.idea != brief.of_plan or brief.moderation or self.selection.makes_idea(brief.key):
            return brief
        post = await self.materialized.one_if_there(Post, brief.key)
        return brief if post is None else brief.model_copy(update={"idea": post.content})
