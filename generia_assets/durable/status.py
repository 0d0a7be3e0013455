"""The status record of a world (R2, R11): the one collection that the platform reads, twice a second, for its progress bar.

Whoever moves it (leases/, calls/ledger.py) does so by one atomic update, so that its counters agree with the tasks collection at
every moment. ``status_of`` and ``statuses`` are the only ways of reading it.

The old worker's records are *history*: they lack ``HISTORY_LACKS``, can be read, and are never worked on. Queries that look for
work add ``OURS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, computed_field
from pydantic_core import to_jsonable_python

from generia_assets.durable.collections import STATUS
from resources.gemini.tiers import ServiceTier
from resources.mongodb.stored import Moment, MongoDocument, UnreadableRecord, readable, required


class State(StrEnum):
    """A world's, a stage's and a task's state, by the contract's words."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"


class Stage(StrEnum):
    """The stages in the order in which the platform shows them."""

    INITIALIZING = "initializing"
    WORLD_DESCRIPTION = "world_description"
    WORLD_IMAGE = "world_image"
    CHARACTERS = "characters"
    POSTS = "posts"
    FINISHING = "finishing"


class StageState(BaseModel):
    """One stage's entry in ``stages``."""

    name: Stage
    status: State


class WaitingCall(BaseModel):
    """What a world waits for while an outage lasts."""

    api: str
    reason: str
    since: Moment


class Failure(BaseModel):
    """A task that failed for good: which, and why."""

    task_id: str
    type: str
    key: str
    error: str


class SuspendReason(StrEnum):
    """Why a world that is not finished is not being worked on."""

    OUTAGE = "outage"
    STOPPED = "stopped"
    BUDGET = "budget"
    RESUMED = "resumed"
    """A person let it go on (tasks/control.py); the watchdog has not ordered it yet."""


class Suspension(BaseModel):
    """Why a world that is not finished is not being worked on (``SuspendReason``), since when, and until when if somebody
    said so."""

    kind: str
    since: Moment
    until: Moment | None = None
    retries: int = 0
    """Suspensions in a row in which no task was completed, of those that must not go on for ever; 0 for others."""
    tasks_completed: int = 0


class Owner(BaseModel):
    """The run that owns the world now. ``epoch`` grows with every owner, so that a former one is recognised."""

    run_id: str | None = None
    epoch: int = 0
    expires_at: Moment | None = None


HIGHEST_PRIORITY = 10
"""Of a world; the lowest is its negative."""
HISTORY_LACKS = ("llm_cost_total", "image_cost_total", "owner", "generation")
"""Fields that the old worker's records do not have. A record that lacks one of them is history."""
OURS: MongoDocument = {field: {"$exists": True} for field in HISTORY_LACKS}
"""Finds the records that a run of this generator may work on, by what history lacks."""
UNFINISHED: MongoDocument = {"$in": [State.PENDING.value, State.IN_PROGRESS.value]}
"""Finds, as the value of ``status``, worlds and tasks that are not over."""


def unowned(at: datetime) -> list[MongoDocument]:
    """Finds, as the value of ``$or``, worlds that no run owns, or whose owner's lease was over at this moment."""
    return [{"owner.run_id": None}, {"owner.expires_at": {"$lt": at}}]


def _plain(parameters: MongoDocument) -> MongoDocument:
    to_jsonable_python(parameters)  # raises a ValueError for what no JSON has: everybody who is shown a world is shown these
    return parameters


class WorldStatus(BaseModel):
    """The status record as it is read. The contract's fields first; then ours, which the old worker's records do not have."""

    model_config = ConfigDict(populate_by_name=True, extra="ignore")

    world_id: str = Field(alias="_id")
    status: State
    current_stage: Stage
    stages: list[StageState] = Field(min_length=1)
    tasks_total: int
    tasks_completed: int
    tasks_failed: int
    task_predicted: int
    users_created: int
    posts_created: int
    users_predicted: int
    posts_predicted: int
    api_call_limits_LLM: int  # noqa: N815  the contract's name
    api_call_limits_images: int
    api_calls_made_LLM: int  # noqa: N815  the contract's name
    api_calls_made_images: int
    llm_cost_total: FiniteFloat = 0.0
    image_cost_total: FiniteFloat = 0.0
    parameters: Annotated[MongoDocument, AfterValidator(_plain)]
    created_at: Moment
    updated_at: Moment

    name: str = ""
    priority: int = 0
    """Among all worlds, as it is now: ordered with the world, changed by ``generia prioritise``."""
    message: str = ""
    resumable: bool = False
    parked: Suspension | None = None
    waiting_for: WaitingCall | None = None
    failures: list[Failure] = []
    generation: str | None = None
    unfinished: str | None = None
    """Of a completed world: the generation that was to make something of it again, and was left unfinished (generations.py)."""
    ordered_by: str = ""
    """Who ordered what was made last: a message's task, or the job or button of a person."""
    superseded: dict[str, int] = {}
    """How much the platform still has of what the world no longer consists of, by kind (assets/materialized.py)."""
    owner: Owner = Owner()
    cost_reserved_usd: FiniteFloat = 0.0
    cost_limit_usd: FiniteFloat | None = None
    takeovers: int = 0
    calls_excused: int = 0
    events_seq: int = 0
    events_sent: int = 0
    deleting_since: Moment | None = None
    stopped_with: str | None = None
    """Of a world that was stopped together with others: the command (leases/brake.py)."""
    first_post_at: Moment | None = None
    finished_at: Moment | None = None

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def history(self) -> bool:
        """True for a record of the old worker: it can be read, and nobody works on it any more, whatever its state."""
        return not self.model_fields_set.issuperset(HISTORY_LACKS)

    @property
    def order_task(self) -> str | None:
        return self.parameters.get("task_id")

    @property
    def service_tier(self) -> ServiceTier:
        """At which the world's calls of the language model are made; standard where the order is older than tiers."""
        named = self.parameters.get("service_tier")
        return ServiceTier(named) if named in list(ServiceTier) else ServiceTier.STANDARD

    @property
    def owned(self) -> bool:
        expires_at = self.owner.expires_at
        return self.owner.run_id is not None and expires_at is not None and expires_at > datetime.now(UTC)

    def is_suspended(self, *reasons: SuspendReason) -> bool:
        return self.parked is not None and self.parked.kind in reasons

    @property
    def done(self) -> bool:
        """True when the platform stops asking."""
        return self.status in (State.COMPLETED, State.FAILED)

    @property
    def cost_usd(self) -> float:
        """US dollars spent on this world over all its generations."""
        return self.llm_cost_total + self.image_cost_total


