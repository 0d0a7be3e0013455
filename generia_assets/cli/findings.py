"""A finding of `generia doctor`: one thing that was looked at."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Health(StrEnum):
    """How something is. ``NOTE``: somebody may want to know; it needs no help now."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


class HealthFinding(BaseModel):
    """One thing that was looked at: what was found, and what to do about it ('' where nothing)."""

    model_config = ConfigDict(frozen=True)

    part: str
    health: Health
    found: str
    advice: str = ""


def ok(part: str, found: str) -> HealthFinding:
    """It is as it should be."""
    return HealthFinding(part=part, health=Health.OK, found=found)


def note(part: str, found: str, advice: str) -> HealthFinding:
    """It works, and somebody may want to know."""
    return HealthFinding(part=part, health=Health.NOTE, found=found, advice=advice)


def wrong(part: str, found: str, advice: str) -> HealthFinding:
    """It does not work."""
    return HealthFinding(part=part, health=Health.WRONG, found=found, advice=advice)
