"""The model to ask now: the configured one, or the successor of a model that ended or is gone.

Here: the fleet's notes about models, from the API's answers. Each is written once to MongoDB, for all processes, with one warning,
and holds for a day: then the model is tried again, so that a temporary mistake of the provider (or of a proxy) has no lasting
effect. Not here: the table of models (models.py), and judging answers (answers.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import BaseModel

from resources.gateway.outcomes import CallError, FatalCallError, ModelMissingError, ParameterRefusedError
from resources.gemini import models
from resources.gemini.models import RESERVED_AHEAD, ModelProfile, Price, dearest, line_of, model_profiles, profile_of
from resources.gemini.tiers import CallTier, tiers_served

if TYPE_CHECKING:
    from pymongo.asynchronous.collection import AsyncCollection

    from resources.mongodb.stored import MongoDocument

logger = logging.getLogger(__name__)

RETIRED_FOR = timedelta(days=1)
"""How long a note about a model holds; afterwards one call finds out whether it still applies."""

_ID = "models"
Sending = Literal["thinking", "sampling", "tiers"]
"""A field of a profile that says which parameters are sent."""
_FIELD_OF: dict[str, Sending] = {"thinking": "thinking", "temperature": "sampling", "service_tier": "tiers"}
"""The field by a part of the parameter's name."""
_LEFT_OUT: dict[Sending, object] = {"thinking": None, "sampling": False, "tiers": {}}
"""The field's value when the parameter is not sent."""


class ModelReplacedError(CallError):
    """The call was not made: while it waited, the model to ask or its parameters changed."""

    outcome = "model_replaced"


class Note(BaseModel, frozen=True):
    """One observation about a model."""

    model: str
    at: datetime


class Retired(Note):
    """The model is not asked; its ``successor`` (None: that of its profile) is asked instead. ``reason``: a short text."""

    successor: str | None = None
    reason: str = "is gone (404)"


class RefusedParameter(Note):
    """The model is asked without the parameter of this field of its profile."""

    field: Sending


class Unknown(Note):
    """``version`` answered for the model and has no profile: its calls cost as much as the most expensive model's."""

    version: str


NoteT = TypeVar("NoteT", bound=Note)


class FleetNotes(BaseModel):
    """The fleet's notes, in the document ``models`` of the collection ``fleet``."""

    retired: list[Retired] = []
    refused: list[RefusedParameter] = []
    unknown: list[Unknown] = []

    def holding(self) -> FleetNotes:
        return FleetNotes(retired=_holding(self.retired), refused=_holding(self.refused), unknown=_holding(self.unknown))

    def sentences(self) -> list[str]:
        sentences: list[tuple[Note, str]] = [
            *((note, f"{note.model} {note.reason}; {note.successor or 'its successor'} is asked") for note in self.retired),
            *((note, f"{note.model} is asked without what its profile says of {note.field}") for note in self.refused),
            *((note, f"{note.version} answers for {note.model}: no profile; priced as the dearest") for note in self.unknown),
        ]
        return [f"{sentence} (since {note.at:%Y-%m-%d %H:%M} UTC, for a day)" for note, sentence in sentences]

    def asked(self, configured: ModelProfile, moment: datetime) -> ModelProfile:
        profiles, holding = model_profiles(), self.holding()
        retired = {note.model: note.successor for note in holding.retired}
        asked, passed = configured, {configured.id}
        while asked.id in retired or asked.ended(moment):
            follower = profiles.get(retired.get(asked.id) or asked.successor or "")
            if follower is None or follower.id in passed:
                break
            asked = follower
            passed.add(asked.id)
        without: dict[str, object] = {note.field: _LEFT_OUT[note.field] for note in holding.refused if note.model == asked.id}
        return asked.model_copy(update=without) if without else asked


def fleet_notes(document: MongoDocument | None) -> FleetNotes:
    return FleetNotes.model_validate(document or {}).holding()


