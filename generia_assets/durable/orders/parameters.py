"""What an order may say: its parameters as typed objects, and why something is none.

Here: each field's meaning and limits, for messages, launch forms, commands and MongoDB's documents alike. Not here: an order's
envelope (sensors/messages.py) and its recording (orders.py).
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, FailFast, Field, ValidationError, WithJsonSchema

from generia_assets.catalog import TaskType
from generia_assets.content.documents import Quality
from generia_assets.content.seeding import LARGEST_SEED
from generia_assets.content.text import clean
from generia_assets.durable.orders.item_keys import KEY_PATTERN, complaint
from resources.mongodb.connection import MongoDocument

PROMPT_LIMIT = 4_000
"""Characters of a user's sentence: several pages; more is a pasted document, which nobody meant as a world."""
MOST_KEYS = 10_000
"""Items that one order can make again; for more, leave out ``keys``, which means all of them."""

FIRST_YEAR, LAST_YEAR = 1970, 2199

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d")
_MOST_UNKNOWN = 20
"""Unknown fields of one message that are looked at."""

ModelT = TypeVar("ModelT", bound=BaseModel)
logger = logging.getLogger(__name__)


class OrderError(ValueError):
    """An order that cannot be recorded. The message names the field, the value and what to do."""


def worded(prompt: str) -> str:
    """The user's sentence as it is kept: without control characters. Raises ``ValueError`` that says what to change."""
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


Count = Annotated[int, BeforeValidator(_whole)]
ItemKey = Annotated[str, WithJsonSchema({"type": "string", "pattern": KEY_PATTERN})]
"""Which keys there are depends on the task type (item_keys.py), which says it better than a pattern."""


class WorldParametersOrder(BaseModel):
    """The parameters of ``init_world_creation``. A count is a whole number, not a text that looks like one."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    user_prompt: Annotated[str, AfterValidator(worded)] = Field(
        description="the world in a sentence or two, in the user's language; at least one letter, at most 4000 characters"
    )
    users_count: Count = Field(ge=1, description="characters, exactly so many; the installation has a limit (MAX_USERS)")
    posts_count: Count = Field(ge=0, description="posts, exactly so many; the installation has a limit (MAX_POSTS)")
    quality: Quality = Field(Quality.STANDARD, strict=False)
    created_at: Annotated[datetime, Field(strict=False), BeforeValidator(_moment), AfterValidator(_in_utc)] | None = Field(
        None, description="when the user ordered it, 1970 to 2199; without a time zone it is UTC"
    )
    max_cost_usd: float | None = Field(None, gt=0, allow_inf_nan=False, description="cap in US dollars; absent: the installation's")
    seed: Count | None = Field(
        None,
        ge=0,
        le=LARGEST_SEED,
        description="of all random draws; the same seed, user_prompt and counts give the same draws; absent: drawn from world_id",
    )

    def within(self, *, max_users: int, max_posts: int) -> WorldParametersOrder:
        """Itself, if it is no larger than what this installation accepts; else ``OrderError``."""
        for field, value, limit in (
            ("users_count", self.users_count, max_users),
            ("posts_count", self.posts_count, max_posts),
        ):
            if value > limit:
                raise OrderError(f"parameters.{field}={shortened(value)}: at most {limit} are accepted (MAX_USERS, MAX_POSTS)")
        return self


class PartParameters(BaseModel):
    """The parameters of the other eight task types, which make a part of a world again."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    keys: Annotated[tuple[ItemKey, ...], Field(strict=False), FailFast()] = Field(
        (), max_length=MOST_KEYS, description="these items only; none: all of them"
    )
    with_what_follows: bool = Field(
        True, description="also everything that is made of it; false: that part alone, and what was made of it may no longer fit"
    )


def validated_parameters(parameters: MongoDocument) -> WorldParametersOrder:
    """The parameters as a typed object. Raises ``OrderError`` naming each wrong field, its value and what is allowed."""
    return read_fields(WorldParametersOrder, parameters, "parameters.")


def stored_parameters(parameters: object) -> WorldParametersOrder:
    """The parameters of a task in MongoDB, which the platform may have written, as a typed object. Raises ``OrderError``."""
    if not isinstance(parameters, dict):
        raise OrderError(f"parameters={shortened(parameters)}: must be an object in MongoDB's task")
    given = {name: value for name, value in parameters.items() if value is not None and name != "task_id"}
    return read_fields(WorldParametersOrder, given, "in MongoDB's task parameters.")


def part_parameters(task_type: TaskType, parameters: MongoDocument) -> PartParameters:
    """The same for the task types that make a part of a world again. Raises ``OrderError``."""
    part = read_fields(PartParameters, parameters, "parameters.")
    if wrong := complaint(task_type, part.keys):
        raise OrderError(wrong)
    return part


def read_fields(model: type[ModelT], content: MongoDocument, prefix: str = "") -> ModelT:
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
        return model.model_validate(content)
    except ValidationError as error:
        raise OrderError("; ".join(explain(error, prefix))) from None


@lru_cache(maxsize=1_000)
def _log_unknown(name: str) -> None:
    logger.info("field %s is not known and is ignored; it is said once", name)


def explain(error: ValidationError, prefix: str = "") -> list[str]:
    """One sentence for each problem: field, value (shortened) unless it is missing, what is allowed."""
    sentences = []
    for problem in error.errors(include_url=False, include_context=False):
        value = "" if problem["type"] == "missing" else f"={shortened(problem['input'])}"
        said = problem["msg"].removeprefix("Value error, ")
        sentences.append(f"{prefix}{'.'.join(str(part) for part in problem['loc'])}{value}: {said}")
    return sentences


def shortened(value: object, limit: int = 80) -> str:
    """A value for a message: its repr, without control characters, cut."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
