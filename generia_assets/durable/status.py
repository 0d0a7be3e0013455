"""The status record of a world (R2, R11): the one collection that the platform reads, twice a second, for its progress bar.

Here: its shape, how it begins, and which stages it goes through. Not here: who moves it (commits.py, ownership.py, account.py),
always by one atomic update, so that its counters agree with the tasks collection at every moment.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from resources.mongo import MongoDocument


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


class Waiting(BaseModel):
    """What a world waits for while an outage lasts."""

    api: str
    reason: str
    since: datetime


class Failure(BaseModel):
    """A task that failed for good: which, and why."""

    task_id: str
    type: str
    key: str
    error: str


class Parked(StrEnum):
    """Why a world that is not finished is not being worked on."""

    OUTAGE = "outage"
    STOPPED = "stopped"
    BUDGET = "budget"
    RESUMED = "resumed"
    """A person let it go on (resuming.py); the watchdog has not ordered it yet."""


class Park(BaseModel):
    """Why a world that is not finished is not being worked on (``Parked``), since when, and until when if somebody said so."""

    kind: str
    since: datetime
    until: datetime | None = None
    retries: int = 0
    """Suspensions in a row in which no task was completed, of those that must not go on for ever; 0 for others."""
    tasks_completed: int = 0


class Owner(BaseModel):
    """The run that owns the world now. ``epoch`` grows with every owner, so that a former one is recognised."""

    run_id: str | None = None
    epoch: int = 0
    expires_at: datetime | None = None


class WorldStatus(BaseModel):
    """The status record as it is read. The contract's fields first; then ours."""

    model_config = ConfigDict(populate_by_name=True, extra="ignore")

    world_id: str = Field(alias="_id")
    status: State
    current_stage: Stage
    stages: list[StageState]
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
    llm_cost_total: float
    image_cost_total: float
    parameters: MongoDocument
    created_at: datetime
    updated_at: datetime

    name: str = ""
    message: str = ""
    resumable: bool = False
    parked: Park | None = None
    waiting_for: Waiting | None = None
    failures: list[Failure] = []
    generation: str | None = None
    unfinished: str | None = None
    """Of a completed world: the generation that was to make something of it again, and was left unfinished (fallback.py)."""
    superseded: dict[str, int] = {}
    """How much the platform still has of what the world no longer consists of, by kind (publications.py)."""
    owner: Owner = Owner()
    cost_reserved_usd: float = 0.0
    cost_limit_usd: float | None = None
    takeovers: int = 0
    calls_excused: int = 0
    events_seq: int = 0
    events_sent: int = 0
    first_post_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def done(self) -> bool:
        """True when the platform stops asking."""
        return self.status in (State.COMPLETED, State.FAILED)

    @property
    def cost_usd(self) -> float:
        """US dollars spent on this world over all its generations."""
        return self.llm_cost_total + self.image_cost_total


def new_status(world_id: str, parameters: MongoDocument, *, users: int, posts: int) -> MongoDocument:
    """The record as it stands when the order has been seen and no run has begun: no blank page, never an empty ``stages``."""
    now = datetime.now(UTC)
    return {
        "_id": world_id,
        "status": State.PENDING.value,
        "current_stage": Stage.INITIALIZING.value,
        "stages": [{"name": stage.value, "status": State.PENDING.value} for stage in Stage],
        "tasks_total": 1,
        "tasks_completed": 0,
        "tasks_failed": 0,
        "task_predicted": 1,
        "users_created": 0,
        "posts_created": 0,
        "users_predicted": users,
        "posts_predicted": posts,
        "api_call_limits_LLM": 0,
        "api_call_limits_images": 0,
        "api_calls_made_LLM": 0,
        "api_calls_made_images": 0,
        "llm_cost_total": 0.0,
        "image_cost_total": 0.0,
        "parameters": parameters,
        "created_at": now,
        "updated_at": now,
        "name": "",
        "message": "",
        "resumable": False,
        "parked": None,
        "waiting_for": None,
        "failures": [],
        "generation": None,
        "unfinished": None,
        "owner": {"run_id": None, "epoch": 0, "expires_at": None},
        "in_flight": {},
        "cost_reserved_usd": 0.0,
        "cost_limit_usd": None,
        "takeovers": 0,
        "calls_excused": 0,
        "events_seq": 0,
        "events_sent": 0,
        "finished_at": None,
    }
