"""Tables of models: what models of text and of pictures have in common, which is prices by day, an end and a successor.

Here: reading a table, and what follows from it and a date. Not here: the tables (models.py, image_models.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Generic, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from resources.explanation import explain

PROVIDER_BEHIND_UTC = timedelta(hours=8)
"""A day of the provider's begins at midnight Pacific time, at the latest so long after the same day began by UTC."""

_VERSION = re.compile(r"(-(\d[\w.-]*|preview[\w.-]*|exp[\w.-]*|latest))?")
"""What may follow a model's id in the name of one of its versions: -001, -preview-09-2026, -latest; but not -lite or -image."""

Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ModelTableError(ValueError):
    """The table of models is inconsistent. The message names the model and the entry."""


class DatedPrice(BaseModel):
    """US dollars, from a day on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: date = Field(date.min, alias="from")


PriceT = TypeVar("PriceT", bound=DatedPrice)


class TableEntry(BaseModel, Generic[PriceT]):
    """One model of a table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    prices: tuple[PriceT, ...] = Field(min_length=1)
    until: date | None = None
    successor: str | None = None

    @model_validator(mode="after")
    def _has_dates_in_order(self) -> Self:
        dates = [price.since for price in self.prices]
        if dates[0] != date.min or dates != sorted(set(dates)):
            raise ValueError("prices: the first has no 'from', the others have one each, in their order")
        if self.until is not None and self.successor is None:
            raise ValueError(f"until: whoever ends ({self.until}) needs a successor")
        return self

    def ended(self, moment: datetime) -> bool:
        """Whether the model is asked no more. The day counts by UTC: its successor is asked before the provider's day begins."""
        return self.until is not None and moment.astimezone(UTC).date() >= self.until

    def prices_between(self, first: datetime, last: datetime) -> Sequence[PriceT]:
        """The prices that held between these moments, or may have by the provider's clock."""
        from_day, to_day = (first.astimezone(UTC) - PROVIDER_BEHIND_UTC).date(), last.astimezone(UTC).date()
        following = [price.since for price in self.prices[1:]] + [date.max]
        held = zip(self.prices, following, strict=True)
        return [price for price, replaced in held if price.since <= to_day and replaced > from_day]


EntryT = TypeVar("EntryT", bound=TableEntry)  # type: ignore[type-arg]  # of prices of any kind


def read_table(path: Path, entry: type[EntryT]) -> Mapping[str, EntryT]:
    """Read and check a table of models by id. Raises ``ModelTableError`` with every wrong entry."""
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
        entries = {name: {"id": name, **body} for name, body in raw.items()}
        table: dict[str, EntryT] = TypeAdapter(dict[str, entry]).validate_python(entries)  # type: ignore[valid-type]
    except ValidationError as error:
        raise ModelTableError(f"{path}: {explain(error)}") from None
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        raise ModelTableError(f"{path} is no table of models by id: {' '.join(str(error).split())}") from None
    for name in table:
        line = [name]
        while (successor := table[line[-1]].successor) is not None:
            if successor not in table or successor in line:
                known = "is its own successor in the end" if successor in line else "has no profile"
                raise ModelTableError(f"{path}: {line[-1]}.successor: {successor} {known}")
            line.append(successor)
    return table


def line_of(table: Mapping[str, EntryT], model: str) -> Iterator[EntryT]:
    """The model, its successor, and so on."""
    entry = table[model]
    yield entry
    while entry.successor is not None:
        entry = table[entry.successor]
        yield entry


def entry_of(table: Mapping[str, EntryT], version: str) -> EntryT | None:
    """The entry of a ``modelVersion`` (``models/gemini-2.5-flash-001``): the longest id that fits; None: unknown."""
    name = version.rpartition("/")[2]
    ids = [each for each in table if name.startswith(each) and _VERSION.fullmatch(name, len(each))]
    return table[max(ids, key=len)] if ids else None
