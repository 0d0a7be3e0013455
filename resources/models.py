"""Model profiles (models.yaml) and the fleet's knowledge of which models are gone.

Here: prices, thinking style, successors. A model that the provider says is gone is retired once, for the whole fleet, by a note in
MongoDB; its configured successor takes over. A note holds for a day: then the model is tried again, so that a mistake of the
provider's (or of whoever stood in its place) mends itself. Not here: which answer says that a model is gone (gemini_errors.py).
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter
from pymongo.asynchronous.collection import AsyncCollection

from resources.mongo import MongoDocument
from resources.outcomes import FatalCallError
from resources.outside import Tokens

logger = logging.getLogger(__name__)

RETIRED_FOR = timedelta(days=1)
"""How long a model that is gone is asked nothing; afterwards one call finds out whether it still is."""

_ID = "models"


class Thinking(BaseModel):
    """How thinking is steered: by a token budget (2.5) or by a level (3.x); the other way is a 400."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    style: Literal["budget", "level"]
    value: int | str


class Price(BaseModel):
    """US dollars per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float
    output: float
    cached: float


class ModelProfile(BaseModel):
    """What the generator must know of a model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    thinking: Thinking
    sampling: bool
    max_output_tokens: int = 65_536
    price: Price
    cache_minimum: int
    successor: str | None = None

    def cost_usd(self, tokens: Tokens) -> float:
        """What these tokens cost."""
        fresh = tokens.prompt - tokens.cached
        return (fresh * self.price.input + tokens.cached * self.price.cached + tokens.output * self.price.output) / 1e6

    def worst_case_usd(self, *, prompt_bytes: int, max_output_tokens: int) -> float:
        """An upper bound of a call's cost: a token is at least one byte, nothing is cached, the whole room is used."""
        return (prompt_bytes * self.price.input + max_output_tokens * self.price.output) / 1e6


@cache
def model_profiles() -> dict[str, ModelProfile]:
    """All profiles of models.yaml by model id."""
    raw = yaml.safe_load((Path(__file__).parent / "models.yaml").read_text("utf-8"))
    return TypeAdapter(dict[str, ModelProfile]).validate_python({name: {"id": name, **body} for name, body in raw.items()})


def speaks_of(message: str, model: str) -> bool:
    """Whether an error's message names this model, and not one whose id only begins or ends like it."""
    return re.search(rf"(?<![\w.-]){re.escape(model)}(?![\w-]|\.\w)", message) is not None


class Retired(BaseModel):
    """The fleet's note of one model that is gone."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str
    at: datetime

    @property
    def until(self) -> datetime:
        """When the model is tried again."""
        return self.at + RETIRED_FOR


def retired_models(note: MongoDocument | None) -> list[Retired]:
    """Of the fleet's note (``fleet``, ``models``) the models that are asked nothing at this moment."""
    noted = [Retired.model_validate(entry) for entry in (note or {}).get("retired", [])]
    now = datetime.now(UTC)
    return [entry for entry in noted if entry.until > now]


class ModelRoster:
    """Which model is asked now: the configured one, or the successor of one that is gone."""

    def __init__(self, configured: str, fleet: AsyncCollection[MongoDocument]) -> None:
        profiles = model_profiles()
        if configured not in profiles:
            raise FatalCallError(f"GEMINI_MODEL={configured!r}: no such profile; resources/models.yaml has {sorted(profiles)}")
        self._profiles = profiles
        self._configured = profiles[configured]
        self._fleet = fleet
        self._retired: dict[str, datetime] | None = None  # until when; None: the fleet's note has not been read

    async def current(self) -> ModelProfile:
        """The profile to ask now; reads the fleet's note once."""
        if self._retired is None:
            self._retired = {entry.model: entry.until for entry in retired_models(await self._fleet.find_one({"_id": _ID}))}
        profile, now = self._configured, datetime.now(UTC)
        while self._retired.get(profile.id, now) > now:
            profile = self._successor(profile)
        return profile

    async def retire(self, model: str, reason: str) -> None:
        """This model is gone (404): its successor takes over here and in the whole fleet; the first to see it warns.

        The note comes first: when it cannot be written this raises, nothing has changed, and it can be done again.
        """
        if (await self.current()).id != model:
            return
        successor = self._successor(self._profiles[model], reason)
        noted = await self._fleet.update_one({"_id": _ID}, _note(model), upsert=True)
        self._retired = {**(self._retired or {}), model: datetime.now(UTC) + RETIRED_FOR}
        if noted.modified_count or noted.upserted_id:
            logger.warning("model %s is gone (%s); %s takes over for a day, for the whole fleet", model, reason, successor.id)

    def _successor(self, profile: ModelProfile, reason: str = "404") -> ModelProfile:
        if profile.successor is None:
            raise FatalCallError(
                f"model {profile.id} is gone ({reason}) and has no successor: set GEMINI_MODEL to a model that exists, or give it "
                "a successor in resources/models.yaml"
            )
        return self._profiles[profile.successor]


def _note(model: str) -> list[MongoDocument]:
    """The update that notes the model with the server's time. A note that still holds is left as it is."""
    oldest = {"$subtract": ["$$NOW", RETIRED_FOR // timedelta(milliseconds=1)]}
    holding = {"$filter": {"input": {"$ifNull": ["$retired", []]}, "as": "entry", "cond": {"$gt": ["$$entry.at", oldest]}}}
    added = {"$cond": [{"$in": [model, "$retired.model"]}, [], [{"model": model, "at": "$$NOW"}]]}
    return [{"$set": {"retired": holding}}, {"$set": {"retired": {"$concatArrays": ["$retired", added]}}}]
