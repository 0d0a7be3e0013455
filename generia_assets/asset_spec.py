"""What a row of the catalogue says of an asset and of the task type that makes it. Not here: the rows (catalog.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING

from generia_assets.content.documents import Document
from resources.mongodb.stored import CollectionSpec

if TYPE_CHECKING:
    from generia_assets.catalog import TaskType


class Unit(Enum):
    """What one task of a type works on. The number of tasks and their keys follow from it, and the number of documents."""

    WORLD = "world"
    """One task, key ``world``; one document."""
    PEOPLE_BATCH = "ten people"
    """Keys ``b000``, …, or a person's for one who is invented again; a document for each person."""
    PERSON = "person"
    """Keys ``c0007``; a document for each person."""
    POST_BATCH = "ten posts of a person"
    """Keys ``c0007-b000``; a document for each post."""
    POST = "post"
    """Keys ``c0007-p0003``; a document for each post."""

    @property
    def document(self) -> Unit:
        """What one document is of: the world, a person or a post."""
        return {Unit.PEOPLE_BATCH: Unit.PERSON, Unit.POST_BATCH: Unit.POST}.get(self, self)

    @property
    def of_item(self) -> bool:
        """Whether one person or one post depends on such a task, and not the whole world."""
        return self not in (Unit.WORLD, Unit.PEOPLE_BATCH)

    @property
    def batched(self) -> bool:
        """Whether a task's result holds many documents, under ``briefs``."""
        return self.document is not self


@dataclass(frozen=True)
class LlmCall:
    """A call of the language model that each task of a type makes.

    Tokens are estimates, measured by ``python -m bench.content`` on rendered prompts of English worlds of 25 people and 150 posts
    (four characters a token, the prefix of system and world at 3,200; the description of a post's author is cached like the
    prefix from the author's second post on): ``input`` with the prefix, ``output`` without thinking. Languages in other scripts
    take up to twice as many output tokens; inputs are mostly English and hardly change.
    """

    request_type: str
    input: int
    output: int
    high_quality_only: bool = False
    not_for_one_post: bool = False
    """Whether the call is left out for a person with one post."""


@dataclass(frozen=True)
class PictureSlot:
    """A picture in each document of an asset: the call that paints it, the document's field, width and height in pixels.

    ``folder``: where the platform's local media service keeps it.
    """

    request_type: str
    field: str
    folder: str
    size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class AssetSpec(CollectionSpec):
    """A row of the catalogue.

    Attributes:
        task_name: name of the task type, of its module and function in tasks/; stored and published (R4). ``task_type``: the
            member of the catalogue that has this row.
        name: name of the asset.
        holds: class of its documents; None: the class of the task's result, which its file in tasks/ defines.
        unit: what one task works on.
        upstream: assets whose documents its tasks read; the one that a task waits for is the last.
        per: the upstream asset for each of whose documents a task is executed by itself, with the arguments
            ``(parameters, clients, request, world, document)``, for the world's document without ``document``; '': a method of
            the orchestrator executes it.
        stage: stage of the status record (``durable.status.Stage``).
        counter: counter of the status record that a completed task raises, or ''.
        llm_calls: calls of the model that each task makes when every answer is usable at once.
        pictures: pictures of each document.
        content_files: templates and data below content/ that decide what the asset holds (its code version).
        description: its description in Dagster's UI; ``rerun``: how to make it again.
        section: its name in the CLI (``show``, ``rerun --part``).
        step: its task's name in a trace; ``shown``: fields of its document that a trace shows, none: all.
        begin: its name in ``rerun --from``, or ''.
        in_order_of_world: whether lists sort its documents by their place in the timeline (field ``t``).
        counts_banned_terms: whether its tasks' results count the banned terms that were found (``worn``).
    """

    task_name: str
    name: str
    unit: Unit
    upstream: tuple[str, ...]
    stage: str
    description: str
    content_files: tuple[str, ...]
    holds: type[Document] | None = None
    per: str = ""
    rerun: str = ""
    counter: str = ""
    llm_calls: tuple[LlmCall, ...] = ()
    pictures: tuple[PictureSlot, ...] = ()
    section: str = ""
    step: str = ""
    shown: tuple[str, ...] = ()
    begin: str = ""
    collection: str = ""
    in_order_of_world: bool = False
    counts_banned_terms: bool = False
    task_type: TaskType = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Fill the fields that were left out with the asset's name."""
        for name, default in (
            ("collection", self.name),
            ("section", self.name.replace("_", "-")),
            ("step", self.name.replace("_", " ")),
        ):
            object.__setattr__(self, name, getattr(self, name) or default)

    @property
    def document(self) -> type[Document]:
        """The class of its documents; a task's result is one of them, or holds many (``unit.batched``)."""
        if self.holds is not None:
            return self.holds
        document: type[Document] = getattr(import_module(f"generia_assets.tasks.{self.task_name}"), self.task_name).result
        return document
