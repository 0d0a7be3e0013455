"""What a run makes, and what it replaces: the items it was asked for, and what was there before under the same keys.

Here: ``Selection`` (which items), ``PreviousState`` (what a new self, a new post has to know of the former one). Not here: the
order of the work (conductor.py), and how an item is made (tasks/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from generia_assets.assets.materialized import Materialized
from generia_assets.catalog import TaskType
from generia_assets.content import social
from generia_assets.content.documents import (
    Acquaintance,
    Character,
    CharacterBrief,
    Post,
    PostBrief,
    WorldDescription,
    WorldRequest,
    character_index,
    character_key,
)
from generia_assets.durable.orders.workload import batch_key
from generia_assets.durable.tasks.runner import TaskSpec
from generia_assets.tasks.regenerate_character import PreviousCharacter
from generia_assets.tasks.task_definition import TaskParameters

TOLD_AROUND = 20
"""People on either side, by index, who are told when one is invented anew: among them are all whom that person knows."""


@dataclass(frozen=True)
class Selection:
    """What a run makes: task types, and of these only the items named in ``keys`` (none named: all).

    A character's key names everything of that character. Concepts are made ten at a time by their batch's key, or one alone by the
    person's, who then becomes somebody else under the same name (items.py).
    """

    types: frozenset[TaskType]
    keys: frozenset[str] = frozenset()

    def makes(self, task_type: TaskType, key: str) -> bool:
        """Whether this run makes this item."""
        return task_type in self.types and (not self.keys or key in self.keys or key.split("-")[0] in self.keys)

    def tasks(self, task_type: TaskType, keys: Iterable[str]) -> list[TaskSpec]:
        """The tasks of this type among these items that this run makes."""
        return [TaskSpec(task_type, TaskParameters(key=key)) for key in keys if self.makes(task_type, key)]


class PreviousState:
    """What was there before, of the items that this run makes again."""

    def __init__(self, materialized: Materialized, selection: Selection, request: WorldRequest, world: WorldDescription) -> None:
        self._materialized = materialized
        self._selection = selection
        self._request = request
        self._world = world

    async def concept_of(self, brief: CharacterBrief, known: Mapping[int, CharacterBrief]) -> PreviousCharacter:
        """Who bears the name, and who else is there. ``known``: concepts as this run has them; the others are loaded."""
        index, count = character_index(brief.key), self._request.users_count
        others: dict[int, CharacterBrief] = {}
        for other in range(max(0, index - TOLD_AROUND), min(count, index + TOLD_AROUND + 1)):
            if other in known:
                others[other] = known[other]
            else:
                others[other] = await self._materialized.one("character_briefs", CharacterBrief, character_key(other))
        del others[index]
        acquaintances = social.introduce(self._request, self._world, index, others)
        return PreviousCharacter(brief, tuple(others.values()), acquaintances)

    async def self_of(self, brief: CharacterBrief) -> tuple[Character | None, str]:
        """Who they were, if the name has stayed; and the platform's character in this place, whoever it was ('': there is none).

        A batch invents other people, who take the places of the former ones: no call of the platform deletes a character.
        """
        former = await self._materialized.one_if_there("characters", Character, brief.key)
        if former is None:
            return None, ""
        invented = self._selection.makes(TaskType.GENERATE_CHARACTER_BATCH, batch_key(character_index(brief.key)))
        return None if invented or former.username != brief.username else former, former.character_id

    async def told_by(self, former: Character, acquaintances: Sequence[Acquaintance]) -> list[Character]:
        """Whoever stays as they are and tells of this person."""
        stay = [other.key for other in acquaintances if not self._selection.makes(TaskType.GENERATE_CHARACTER, other.key)]
        found = [await self._materialized.one_if_there("characters", Character, key) for key in stay]
        return [one for one in found if one is not None and any(tie.username == former.username for tie in one.relationships)]

    async def unwanted_text(self, idea: PostBrief) -> str:
        """The text that somebody asked to replace by naming its key, while the idea stays; '' where nobody did."""
        if not self._selection.keys or self._selection.makes(TaskType.GENERATE_POST_BATCH, idea.character):
            return ""
        former = await self._materialized.one_if_there("posts", Post, idea.key)
        return former.content if former is not None and not former.deleted_reason else ""
