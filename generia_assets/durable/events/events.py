"""Live events (R12): the messages of the topic ``generia-progress``, one pydantic class an event, version 1 (docs/events.md).

Fields may be added within a version, and a reader ignores what it does not know; anything else is a new version. Texts of users and
models are data: cleaned of control characters, and cut with an ellipsis at a generous length, so that every event stays far below
the largest message that Kafka takes by default (1 MB).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from generia_assets.content.documents import Character, Comment, Post, PostImage, Quality
from generia_assets.content.text import clean, cut
from generia_assets.durable.status import Stage, State
from resources import tracing

LONGEST_TEXT = 20_000
LONGEST_LINE = 2_000
LONGEST_LABEL = 200
MOST_LABELS = 50


def _cut_at(longest: int) -> BeforeValidator:
    return BeforeValidator(lambda value: cut(clean(value), longest) if isinstance(value, str) else value)


def _few(values: object) -> object:
    return tuple(values)[:MOST_LABELS] if isinstance(values, Sequence) else values


Text = Annotated[str, _cut_at(LONGEST_TEXT), Field(max_length=LONGEST_TEXT)]
Line = Annotated[str, _cut_at(LONGEST_LINE), Field(max_length=LONGEST_LINE)]
Label = Annotated[str, _cut_at(LONGEST_LABEL), Field(max_length=LONGEST_LABEL)]
Labels = Annotated[tuple[Label, ...], BeforeValidator(_few), Field(max_length=MOST_LABELS)]


_EVENT = ConfigDict(extra="ignore", frozen=True, json_schema_serialization_defaults_required=True)


class Standing(BaseModel):
    """Where the world stands by its status record, at the very moment of the event."""

    model_config = _EVENT

    name: Line = Field("", description="the world's name; '' until it is described")
    current_stage: Stage = Field(Stage.INITIALIZING, description="the first stage that is not over")
    users_created: int = Field(0, ge=0, description="characters that exist")
    posts_created: int = Field(0, ge=0, description="posts published")
    tasks_failed: int = Field(0, ge=0, description="tasks that failed for good; what hung on them was not made")
    cost_usd: float = Field(0.0, ge=0, description="US dollars spent on the world over all its generations")


class LiveEvent(BaseModel):
    """What every event has. One without a number has not happened yet: ``in_its_place`` (outbox.py) gives it its number."""

    model_config = _EVENT

    version: Literal[1] = Field(1, description="of the event's shape")
    event_type: str
    world_id: str = Field("", description="the world; also the message's key")
    generation: str | None = Field(
        None, description="id of the making of the world (or of parts of it) that this belongs to; null before the first"
    )
    run_id: str | None = Field(
        None, description="the run that owned the world then, to trace it in Dagster and in the logs; null where none did"
    )
    seq: int = Field(
        0,
        ge=0,
        description="the event's number in its world, from 1 without gaps; `progress` has the number of the event before it. An "
        "event may come twice: skip numbers that were seen",
    )
    at: datetime = Field(default_factory=lambda: datetime.now(UTC), description="when it happened, UTC")
    traceparent: str = Field(default_factory=tracing.traceparent, exclude=True)
    """The trace context in which it happened, or ''. It is sent as a header."""


class WorldCreated(LiveEvent):
    """A world was ordered; its run comes when there is room for it."""

    event_type: Literal["world_created"] = "world_created"
    task_id: str = Field(description="the order")
    user_prompt: Text
    users_count: int = Field(ge=1)
    posts_count: int = Field(ge=0)
    quality: Quality
    priority: int = Field(0, description="of the world among all worlds, -10 to 10")


class StageStarted(LiveEvent):
    """The first task of a stage began. Stages overlap: a character's posts do not wait for the other characters."""

    event_type: Literal["stage_started"] = "stage_started"
    stage: Stage


class StageFinished(LiveEvent):
    """All tasks of a stage that was started have ended."""

    event_type: Literal["stage_finished"] = "stage_finished"
    stage: Stage


class Progress(Standing, LiveEvent):
    """Where the world stands; at most twice a second, never repeated, and not kept: the next one says more."""

    event_type: Literal["progress"] = "progress"
    status: State
    tasks_total: int = Field(ge=0, description="tasks known by now")
    tasks_completed: int = Field(ge=0)
    task_predicted: int = Field(ge=0, description="tasks there will be")
    users_predicted: int = Field(ge=0)
    posts_predicted: int = Field(ge=0)


