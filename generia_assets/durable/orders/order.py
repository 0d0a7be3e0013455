"""The order: what somebody wants made, as a typed object, with every rule that needs neither MongoDB nor the installation's limits.

One model for messages, launch forms, commands and MongoDB's documents; each door parses once (``parse_parameters``) and passes an
``Order`` on. Not here: the message's envelope (sensors/messages.py).
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from generia_assets.asset_spec import Unit
from generia_assets.catalog import TaskType
from generia_assets.content.documents import Quality
from generia_assets.content.keys import WORLD_KEY
from generia_assets.content.seeding import LARGEST_SEED
from generia_assets.content.text import clean
from generia_assets.durable.status import HIGHEST_PRIORITY
from resources.explanation import explain, shortened
from resources.gemini.tiers import ServiceTier
from resources.mongodb.stored import MongoDocument

WORLD_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""What may name a world: the platform's UUIDs, and short names a person types in the UI. Safe as partition key and folder name."""
PROMPT_LIMIT = 4_000
"""Characters of a user's sentence: several pages; more is a pasted document, which nobody meant as a world."""
MOST_KEYS = 10_000
"""Items that one order can make again; for more, leave out ``keys``, which means all of them."""
FIRST_YEAR, LAST_YEAR = 1970, 2199
TASK_CREATED = "task_created"
"""Type of the message that carries an order."""

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d")
_MOST_UNKNOWN = 20
"""Unknown fields of one message that are looked at."""

_WORLD = (WORLD_KEY, re.compile(WORLD_KEY))
_PERSON = ("a person, such as c0007", re.compile("c[0-9]{4,9}"))
_POST = ("a post, such as c0007-p0003", re.compile("c[0-9]{4,9}-p[0-9]{4,9}"))
_KEYS_OF = {
    Unit.WORLD: (_WORLD,),
    Unit.PEOPLE_BATCH: (_PERSON,),
    Unit.PERSON: (_PERSON,),
    Unit.POST_BATCH: (_PERSON,),
    Unit.POST: (_PERSON, _POST),
}
"""The keys that each part of a world takes. A key of something else would make an order that does nothing and is completed."""

ModelT = TypeVar("ModelT", bound=BaseModel)
logger = logging.getLogger(__name__)


class OrderError(ValueError):
    """An order that cannot be recorded. The message names the field, the value and what to do."""


def _prompt(prompt: str) -> str:
    cleaned = clean(prompt)
    if not any(character.isalpha() for character in cleaned):
        raise ValueError("has no words; describe the world in a sentence or two")
    if len(cleaned) > PROMPT_LIMIT:
        raise ValueError(f"has {len(cleaned):,} characters; shorten it to {PROMPT_LIMIT:,}")
    return cleaned


def _whole(count: object) -> object:
    # 5.0 is the number 5 in JSON and in MongoDB; true, "5" and 5.5 are not.
    return int(count) if isinstance(count, float) and count.is_integer() else count


def _moment(value: object) -> object:
    # MongoDB has dates. Of texts pydantic would also take "1700000000".
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC3339.match(value)):
        return value
    raise ValueError("must be a time by RFC 3339, such as 2026-03-01T12:00:00Z")


