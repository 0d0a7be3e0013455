"""Model profiles (models.yaml) and the fleet's knowledge of which models are gone.

Here: prices, thinking style, successors. A model that answers 404 is retired once, for the whole fleet, by a note in MongoDB;
its configured successor takes over.
"""

from __future__ import annotations

import logging
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


class ModelRoster:
    """Which model is asked now: the configured one, or the successor of one that is gone."""

    def __init__(self, configured: str, fleet: AsyncCollection[MongoDocument]) -> None:
        profiles = model_profiles()
        if configured not in profiles:
            raise FatalCallError(f"GEMINI_MODEL={configured!r}: no such profile; resources/models.yaml has {sorted(profiles)}")
        self._profiles = profiles
        self._current = profiles[configured]
        self._fleet = fleet
        self._read = False

    async def current(self) -> ModelProfile:
        """The profile to ask now; reads the fleet's note once."""
        if not self._read:
            note = await self._fleet.find_one({"_id": _ID}) or {}
            gone = set(note.get("gone", []))
            while self._current.id in gone:
                self._current = self._successor(self._current)
            self._read = True
        return self._current

    async def retire(self, model: str, reason: str) -> None:
        """This model is gone (404): its successor takes over here and in the whole fleet; the first to see it warns."""
        if self._current.id != model:
            return
        self._current = self._successor(self._current, reason)
        noted = await self._fleet.update_one({"_id": _ID}, {"$addToSet": {"gone": model}}, upsert=True)
        if noted.modified_count or noted.upserted_id:
            logger.warning("model %s is gone (%s); %s takes over for the whole fleet", model, reason, self._current.id)

    def _successor(self, profile: ModelProfile, reason: str = "404") -> ModelProfile:
        if profile.successor is None:
            raise FatalCallError(
                f"model {profile.id} is gone ({reason}) and has no successor: set GEMINI_MODEL to a model that exists, or give it "
                "a successor in resources/models.yaml"
            )
        return self._profiles[profile.successor]
