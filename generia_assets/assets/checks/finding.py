"""A check and its result: reading the documents, the finding, and the result in Dagster."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, cast

import dagster as dg

from generia_assets.assets.jobs import RERUN_CHARACTER, RERUN_POST
from generia_assets.assets.materialized import WorldDocuments
from generia_assets.content.documents import Document, WorldDescription, WorldRequest
from generia_assets.durable.figures import FailedCheck, record_failed_check
from generia_assets.partitions import worlds
from resources.mongodb.connection import MongoDatabase
from resources.mongodb.document_store import DocumentStore, MaterializationReplacedError

DocumentT = TypeVar("DocumentT", bound=Document)

SHOWN = 5
"""Problems that a check names; it counts all of them."""
KEPT = 500
"""Documents of an asset that are kept for the checks that follow; of larger assets each check reads a stream."""
TRIES = 5
"""Times a check starts again when the asset is replaced while it is read."""


@dataclass(frozen=True)
class World:
    """A finished world as its checks see it."""

    id: str
    database: MongoDatabase
    media_dir: Path
    _kept: dict[type[Document], tuple[Document, ...]] = field(default_factory=dict, repr=False)
    _counts: dict[type[Document], int] = field(default_factory=dict, repr=False)

    @property
    def request(self) -> WorldRequest:
        return next(self.all(WorldRequest))

    @property
    def description(self) -> WorldDescription:
        return next(self.all(WorldDescription))

    def all(self, model: type[DocumentT]) -> Iterator[DocumentT]:
        """The documents of this class, in order of their keys, one at a time."""
        if model not in self._kept:
            if self.count(model) > KEPT:
                return self._documents.stream(model)
            self._kept[model] = tuple(self._documents.stream(model))
        return cast("Iterator[DocumentT]", iter(self._kept[model]))

    def count(self, model: type[Document]) -> int:
        if model not in self._counts:
            self._counts[model] = self._documents.count(model) or 0
        return self._counts[model]

    @property
    def _documents(self) -> WorldDocuments:
        return WorldDocuments(DocumentStore(self.database), self.id)


@dataclass
class CheckFinding:
    """The finding of a check in a world. ``advice``: how to make items again, from the keys that are named first."""

    looked_at: int = 0
    wrong: int = 0
    named: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    figures: dict[str, int | float | str] = field(default_factory=dict)
    severity: dg.AssetCheckSeverity | None = None
    """Of what was found, where it is not the check's own."""
    remark: str = ""
    """Text beside the number of checked items when nothing is wrong: why there were none, or what was measured."""

    def add(self, what: str, key: str = "") -> None:
        """Add a problem; ``key``: the item to be made again."""
        self.wrong += 1
        if len(self.named) < SHOWN:
            self.named.append(what)
            if key and key not in self.keys:
                self.keys.append(key)


Question = Callable[[World], CheckFinding | dg.AssetCheckResult]
Advice = Callable[[list[str]], str]


def again_by_job(job: str, field_name: str) -> Advice:
    return lambda keys: f"Ask again: job {job} with {field_name}: {keys[0]}" + (f", then {', '.join(keys[1:])}" if keys[1:] else "")


def again_by_keys(*assets: str) -> Advice:
    return lambda keys: f"Ask again: materialize {', '.join(assets)} with keys: [{', '.join(keys)}]"


PERSON_AGAIN, POST_AGAIN = again_by_job(RERUN_CHARACTER, "character"), again_by_job(RERUN_POST, "post")


@dataclass(frozen=True)
class Check:
    """A check of an asset, asked for each world by itself.

    ``good`` describes what was looked at when nothing is wrong, ``again`` how to make again what the finding names.
    """

    asset: str
    name: str
    description: str
    question: Question
    good: str = ""
    again: Advice = lambda _: ""
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR

    @property
    def key(self) -> dg.AssetCheckKey:
        return dg.AssetCheckKey(dg.AssetKey(self.asset), self.name)

    @property
    def spec(self) -> dg.AssetCheckSpec:
        return dg.AssetCheckSpec(self.name, asset=self.asset, description=self.description, partitions_def=worlds)

    def evaluate(self, world: World) -> dg.AssetCheckResult:
        """The check's result for this world, under its own name. A failure is counted for monitors."""
        result = self.ask(world)
        if not result.passed:
            severity = result.severity.value.lower()
            failed = FailedCheck(world_id=world.id, check=self.name, severity=severity, at=datetime.now(UTC))
            record_failed_check(world.database, failed)
        return result._replace(asset_key=dg.AssetKey(self.asset), check_name=self.name)

    def report(self, context: dg.AssetExecutionContext, world: World) -> None:
        """Evaluate it now, as an event of this run: for a run whose form decides its assets, so that Dagster cannot plan its
        checks.
        """
        answer = self.evaluate(world)
        evaluation = dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(self.asset),
            check_name=self.name,
            passed=answer.passed,
            severity=answer.severity,
            description=answer.description,
            metadata=answer.metadata,
            partition=world.id,
        )
        event = dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
            job_name=context.run.job_name,
            event_specific_data=evaluation,
        )
        context.instance.report_dagster_event(event, run_id=context.run.run_id)

    def ask(self, world: World) -> dg.AssetCheckResult:
        """The result alone, which counts nothing."""
        found = self._consistent(world)
        return found if isinstance(found, dg.AssetCheckResult) else self._shown(found)

    def _shown(self, found: CheckFinding) -> dg.AssetCheckResult:
        figures = {"looked_at": found.looked_at, "wrong": found.wrong, **found.figures}
        if not found.wrong:
            description = "; ".join(part for part in (f"{found.looked_at} {self.good}", found.remark) if part)
            return dg.AssetCheckResult(passed=True, description=description, metadata=figures)
        more = f" and {found.wrong - len(found.named)} more" if found.wrong > len(found.named) else ""
        again = f" {self.again(found.keys)}." if found.keys else ""
        description = f"{found.wrong} wrong: {'; '.join(found.named)}{more}.{again}"
        severity = found.severity or self.severity
        return dg.AssetCheckResult(passed=False, severity=severity, description=description, metadata=figures)

    def _consistent(self, world: World) -> CheckFinding | dg.AssetCheckResult:
        """The finding in documents that were not replaced while they were read."""
        for _ in range(TRIES - 1):
            with suppress(MaterializationReplacedError):
                return self.question(world)
        return self.question(world)


def check(
    asset: str,
    good: str = "",
    *,
    again: Advice = lambda _: "",
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    description: str = "",
) -> Callable[[Question], Check]:
    """Make a check of a function: its name is the check's, and its docstring the ``description``, if there is no other."""

    def checking(question: Question) -> Check:
        described = description or " ".join((question.__doc__ or "").split())
        return Check(asset, question.__name__, described, question, good, again, severity)

    return checking