def _in_utc(moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:  # within a day of the year 1 or 9999 a moment has no UTC
        raise ValueError(f"must be in the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _item_key(key: str, info: ValidationInfo) -> str:
    allowed = _KEYS_OF[info.context.asset.unit] if info.context else (_WORLD, _PERSON, _POST)
    if any(pattern.fullmatch(key) for _, pattern in allowed):
        return key
    of = f" of {info.context}" if info.context else ""
    raise ValueError(f"a key{of} is {' or '.join(words for words, _ in allowed)}; leave keys out to make all of it again")


Count = Annotated[int, BeforeValidator(_whole)]
ItemKey = Annotated[
    str,
    AfterValidator(_item_key),
    WithJsonSchema({"type": "string", "pattern": rf"^({WORLD_KEY}|c[0-9]{{4,9}}(-p[0-9]{{4,9}})?)$"}),
]


class _OrderParameters(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    def document(self) -> MongoDocument:
        """The parameters as messages and MongoDB's tasks have them."""
        return self.model_dump(mode="json", exclude_defaults=True)


class WorldParameters(_OrderParameters):
    """The parameters of ``init_world_creation``. A count is a whole number, not a text that looks like one."""

    user_prompt: Annotated[str, AfterValidator(_prompt)] = Field(
        description="the world in a sentence or two, in the user's language; at least one letter, at most 4000 characters"
    )
    users_count: Count = Field(ge=1, description="characters, exactly so many; the installation has a limit (MAX_USERS)")
    posts_count: Count = Field(ge=0, description="posts, exactly so many; the installation has a limit (MAX_POSTS)")
    quality: Quality = Field(Quality.STANDARD, strict=False)
    created_at: Annotated[datetime, Field(strict=False), BeforeValidator(_moment), AfterValidator(_in_utc)] | None = Field(
        None, description="when the user ordered it, 1970 to 2199; without a time zone it is UTC"
    )
    max_cost_usd: float | None = Field(None, gt=0, allow_inf_nan=False, description="cap in US dollars; absent: the installation's")
    service_tier: ServiceTier | None = Field(
        None,
        strict=False,
        description="of the language model's calls: flex costs half and is slow, priority costs 1.8 times as much, economy is "
        "standard for the first posts and flex for the rest; absent: the installation's",
    )
    seed: Count | None = Field(
        None,
        ge=0,
        le=LARGEST_SEED,
        description="of all random draws; the same seed, user_prompt and counts give the same draws; absent: drawn from world_id",
    )
    priority: Count = Field(
        0,
        ge=-HIGHEST_PRIORITY,
        le=HIGHEST_PRIORITY,
        description="of the world among all worlds: higher ones begin first, and two steps more are twice as many calls at once",
    )

    def document(self) -> MongoDocument:
        """As of every order, with the defaults."""
        return self.model_dump(mode="json", exclude_none=True)

    def at_tier(self, installed: ServiceTier) -> WorldParameters:
        """The parameters with a tier: their own, else this one (SERVICE_TIER), which stays the world's."""
        return self if self.service_tier else self.model_copy(update={"service_tier": installed})

    def require_within(self, *, max_users: int, max_posts: int) -> None:
        """Raise ``OrderError`` for a world that is larger than this installation accepts."""
        for name, value, limit in (("users_count", self.users_count, max_users), ("posts_count", self.posts_count, max_posts)):
            if value > limit:
                raise OrderError(f"parameters.{name}={shortened(value)}: at most {limit} are accepted (MAX_USERS, MAX_POSTS)")


class StoredParameters(WorldParameters):
    """The parameters of a world as its status record has them, which no order names."""

    former_sizes: Annotated[tuple[Annotated[tuple[Count, Count], Field(strict=False)], ...], Field(strict=False)] = Field(
        (), description="people and posts that the world had before each of its extensions, in order"
    )

    def extended(self, by: ExtensionParameters, max_cost_usd: float | None) -> StoredParameters:
        """The parameters of the world with what this extension adds. ``max_cost_usd``: where it names no cap of its own."""
        new = {
            "users_count": self.users_count + by.add_users,
            "posts_count": self.posts_count + by.add_posts,
            "former_sizes": (*self.former_sizes, (self.users_count, self.posts_count)),
            "max_cost_usd": by.max_cost_usd or max_cost_usd,
        }
        return self.model_copy(update=new)


class ExtensionParameters(_OrderParameters):
    """The parameters of ``init_world_creation`` for a world that is completed: what it gets more of."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["add_users"]}, {"required": ["add_posts"]}]})

    add_users: Count = Field(0, ge=0, description="characters who join; what there is stays as it is")
    add_posts: Count = Field(0, ge=0, description="posts that come after all others, by old and new characters")
    max_cost_usd: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="cap in US dollars, of all that the world has cost; absent: as it is"
    )

    @model_validator(mode="after")
    def _adds_something(self) -> ExtensionParameters:
        if not (self.add_users or self.add_posts):
            raise ValueError("add_users and add_posts: 0; an extension adds one or more of something")
        return self


class PartParameters(_OrderParameters):
    """The parameters of the other eight task types, which make a part of a world again."""

    keys: Annotated[tuple[ItemKey, ...], Field(strict=False), FailFast()] = Field(
        (), max_length=MOST_KEYS, description="these items only; none: all of them"
    )
    with_what_follows: bool = Field(
        True, description="also everything that is made of it; false: that part alone, and what was made of it may no longer fit"
    )


Parameters: TypeAlias = WorldParameters | ExtensionParameters | PartParameters


@dataclass(frozen=True)
class Order:
    """An order, right in itself. ``parameters`` None: MongoDB's task ``task_id`` has them. ``traceparent``: its trace, or ''."""

    world_id: str
    parameters: Parameters | None
    task_type: TaskType = TaskType.INIT_WORLD_CREATION
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    traceparent: str = ""

    def message(self) -> bytes:
        named = {"event_type": TASK_CREATED, "task_id": self.task_id, "task_type": self.task_type.value, "world_id": self.world_id}
        parameters = {} if self.parameters is None else {"parameters": self.parameters.document()}
        return json.dumps(named | parameters, ensure_ascii=False).encode()


def parse_world(content: MongoDocument) -> WorldParameters:
    """The parameters of a whole world. Raises ``OrderError`` naming each wrong field, its value and what is allowed."""
    return parse_fields(WorldParameters, content, "parameters.")


def is_extension(task_type: TaskType | None, content: object) -> bool:
    """Whether the parameters of a task of this type extend a world: they name what is added."""
    named = content if isinstance(content, dict) else {}
    return task_type is TaskType.INIT_WORLD_CREATION and not named.keys().isdisjoint({"add_users", "add_posts"})


def parse_parameters(task_type: TaskType, content: MongoDocument) -> Parameters:
    """The parameters of a task of this type, as a message has them. Raises ``OrderError`` as ``parse_world`` does."""
    if is_extension(task_type, content):
        if "user_prompt" in content:
            raise OrderError("parameters.user_prompt: an order with add_users or add_posts extends a world that has its sentence")
        return parse_fields(ExtensionParameters, content, "parameters.")
    if task_type is TaskType.INIT_WORLD_CREATION:
        return parse_world(content)
    return parse_fields(PartParameters, content, "parameters.", task_type)  # whose keys are those of this task type


def parse_stored(parameters: object) -> StoredParameters:
    """The parameters of a world in its status record, or in the task that the platform may have written. Raises ``OrderError``."""
    if not isinstance(parameters, dict):
        raise OrderError(f"parameters={shortened(parameters)}: must be an object in MongoDB's task")
    given = {name: value for name, value in parameters.items() if value is not None and name != "task_id"}
    return parse_fields(StoredParameters, given, "in MongoDB's task parameters.")


def parse_fields(model: type[ModelT], content: MongoDocument, prefix: str = "", task_type: TaskType | None = None) -> ModelT:
    """The content as the model has it. A field it does not know is logged once and ignored. Raises ``OrderError``.

    One that looks like a field that is left out is refused: a misspelt ``keys`` would make everything again, a misspelt
    ``max_cost_usd`` would have no cap.
    """
    absent = model.model_fields.keys() - content.keys()
    for name in sorted(content.keys() - model.model_fields.keys())[:_MOST_UNKNOWN]:
        if meant := get_close_matches(name[:100], absent, 1, cutoff=0.85):
            raise OrderError(f"{prefix}{shortened(name)[1:-1]}: there is no such field; is {prefix}{meant[0]} meant?")
        _log_unknown(prefix + shortened(name)[1:-1])
    try:
        return model.model_validate(content, context=task_type)
    except ValidationError as error:
        raise OrderError(explain(error, prefix=prefix, values=True)) from None


@lru_cache(maxsize=1_000)
def _log_unknown(name: str) -> None:
    logger.info("field %s is not known and is ignored; this is logged once", name)