class CharacterCreated(LiveEvent):
    """A character exists on the platform."""

    event_type: Literal["character_created"] = "character_created"
    key: str = Field(description="name inside the world, the same in every generation, such as c0007")
    character_id: str = Field(description="the platform's id")
    username: Line
    display_name: Line
    bio: Line
    avatar_url: str | None = Field(None, description="null while the picture is not there; posts tell it later")


class PostPublished(LiveEvent):
    """A post exists on the platform: all that a feed shows of it."""

    event_type: Literal["post_published"] = "post_published"
    key: str = Field(description="name inside the world, the same in every generation, such as c0007-p0003")
    post_id: str = Field(description="the platform's id")
    character_id: str
    character_key: str
    username: Line
    display_name: Line
    avatar_url: str | None = Field(description="null when the picture was not there yet")
    content: Text
    hashtags: Labels
    mentions: Labels = Field(description="usernames that exist in the world")
    mood: Line
    location: Line
    moment: Line = Field(description="when, in the world's own time")
    time_of_day: Line
    image_url: str
    published_at: datetime
    deleted: bool = Field(description="true: a placeholder for a post that moderation refused")
    t: int = Field(0, ge=0, description="place in the order of the world, unique, from 0: posts are published in it")
    after: int = Field(0, ge=0, description="how many events of the world's calendar have happened by then")
    in_reply_to: Line = Field("", description="key of the earlier post that it replies to, or ''")
    quote: Text = Field("", description="the text of that post, as it was when it was replied to, or ''")
    comments: tuple[Comment, ...] = Field((), description="what others and the author say below it, in order")


class Waiting(LiveEvent):
    """The world waits for something outside; ``going_on`` follows, or ``parked``."""

    event_type: Literal["waiting"] = "waiting"
    api: str = Field(description="what is waited for: llm, image_generation or platform")
    reason: Line


class ParkedByOutage(LiveEvent):
    """The outage lasts: the world's run ended, nothing is lost, another run tries again by itself; ``going_on`` follows."""

    event_type: Literal["parked"] = "parked"
    reason: Line


StoodStill: TypeAlias = Literal["waiting", "parked", "interruption", "resume"]


class GoingOn(LiveEvent):
    """Work goes on after it stood still."""

    event_type: Literal["going_on"] = "going_on"
    after: StoodStill = Field(
        description="waiting: what was waited for answers again; parked: another run tries again after an outage; interruption: "
        "the run died or was interrupted, and another one took the world up (nothing was told when it stopped); resume: the world "
        "was cancelled or had failed, and somebody let it go on"
    )


class Completed(Standing, LiveEvent):
    """The generation's last word: everything is made, stored and published."""

    event_type: Literal["completed"] = "completed"


class Failed(Standing, LiveEvent):
    """The generation ended without success. What exists stays, a world completed before it is completed as it was; it can go on
    later, and then ``going_on`` follows."""

    event_type: Literal["failed"] = "failed"
    message: Line = Field(description="what happened, for a person")


class Cancelled(Standing, LiveEvent):
    """The generation was ended on purpose. What exists stays; it goes on when somebody says so, and then ``going_on`` follows."""

    event_type: Literal["cancelled"] = "cancelled"
    reason: Literal["stopped", "budget"] = Field(description="a person stopped it, or a limit of calls or dollars was reached")
    message: Line = Field(description="what happened, for a person")


AnyEvent: TypeAlias = Annotated[
    WorldCreated
    | StageStarted
    | StageFinished
    | Progress
    | CharacterCreated
    | PostPublished
    | Waiting
    | ParkedByOutage
    | GoingOn
    | Completed
    | Failed
    | Cancelled,
    Field(discriminator="event_type"),
]
EVENTS: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)
"""Reads an event's JSON body back into its class."""


def character_created(character: Character) -> CharacterCreated:
    return CharacterCreated.model_validate(dict(character))


def post_published(character: Character, post: Post, published: PostImage, avatar_url: str | None) -> PostPublished:
    """The event of a post that now exists, with the document's fields. ``avatar_url`` None: the picture is not there yet."""
    about = {
        "post_id": published.post_id,
        "image_url": published.image.url,
        "published_at": published.published_at,
        "character_id": character.character_id,
        "character_key": character.key,
        "username": character.username,
        "display_name": character.display_name,
        "avatar_url": avatar_url,
        "deleted": bool(post.deleted_reason),
    }
    return PostPublished.model_validate(dict(post) | about)
