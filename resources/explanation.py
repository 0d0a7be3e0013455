"""Formats a pydantic ``ValidationError`` as sentences for a person or a model."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails


def explain(
    error: ValidationError, *, prefix: str = "", root: str = "", values: bool = False, most: int | None = None, longest: int = 1_000
) -> str:
    """One sentence for each problem, separated by semicolons: field, value (if ``values``), what is allowed.

    ``prefix`` stands before each field, ``root`` for the object itself. ``most``: problems that are named, the others are counted;
    None: all. ``longest``: characters of a sentence.
    """
    sentences = [
        f"{prefix}{place_of(problem) or root}{_value(problem) if values else ''}: {reason_of(problem)}"[:longest]
        for problem in error.errors(include_url=False, include_context=False)[:most]
    ]
    more = error.error_count() - len(sentences)
    return "; ".join(sentences) + (f"; and {more} more" if more else "")


def place_of(problem: ErrorDetails) -> str:
    """The field, with those that it lies in; '' for the object itself."""
    return ".".join(str(part) for part in problem["loc"])


def reason_of(problem: ErrorDetails) -> str:
    return problem["msg"].removeprefix("Value error, ")


def shortened(value: object, limit: int = 80) -> str:
    """A value for a message: its repr, without control characters, cut."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _value(problem: ErrorDetails) -> str:
    return "" if problem["type"] == "missing" else f"={shortened(problem['input'])}"
