"""Whole worlds in the test's process: the real code location and job, the shared servers, separate databases.

Here: making worlds, parts of worlds and re-executions like Dagster, and reading the results.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import dagster as dg
import pytest
from pymongo import MongoClient

from emulators.gemini.client import EmulatorControl
from generia_assets.catalog import ASSETS
from generia_assets.content.documents import Document
from generia_assets.definitions import build_defs
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.orders.decisions import GENERATION_TAG
from generia_assets.durable.status import WorldStatus
from generia_assets.settings import Settings
from resources.mongodb.document_store import DocumentStore
from tests.support.dagster_internals import (
    RETRY_NUMBER_TAG,
    InMemoryJob,
    InProcessCodeLocation,
    InProcessCodeLocationOrigin,
    LoadableTargetOrigin,
    ReexecutionStrategy,
    execute_run,
    in_memory_instance,
    without_checks,
)
from tests.support.databases import database_with_indexes

USERS, POSTS = 3, 6
PROMPT = "A town on the back of a tortoise that has just started walking again; trams, bees, no kings"
CONTENT_ASSETS = tuple(name for name in ASSETS if name not in ("world_request", "world_description"))


@dataclass(frozen=True)
class Made:
    """A finished run, with Dagster's records of it."""

    run: dg.DagsterRun
    events: Sequence[dg.DagsterEvent]

    @property
    def run_id(self) -> str:
        return self.run.run_id

    @property
    def success(self) -> bool:
        return self.run.status is dg.DagsterRunStatus.SUCCESS

    @property
    def failure(self) -> str:
        """The whole text of the run's failure, as a person reads it."""
        kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
        said = []
        for event in self.events:
            if event.event_type not in kinds:
                continue
            data: Any = event.event_specific_data
            failure_data = getattr(data, "user_failure_data", None)
            error = getattr(data, "error", None)
            while error is not None:
                said.append(error.message)
                error = error.cause
            if failure_data is not None:
                said.append(failure_data.description)
        return "\n".join(said)

    @property
    def metadata(self) -> dict[str, dict[str, Any]]:
        """The metadata of each materialization of the nine assets, by asset."""
        return {
            event.asset_key.path[-1]: {name: value.value for name, value in event.materialization.metadata.items()}
            for event in self.events
            if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION
            and event.asset_key is not None
            and event.asset_key.path[-1] in ASSETS
        }

    @property
    def checks(self) -> dict[str, Any]:
        """The asset checks' evaluations, by check."""
        found = [event for event in self.events if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION]
        return {event.asset_check_evaluation_data.check_name: event.asset_check_evaluation_data for event in found}


