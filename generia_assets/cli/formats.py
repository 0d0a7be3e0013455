"""How numbers, moments and JSON are written by all commands."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from pydantic import BaseModel

from generia_assets.cli import inert
from generia_assets.content.text import plural


def as_json(value: object) -> str:
    """One line of JSON, harmless for a terminal: what a terminal would obey is written as its escape."""
    return inert.json_text(json.dumps(value, ensure_ascii=False, default=plain))


def plain(value: object) -> object:
    """What JSON has no word for: models as objects, moments in ISO 8601, of bytes their number, everything else as text."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, bytes):
        return plural(len(value), "byte")
    return value.isoformat() if isinstance(value, datetime) else str(value)


def duration(milliseconds: float) -> str:
    """A time as people read it: 850 ms, 4.2 s, 3 min 20 s, 2 h 5 min."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def about(seconds: float) -> str:
    """An estimated time, no more exact than it can be known."""
    if seconds < 90:
        return f"{max(1, round(seconds / 5)) * 5} s"
    return f"{round(seconds / 60)} min" if seconds < 5_400 else f"{seconds / 3600:.1f} h"


def compact(number: int) -> str:
    """A large number in four places: 987, 12.3k, 1.25M."""
    for least, scale, unit in ((999_500_000, 1e9, "G"), (999_500, 1e6, "M"), (10_000, 1e3, "k")):
        if number >= least:
            return f"{number / scale:.3g}{unit}"
    return f"{number:,}"


def dollars(amount: float) -> str:
    """US dollars, as exact as small amounts need it."""
    return f"${amount:,.2f}" if amount >= 100 else f"${amount:.4f}"


def share(part: float) -> str:
    """A share in percent."""
    return f"{100 * part:.0f} %"


def moment(at: datetime) -> str:
    """A moment in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def clock(at: datetime) -> str:
    """The time of day in UTC, to the millisecond; before it the date, unless that is today."""
    there = at.astimezone(UTC)
    date = "" if there.date() == datetime.now(UTC).date() else f"{there:%Y-%m-%d} "
    return f"{date}{there:%H:%M:%S}.{there.microsecond // 1000:03d}"


def ago(at: datetime) -> str:
    """How long ago something was."""
    seconds = max(0, int((datetime.now(UTC) - at).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