class ModelResolver:
    """Chooses the model that this process asks, and learns from its answers."""

    def __init__(self, configured: str, fleet: AsyncCollection[MongoDocument]) -> None:
        self._configured = model_profiles()[configured]
        self._fleet = fleet
        self._notes: FleetNotes | None = None  # None: the fleet's have not been read
        self._unwritten: list[tuple[str, Note, str]] = []
        self._answered: set[str] = set()
        self._first_call = asyncio.Lock()

    async def current(self) -> ModelProfile:
        """The profile to ask now; reads the fleet's notes once."""
        if self._notes is None:
            found = fleet_notes(await self._fleet.find_one({"_id": _ID}))
            self._notes = self._notes or found  # another call may have read them meanwhile, and learned since
        return self._notes.asked(self._configured, models.now())

    def worst_price(self, asked: ModelProfile, tier: CallTier = CallTier.STANDARD) -> Price:
        """The highest possible price of a call at this tier: a successor may answer it, and standard may be billed."""
        moment = models.now()
        unknown = self._notes is not None and any(note.model == asked.id for note in self._notes.holding().unknown)
        able = model_profiles().values() if unknown else line_of(model_profiles(), asked.id)
        tiers = tiers_served("", tier)
        return dearest(profile.price(moment, moment + RESERVED_AHEAD, served) for profile in able for served in tiers)

    @asynccontextmanager
    async def attempt(self, asked: ModelProfile) -> AsyncIterator[None]:
        """The context of one attempt. The first call of a process to a model is made alone, so that a missing model costs one call.

        Raises ``ModelReplacedError`` if another model is to be asked by now; a model that is gone or refuses a parameter is noted
        (``FatalCallError`` if it has no replacement).
        """
        async with AsyncExitStack() as alone:
            if asked.id not in self._answered:
                await alone.enter_async_context(self._first_call)
                if asked.id in self._answered:
                    await alone.aclose()
            if await self.current() != asked:
                raise ModelReplacedError(f"{asked.id} is not asked this way any more")
            try:
                yield
            except (ModelMissingError, ParameterRefusedError) as error:
                self._learn(asked, error)
                raise

    def answered(self, asked: ModelProfile, version: str) -> None:
        self._answered.add(asked.id)
        known = profile_of(version)
        if known is None:
            self._note(
                "unknown",
                Unknown(model=asked.id, at=datetime.now(UTC), version=version),
                f"{version} answers for model {asked.id}, and has no profile in resources/gemini/models.yaml: "
                "its calls are priced as the dearest model's",
            )
        elif known.id != asked.id:
            self._replace(asked, known.id, f"is answered by {known.id}", "")

    async def write_down(self) -> None:
        """Write this process's notes for the fleet; the first process to write one warns. Can be repeated when MongoDB failed."""
        while self._unwritten:
            entry = field, note, warning = self._unwritten[0]
            noted = await self._fleet.update_one({"_id": _ID}, _update(field, note), upsert=True)
            if noted.modified_count or noted.upserted_id:
                logger.warning(warning)
            if entry in self._unwritten:
                self._unwritten.remove(entry)

    def _learn(self, asked: ModelProfile, error: ModelMissingError | ParameterRefusedError) -> None:
        successor = model_profiles()[asked.successor] if asked.successor else None
        if isinstance(error, ModelMissingError):
            self._replace(asked, asked.successor, "is gone (404)", str(error))
            return
        field = next((field for part, field in _FIELD_OF.items() if part in error.parameter), None)
        sent_otherwise = successor is not None and (field is None or getattr(successor, field) != getattr(asked, field))
        if successor is not None and sent_otherwise and field != "tiers":  # without its tiers a model is asked at standard
            self._replace(asked, successor.id, f"refuses {error.parameter} (400)", str(error))
        elif field is not None and getattr(asked, field) != _LEFT_OUT[field]:
            warning = f"model {asked.id} refuses {error.parameter}: it is asked without for a day, by the whole fleet ({error})"
            self._note("refused", RefusedParameter(model=asked.id, at=datetime.now(UTC), field=field), warning)
        else:
            self._replace(asked, None, f"refuses {error.parameter} (400)", str(error))

    def _replace(self, asked: ModelProfile, successor: str | None, reason: str, detail: str) -> None:
        if successor is None:
            raise FatalCallError(
                f"model {asked.id} {reason} and has no successor: set GEMINI_MODEL to a model that exists, or give it a successor "
                f"in resources/gemini/models.yaml ({detail})"
            )
        because = f" ({detail})" if detail else ""
        warning = f"model {asked.id} {reason}: {successor} takes over for a day, for the whole fleet{because}"
        self._note("retired", Retired(model=asked.id, at=datetime.now(UTC), successor=successor, reason=reason), warning)

    def _note(self, field: str, note: Note, warning: str) -> None:
        """Apply the note in this process at once, and keep it for the fleet."""
        if field != "unknown":
            self._answered.discard(note.model)  # whenever it is tried again, one call finds out
        self._notes = notes = self._notes or FleetNotes()
        there: Sequence[Note] = getattr(notes, field)
        if not any(_key(note) == _key(other) for other in _holding(there)):
            setattr(notes, field, [*_holding(there), note])
            self._unwritten.append((field, note, warning))


def _holding(notes: Sequence[NoteT]) -> list[NoteT]:
    oldest = datetime.now(UTC) - RETIRED_FOR
    return [note for note in notes if note.at > oldest]


def _key(note: Note) -> dict[str, str]:
    """The subject of a note: one note is kept for each."""
    return note.model_dump(include={"model", "field", "version"})


def _update(field: str, note: Note) -> list[MongoDocument]:
    """The update that notes it with the server's time. A note of the same that still holds is left as it is."""
    oldest = {"$subtract": ["$$NOW", RETIRED_FOR // timedelta(milliseconds=1)]}
    holding = {"$filter": {"input": {"$ifNull": [f"${field}", []]}, "as": "entry", "cond": {"$gt": ["$$entry.at", oldest]}}}
    same = {"$and": [{"$eq": [f"$$entry.{name}", {"$literal": value}]} for name, value in _key(note).items()]}
    there = {"$size": {"$filter": {"input": f"${field}", "as": "entry", "cond": same}}}
    entry = {name: {"$literal": value} for name, value in note.model_dump(exclude={"at"}).items()} | {"at": "$$NOW"}
    added = {"$cond": [there, [], [entry]]}
    return [{"$set": {field: holding}}, {"$set": {field: {"$concatArrays": [f"${field}", added]}}}]
