"""How an answer's text is damaged. Not here: damage that is made while the text is written (writing/)."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence

from pydantic import JsonValue

from emulators.gemini.faults import FaultName

ILL_WRITTEN: frozenset[FaultName] = frozenset(
    {"wish_ignored", "future_told", "same_opening", "reply_ignored", "same_length", "same_phrases", "wrong_kin"}
)
"""Faults of answers that fit their schema and are badly written: each is what one of the world's asset checks looks for."""


WRITTEN_ANEW = ILL_WRITTEN | {"too_few", "too_many", "repeated_names", "wrong_language"}
"""Faults that no recorded answer can have: the answer is written for them."""


def truncated(text: str, rng: random.Random) -> str:
    """The text, cut between a third and nine tenths of it."""
    return text[: max(1, int(len(text) * rng.uniform(0.33, 0.9)))]


def looped(text: str, max_output_tokens: int) -> str:
    """The text's beginning, then the same few words repeatedly, as long as ``room`` tokens of ASCII are."""
    words = "and again the bell rings twice, "
    start = text[: min(len(text) // 3, max_output_tokens)]
    return start + words * ((4 * max_output_tokens - len(start)) // len(words) + 1)


HOSTILE = ("\x00", "\x1b[2J\x07", "\ud83d", "\u202e\u2066", "\ufeff\u200b")
"""What a text may hold and nobody can use: NUL, a terminal's orders, half of a pair, turned writing, nothing that can be seen."""
BAD_COMMENTS: tuple[Callable[[Sequence[str]], JsonValue], ...] = (
    lambda said: [*said, *said, "One too many."],
    lambda said: [" \n" for _ in said],
    lambda said: [one * 50 for one in said],
    lambda said: [f"@nobody_here: {one} Ask @nobody_here." for one in said],
    lambda said: ["ფუტკრები ისევ საათში გადავიდნენ" for _ in said],
    ", ".join,
)
"""What may become of the comments on a post: too many, empty, long, by and to nobody, in another language, no list."""
LONG = 1_000_000
"""Characters of the longest text."""


def spoiled_text(text: str, fault: FaultName | None, rng: random.Random) -> str:
    """The text in a code fence, or as invalid JSON, if that is the fault."""
    if fault == "fenced_json":
        return f"```json\n{text}\n```"
    if fault == "broken_json":
        return _broken(text, rng)
    return text


def spoiled_value(value: JsonValue, fault: FaultName | None, rng: random.Random) -> JsonValue:
    """The value with one field of a wrong type, hostile text in every field, or bad comments, if that is the fault."""
    if fault == "hostile_text":
        kind = rng.randrange(len(HOSTILE) + 1)
        return _one_long(value, rng) if kind == len(HOSTILE) else _with_hostile(value, HOSTILE[kind])
    if fault == "bad_comments" and isinstance(value, dict) and isinstance(comments := value.get("comments"), list):
        return {**value, "comments": rng.choice(BAD_COMMENTS)([str(one) for one in comments])}
    return _mistyped(value, rng) if fault == "wrong_types" else value


def _with_hostile(value: JsonValue, hostile: str) -> JsonValue:
    if isinstance(value, dict):
        return {name: _with_hostile(entry, hostile) for name, entry in value.items()}
    if isinstance(value, list):
        return [_with_hostile(entry, hostile) for entry in value]
    if isinstance(value, str):
        middle = len(value) // 2
        return value[:middle] + hostile + value[middle:]
    return value


def _one_long(value: JsonValue, rng: random.Random) -> JsonValue:
    """The value with its first text of full length, so that a reader without a limit would take it."""
    if isinstance(value, dict) and value:
        texts = sorted(name for name, entry in value.items() if isinstance(entry, str)) or sorted(value)
        name = rng.choice(texts)
        return {**value, name: _one_long(value[name], rng)}
    if isinstance(value, list) and value:
        return [_one_long(value[0], rng), *value[1:]]
    return (value * (LONG // max(1, len(value)) + 1))[:LONG] if isinstance(value, str) and value else value


def _broken(text: str, rng: random.Random) -> str:
    quotes = [position for position, letter in enumerate(text) if letter == '"'] or [len(text) - 1]
    middle = rng.choice(quotes[len(quotes) // 3 :])
    broken = text[:middle] + text[middle + 1 :]
    try:
        json.loads(broken)
    except ValueError:
        return broken
    return text + "}"


def _mistyped(value: JsonValue, rng: random.Random) -> JsonValue:
    if isinstance(value, dict) and value:
        name = rng.choice(sorted(value))
        return {**value, name: _other_type(value[name])}
    if isinstance(value, list) and value:
        return [_mistyped(value[0], rng), *value[1:]]
    return _other_type(value)


def _other_type(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return "several"
    if isinstance(value, dict):
        return [str(key) for key in value]
    return "some"
