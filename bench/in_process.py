"""Worlds made in this process, as Dagster makes them: a harness needs a second for a world instead of a process.

Not here: processes that can be killed (stack.py, one_world.py), and what a world must look like afterwards (exact.py).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import dagster as dg

from generia_assets.definitions import build_defs
from generia_assets.durable.orders.decisions import GENERATION_TAG
from generia_assets.settings import Settings, settings
from tests.support.dagster_internals import in_memory_instance, without_checks

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Order:
    """A world to be made."""

    world_id: str
    users: int
    posts: int
    prompt: str
    max_cost_usd: float | None = None
    service_tier: str | None = None
    seed: int | None = None

    @property
    def form(self) -> dict[str, object]:
        form: dict[str, object] = {"prompt": self.prompt, "users": self.users, "posts": self.posts}
        named = {"max_cost_usd": self.max_cost_usd, "service_tier": self.service_tier, "seed": self.seed}
        return form | {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class Made:
    """How a run ended. ``failure`` is the whole text of its failure."""

    success: bool
    failure: str


def change_settings(changes: Mapping[str, str]) -> None:
    """Make these the settings of the next run in this process."""
    os.environ.update(changes)
    settings.cache_clear()


def make(order: Order, *, generation: str | None = None) -> Made:
    """One run of the whole world on an instance of its own; with ``generation``, one that continues it."""
    job = _job(settings())
    config = dict(QUIET) if generation else {**QUIET, "ops": {"world_request": {"config": order.form}}}
    with in_memory_instance() as instance:
        instance.add_dynamic_partitions("worlds", [order.world_id])
        result = job.execute_in_process(
            run_config=config,
            instance=instance,
            partition_key=order.world_id,
            tags={GENERATION_TAG: generation} if generation else None,
            raise_on_error=False,
        )
        return Made(result.success, "" if result.success else _failure(result))


@lru_cache(maxsize=4)
def _job(chosen: Settings) -> dg.JobDefinition:
    """Making the definitions takes a tenth of the time of a small world, and asset checks take a third: exact.py checks instead."""
    return without_checks(build_defs(chosen)).resolve_job_def("world")


def _failure(result: dg.ExecuteInProcessResult) -> str:
    said = []
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None:
                said.append(error.message)
                error = error.cause
    return "\n".join(said)
