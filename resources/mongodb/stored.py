"""Parsing of stored documents: a record of MongoDB becomes an object.

A record that lacks a field, or has one of another type, is reported with its id and the reason, and the others are read. The models
have defaults for fields that former versions did not write.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ValidationError

from resources.explanation import explain

MongoDocument: TypeAlias = dict[str, Any]
"""A raw BSON document, at the border to pymongo only; inside, typed pydantic documents are passed."""
POINTERS = "materializations"
"""The collection of the pointers to the visible documents (document_store.py)."""

ModelT = TypeVar("ModelT", bound=BaseModel)

_ID_CHARACTERS = 100
_REASONS = 3
"""Problems of one record that are named."""
_REASON_CHARACTERS = 400


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


def _bson(moment: object) -> object:
    """MongoDB's dates are UTC, also where a client returns them without a time zone."""
    return moment.replace(tzinfo=UTC) if isinstance(moment, datetime) and moment.tzinfo is None else moment


Moment = Annotated[AwareDatetime, BeforeValidator(_bson), AfterValidator(_in_utc)]
"""A moment with its time zone, in UTC: a moment that UTC cannot represent is refused here, not where it is shown."""


@dataclass(frozen=True)
class CollectionSpec:
    """Where an asset's documents are: the collection, and whether a world has exactly one, under its own id."""

    collection: str
    one_per_world: bool = False


class UnreadableRecord(BaseModel, frozen=True):
    """A record that cannot be read: its collection, its id as text, and why."""

    collection: str
    id: str
    reason: str

    def __str__(self) -> str:
        return f"record {self.id} of {self.collection} cannot be read: {self.reason}"


class UnreadableRecordError(LookupError):
    """A requested record cannot be read. The message names it and the reason."""

    def __init__(self, unreadable: UnreadableRecord) -> None:
        super().__init__(f"{unreadable}. Mend it in MongoDB, or take it away.")
        self.unreadable = unreadable


def read(
    model: type[ModelT], record: object, collection: str, *, at: Callable[[MongoDocument], object] = dict
) -> ModelT | UnreadableRecord:
    """The record as an object, or why it cannot be read. ``at`` finds the object in the record. Never raises."""
    if not isinstance(record, Mapping):
        return UnreadableRecord(collection=collection, id="(none)", reason=f"it is no document but {type(record).__name__}")
    named = repr(record["_id"]) if "_id" in record and not isinstance(record["_id"], str) else str(record.get("_id", "(none)"))
    try:
        return model.model_validate(at(dict(record)))
    except ValidationError as error:
        reason = explain(error, most=_REASONS)
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:  # of ``at``: the record lacks the object
        reason = f"nothing is where the document should be ({type(error).__name__}: {error})"
    return UnreadableRecord(collection=collection, id=named[:_ID_CHARACTERS], reason=reason[:_REASON_CHARACTERS])


def readable(
    model: type[ModelT],
    records: Iterable[object],
    collection: str,
    unreadable: Callable[[UnreadableRecord], object],
    *,
    at: Callable[[MongoDocument], object] = dict,
) -> Iterator[ModelT]:
    """The records that can be read, in their order; ``unreadable`` gets the others."""
    for record in records:
        found = read(model, record, collection, at=at)
        if isinstance(found, UnreadableRecord):
            unreadable(found)
        else:
            yield found


def refuse(unreadable: UnreadableRecord) -> None:
    """Raise ``UnreadableRecordError``: for callers that need every record."""
    raise UnreadableRecordError(unreadable)


def required(model: type[ModelT], record: object, collection: str) -> ModelT:
    """The record as an object. Raises ``UnreadableRecordError``."""
    return next(readable(model, [record], collection, refuse))