class HistoryWorldError(LookupError):
    """Somebody wants to work on a world that the old worker made. The message names what can be done instead."""


def status_of(record: object) -> WorldStatus:
    """The status record. Raises ``UnreadableRecordError``."""
    return required(WorldStatus, record, STATUS)


def statuses(records: Iterable[object], unreadable: Callable[[UnreadableRecord], object]) -> Iterator[WorldStatus]:
    """The status records that can be read, in their order; ``unreadable`` is called with the others."""
    return readable(WorldStatus, records, STATUS, unreadable)


def world_to_work_on(record: object) -> WorldStatus:
    """The status record of a world that work is wanted on. Raises ``HistoryWorldError`` or ``UnreadableRecordError``."""
    status = status_of(record)
    if status.deleting_since:
        raise HistoryWorldError(f"world {status.world_id} is being deleted; to finish that: generia delete {status.world_id}")
    if status.history:
        raise HistoryWorldError(
            f"world {status.world_id} was made by the former worker: it is history, and no run works on it; order a new world"
        )
    return status


RELEASED: MongoDocument = {"no_calls_until": None, "stopped_with": None}
"""Values of a status record of a world whose calls nobody holds (leases/brake.py)."""
STOPPED_MESSAGE = "stopped; generia resume goes on where it stopped"


def stopped_values() -> MongoDocument:
    """The values of a status record that record that a person stopped the world, and that no run owns it."""
    now = datetime.now(UTC)
    return {
        "parked": {"kind": SuspendReason.STOPPED.value, "since": now},
        "message": STOPPED_MESSAGE,
        "waiting_for": None,
        "updated_at": now,
        "owner.run_id": None,
        "owner.expires_at": None,
    }


def failed_values(message: str, *, resumable: bool) -> MongoDocument:
    now = datetime.now(UTC)
    return {
        "status": State.FAILED.value,
        "message": message,
        "resumable": resumable,
        "parked": None,
        "waiting_for": None,
        "updated_at": now,
        "finished_at": now,
        **RELEASED,
    }


def new_status(world_id: str, parameters: MongoDocument, order_task: str | None = None, *, users: int, posts: int) -> MongoDocument:
    """The record as it stands when the order has been seen and no run has begun: no blank page, never an empty ``stages``."""
    now = datetime.now(UTC)
    return {
        "_id": world_id,
        "status": State.PENDING.value,
        "current_stage": Stage.INITIALIZING.value,
        "stages": [{"name": stage.value, "status": State.PENDING.value} for stage in Stage],
        "tasks_total": 1,
        "task_predicted": 1,
        "users_predicted": users,
        "posts_predicted": posts,
        "parameters": {"task_id": order_task, **parameters},
        "created_at": now,
        "updated_at": now,
        "name": "",
        "priority": parameters.get("priority", 0),
        "message": "",
        "resumable": False,
        "failures": [],
        "owner": Owner().model_dump(),
        "in_flight": {},
        **dict.fromkeys(("tasks_completed", "tasks_failed", "users_created", "posts_created"), 0),
        **dict.fromkeys(("api_call_limits_LLM", "api_call_limits_images", "api_calls_made_LLM", "api_calls_made_images"), 0),
        **dict.fromkeys(("takeovers", "calls_excused", "events_seq", "events_sent"), 0),
        **dict.fromkeys(("llm_cost_total", "image_cost_total", "cost_reserved_usd"), 0.0),
        **dict.fromkeys(("parked", "waiting_for", "generation", "unfinished", "cost_limit_usd", "finished_at"), None),
    }