class Worlds:
    """A code location with its own databases, media and Dagster instance."""

    def __init__(self, settings: Settings, uri: str, gemini: str, *, checks: bool = False) -> None:
        self.settings = settings
        self.checks = checks
        self.client: MongoClient[dict[str, Any]] = MongoClient(uri, tz_aware=True)
        self.database = self.client[settings.mongodb_database]
        self.platform = self.client[settings.platform_database]
        self.gemini = EmulatorControl(gemini) if gemini else None
        self.instance = in_memory_instance()
        self._numbers = itertools.count()
        _IN_USE.append(self)

    @contextmanager
    def changed_settings(self, **changes: object) -> Iterator[None]:
        """Within this block runs have other settings."""
        before = self.settings
        try:
            self._set(before.model_copy(update=changes))
            yield
        finally:
            self._set(before)

    def _set(self, settings: Settings) -> None:
        self.settings = settings
        for name in ("defs", "job"):
            self.__dict__.pop(name, None)

    @cached_property
    def defs(self) -> dg.Definitions:
        defs = build_defs(self.settings)
        return defs if self.checks else without_checks(defs)

    @cached_property
    def job(self) -> dg.JobDefinition:
        return self.defs.resolve_job_def("world")

    def run(
        self,
        world_id: str,
        *,
        form: Mapping[str, object] | None = None,
        select: Sequence[str] = (),
        keys: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        parent: Made | None = None,
        run_id: str | None = None,
    ) -> Made:
        """One run: the assets of ``select`` (none: all nine), with the launch form's entries; ``parent``: it is re-executed."""
        self.instance.add_dynamic_partitions("worlds", [world_id])
        ops: dict[str, Any] = {}
        if form is not None:
            ops["world_request"] = {"config": dict(form)}
        if keys:
            ops["world_content"] = {"config": {"keys": list(keys)}}
        selection = frozenset(dg.AssetKey(name) for name in select) or None
        job = self.job if selection is None else self.job.get_subset(asset_selection=selection)
        run = self.instance.create_run_for_job(
            job,
            run_id=run_id,
            run_config={"ops": ops, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            tags={"dagster/partition": world_id, **(tags or (parent.run.tags if parent else {}))},
            parent_run_id=parent.run_id if parent else None,
            root_run_id=(parent.run.root_run_id or parent.run_id) if parent else None,
            asset_selection=selection,
        )
        execute_run(InMemoryJob(job), run, self.instance, raise_on_error=False)
        return self.made(run.run_id)

    def launch(self, job: str, world_id: str, *, tags: Mapping[str, str] | None = None, **form: Any) -> Made:
        """One run of a job as its launchpad starts it: no selection, the form's entries for ``world_content``."""
        self.instance.add_dynamic_partitions("worlds", [world_id])
        definition = self.defs.resolve_job_def(job)
        run = self.instance.create_run_for_job(
            definition,
            run_config={
                "ops": {"world_content": {"config": form}} if form else {},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            tags={"dagster/partition": world_id, "dagster/from_ui": "true", **(tags or {})},
        )
        execute_run(InMemoryJob(definition), run, self.instance, raise_on_error=False)
        return self.made(run.run_id)

    def re_execute(self, parent: Made, strategy: ReexecutionStrategy, *, retry: bool = False) -> Made:
        """Re-execute the parent like Dagster's pages, or (``retry``) like its daemon after a crash."""
        location = InProcessCodeLocation(
            InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name=__name__, attribute="definitions_in_use")), self.instance
        )
        repository = next(iter(location.get_repositories().values()))
        run = self.instance.create_reexecuted_run(
            request_context=SimpleNamespace(asset_graph=self.job.asset_layer.asset_graph),  # type: ignore[arg-type]  # all it is asked
            parent_run=parent.run,
            code_location=location,
            remote_job=repository.get_full_job(parent.run.job_name),
            strategy=strategy,
            extra_tags={RETRY_NUMBER_TAG: "1"} if retry else None,
            use_parent_run_tags=True,
        )
        job = self.defs.resolve_job_def(run.job_name)
        if run.asset_selection:
            job = job.get_subset(asset_selection=run.asset_selection, asset_check_selection=run.asset_check_selection)
        execute_run(InMemoryJob(job), run, self.instance, raise_on_error=False)
        return self.made(run.run_id)

    def made(self, run_id: str) -> Made:
        """Dagster's records of a run."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        logs = self.instance.all_logs(run_id)
        return Made(run, [entry.dagster_event for entry in logs if entry.dagster_event is not None])

    def make(self, world_id: str | None = None, *, users: int = USERS, posts: int = POSTS, **form: Any) -> tuple[str, Made]:
        """A new world by the launch form."""
        world_id = world_id or self._next_world_id()
        return world_id, self.run(world_id, form={"prompt": PROMPT, "users": users, "posts": posts, **form})

    def _next_world_id(self) -> str:
        """Ids in the same order in every run of the tests, so that the draws and requests that follow from an id are the same."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"world {next(self._numbers)}"))

    def resume(self, world_id: str, **how: Any) -> Made:
        """A run that continues the world's generation, as ``generia resume`` and the watchdog order it."""
        generation = self.status(world_id).generation
        assert generation is not None
        return self.run(world_id, tags={GENERATION_TAG: generation}, **how)

    def status(self, world_id: str) -> WorldStatus:
        return WorldStatus.model_validate(self.raw_status(world_id))

    def raw_status(self, world_id: str) -> dict[str, Any]:
        found = self.database[STATUS].find_one({"_id": world_id})
        assert found is not None
        return found

    def documents(self, asset: str, world_id: str) -> list[Any]:
        """The asset's documents, by their class, in order of their keys."""
        kind = ASSETS[asset]
        found: list[Document] = DocumentStore(self.database).read(kind, world_id, kind.document)
        return found

    def snapshot(self, world_id: str) -> dict[str, list[Any]]:
        """All documents of the world, by asset."""
        return {name: self.documents(name, world_id) for name in ASSETS}

    def tasks(self, world_id: str, generation: str | None = None) -> dict[str, int]:
        """The number of tasks of each type in this generation (None: the present one)."""
        generation = generation or self.status(world_id).generation
        group = {"$group": {"_id": "$type", "count": {"$sum": 1}}}
        rows = self.database[TASKS].aggregate([{"$match": {"world_id": world_id, "generation": generation}}, group])
        return {row["_id"]: row["count"] for row in rows}

    @property
    def calls(self) -> int:
        """The number of LLM calls since the emulator's last reset; resets it."""
        assert self.gemini is not None
        return self.gemini.stats().calls

    @contextmanager
    def undamaged(self) -> Iterator[Self]:
        """These worlds, with an emulator without faults at the beginning."""
        assert self.gemini is not None
        self.gemini.reset()
        try:
            yield self
        finally:
            self.gemini.reset()

    def close(self) -> None:
        _IN_USE.remove(self)
        self.client.close()
        self.instance.dispose()
        if self.gemini is not None:
            self.gemini.reset()
            self.gemini.close()


_IN_USE: list[Worlds] = []


def definitions_in_use() -> dg.Definitions:
    """The definitions that a code location in this process loads: those of the last created worlds."""
    return _IN_USE[-1].defs


@contextmanager
def worlds_in_process(
    home: Path, *, mongodb_uri: str, broker: str, gemini: str, checks: bool = False, **changes: Any
) -> Iterator[Worlds]:
    """Worlds with these settings. What they made in MongoDB is deleted at the end, unless the settings name the database.

    The asset checks take half of the time of a small world, and are executed only if a test needs them.
    """
    with pytest.MonkeyPatch.context() as environment, ExitStack() as at_the_end:
        name = changes.get("mongodb_database") or at_the_end.enter_context(
            database_with_indexes(at_the_end.enter_context(MongoClient(mongodb_uri)))
        )
        environment.setenv("MONGODB_URI", mongodb_uri)
        environment.setenv("GEMINI_API_KEY", "")
        values: dict[str, Any] = {
            "mongodb_uri": mongodb_uri,
            "mongodb_database": name,
            "platform_database": f"{name}_platform",
            "kafka_bootstrap_servers": broker,
            "kafka_api_version": "2.3",
            "gemini_base_url": gemini,
            "generia_data_dir": home,
            **changes,
        }
        worlds = Worlds(Settings(_env_file=None, **values), mongodb_uri, gemini, checks=checks)
        if worlds.gemini is not None:
            worlds.gemini.reset()  # leftovers of earlier tests
        try:
            yield worlds
        finally:
            worlds.close()
