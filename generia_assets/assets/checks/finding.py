"""A check and its result: reading the documents, the finding, and the result in Dagster."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar, cast

import dagster as dg
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from generia_assets.assets.jobs import RERUN_CHARACTER, RERUN_POST
from generia_assets.assets.materialized import WorldDocuments
from generia_assets.content.documents import Document, WorldDescription, WorldRequest
from generia_assets.dagster_internals import CheckTarget
from generia_assets.durable.collections import PUBLICATIONS, STATUS
from generia_assets.durable.figures import FailedCheck, record_failed_check
from generia_assets.durable.status import WorldStatus, status_of
from generia_assets.partitions import worlds
from resources.mongodb.connection import MongoDatabase
from resources.mongodb.document_store import TRIES, DocumentStore, MaterializationReplacedError

DocumentT = TypeVar("DocumentT", bound=Document)
ItemT = TypeVar("ItemT")

WARN = dg.AssetCheckSeverity.WARN
SHOWN = 5
"""Problems that a check names; it counts all of them."""
KEPT = 500
"""Documents of an asset that are kept for the checks that follow; of larger assets each check reads a stream."""
_PAGE = 2_000
"""Publications looked up at once."""


@dataclass(frozen=True)
class World:
    """A finished world as its checks see it."""

    id: str
    database: MongoDatabase
    media_dir: Path
    _kept: dict[type[Document], tuple[Document, ...]] = field(default_factory=dict, repr=False)
    _counts: dict[type[Document], int] = field(default_factory=dict, repr=False)

    @cached_property
    def request(self) -> WorldRequest:
        return next(self.all(WorldRequest))

    @cached_property
    def description(self) -> WorldDescription:
        return next(self.all(WorldDescription))

    @cached_property
    def status(self) -> WorldStatus:
        return status_of(self.database[STATUS].find_one({"_id": self.id}))

    def all(self, model: type[DocumentT]) -> Iterator[DocumentT]:
        """The documents of this class, in order of their keys, one at a time."""
        if model not in self._kept:
            first = tuple(islice(stream := self._documents.stream(model), KEPT + 1))
            if len(first) > KEPT:
                return chain(first, stream)
            self._kept[model] = first
        return cast("Iterator[DocumentT]", iter(self._kept[model]))

    def count(self, model: type[Document]) -> int:
        if model not in self._counts:
            self._counts[model] = self._documents.count(model) or 0
        return self._counts[model]

    def runs_of(self, post_ids: Iterable[str]) -> Iterator[str | None]:
        """The run that published each of these posts ('' unknown); None for an id that the platform never answered with."""
        rest, fields = iter(post_ids), {"answer": 1, "run_id": 1}
        while page := list(islice(rest, _PAGE)):
            query = {"world_id": self.id, "kind": "post", "status": "answered", "answer": {"$in": page}}
            runs = {row["answer"]: row.get("run_id") or "" for row in self.database[PUBLICATIONS].find(query, fields)}
            yield from map(runs.get, page)

    @property
    def _documents(self) -> WorldDocuments:
        return WorldDocuments(DocumentStore(self.database), self.id)


@dataclass
class CheckFinding:
    """The finding of a check in a world. ``keys``: of the items to be made again, named first.

    ``description``: the whole result in words, where the check has words of its own; then it has no figures but its own, too.
    """

    looked_at: int = 0
    wrong: int = 0
    named: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    figures: dict[str, int | float | str] = field(default_factory=dict)
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    remark: str = ""
    """Text beside the number of checked items when nothing is wrong: why there were none, or what was measured."""
    description: str = ""

    def each(self, items: Iterable[ItemT]) -> Iterator[ItemT]:
        for item in items:
            self.looked_at += 1
            yield item

    def add(self, what: str, key: str = "") -> None:
        """Add an error; ``key``: the item to be made again. Warnings are left out where there are errors."""
        if self.severity is WARN:
            self.severity, self.wrong, self.named, self.keys = dg.AssetCheckSeverity.ERROR, 0, [], []
        self._note(what, key)

    def warn(self, what: str, key: str = "") -> None:
        if not self.wrong or self.severity is WARN:
            self.severity = WARN
            self._note(what, key)

    def _note(self, what: str, key: str) -> None:
        self.wrong += 1
        if len(self.named) < SHOWN:
            self.named.append(what)
            if key and key not in self.keys:
                self.keys.append(key)


Question = Callable[[World, CheckFinding], None]


def _again(asset: str, keys: list[str]) -> str:
    """How to make these items again, whose documents the asset holds."""
    match asset:
        case "world_description":
            return "Ask again: materialize world_description; what was made of it stays, and is then stale"
        case "characters" | "character_briefs" | "posts":
            job, name = (RERUN_POST, "post") if asset == "posts" else (RERUN_CHARACTER, "character")
            return f"Ask again: job {job} with {name}: {keys[0]}" + (f", then {', '.join(keys[1:])}" if keys[1:] else "")
        case "post_briefs":
            asset = "post_briefs, posts, post_images"
    return f"Ask again: materialize {asset} with keys: [{', '.join(keys)}]"


@dataclass(frozen=True)
class Check:
    """A check of an asset, asked for each world by itself. ``good`` describes what was looked at when nothing is wrong."""

    asset: str
    name: str
    description: str
    question: Question
    good: str = ""

    @property
    def key(self) -> dg.AssetCheckKey:
        return dg.AssetCheckKey(dg.AssetKey(self.asset), self.name)

    @property
    def spec(self) -> dg.AssetCheckSpec:
        return dg.AssetCheckSpec(self.name, asset=self.asset, description=self.description, partitions_def=worlds)

    def evaluate(self, world: World, of: CheckTarget | None = None) -> dg.AssetCheckEvaluation:
        """The result for this world and this materialization of it, as Dagster records it. A failure is counted for monitors."""
        found = self._consistent(world)
        if found.wrong:
            severity = found.severity.value.lower()
            failed = FailedCheck(world_id=world.id, check=self.name, severity=severity, at=datetime.now(UTC))
            record_failed_check(world.database, failed)
        counted: dict[str, float | str] = {} if found.description else {"looked_at": found.looked_at, "wrong": found.wrong}
        return dg.AssetCheckEvaluation(
            asset_key=self.key.asset_key,
            check_name=self.name,
            passed=not found.wrong,
            severity=found.severity,
            description=found.description or self._described(found),
            metadata={**counted, **found.figures},
            target_materialization_data=of,
            partition=world.id,
        )

    def _described(self, found: CheckFinding) -> str:
        if not found.wrong:
            return "; ".join(part for part in (f"{found.looked_at} {self.good}", found.remark) if part)
        more = f" and {found.wrong - len(found.named)} more" if found.wrong > len(found.named) else ""
        again = f" {_again(self.asset, found.keys)}." if found.keys else ""
        return f"{found.wrong} wrong: {'; '.join(found.named)}{more}.{again}"

    @retry(retry=retry_if_exception_type(MaterializationReplacedError), stop=stop_after_attempt(TRIES), reraise=True)
    def _consistent(self, world: World) -> CheckFinding:
        """The finding in documents that were not replaced while they were read."""
        found = CheckFinding()
        self.question(world, found)
        return found


def check(asset: str, good: str = "", *, description: str = "") -> Callable[[Question], Check]:
    """Make a check of a function: its name is the check's, and its docstring the ``description``, if there is no other."""
    return lambda question: Check(
        asset, question.__name__, description or " ".join((question.__doc__ or "").split()), question, good
    )
