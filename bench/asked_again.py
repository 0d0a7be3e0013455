"""Whether every damaged answer was asked again, by what the emulator received: with what was wrong, or with more room.

Here: the look at the requests themselves. Not here: what became of the world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from emulators.gemini.stats import RecordedRequest
from generia_assets.durable.calls.clients import CONTROL_REQUEST, MOST_OUTPUT

COMPLAINT = "Your last answer could not be used."
"""How the part of a request begins that says what was wrong about the last answer (content/prompt.py)."""

SPOILED = frozenset({"broken_json", "empty_answer", "empty_body", "wrong_language"})
"""Damage that makes an answer unusable, so that the next request must say what was wrong. A field of a wrong type need not: what
nobody publishes is repaired (content/fields.py).
"""

BY_CHANCE = frozenset({"html", "looped", "stopped", "continued", "odd_shape"})
"""What is not the request's fault: it is made again as it was."""


@dataclass(frozen=True)
class Asked:
    """One request as the emulator received it: what it asks for, what it complains of, how much room it gives."""

    item: tuple[str, ...]
    complaint: str
    room: int
    outcome: str
    for_painters: bool
    """Every field asked for is in English whatever the world's language: nothing to write in a wrong one."""


def asked(request: RecordedRequest) -> Asked:
    """Take a request's body apart."""
    body = request.body if isinstance(request.body, dict) else {}
    parts = [str(part.get("text")) for turn in _dicts(body.get("contents")) for part in _dicts(turn.get("parts"))]
    complaint = parts.pop() if parts and parts[-1].startswith(COMPLAINT) else ""
    config = body.get("generationConfig")
    room = (config.get("maxOutputTokens") or config.get("max_output_tokens")) if isinstance(config, dict) else 0
    schema = (config.get("responseJsonSchema") or config.get("response_json_schema")) if isinstance(config, dict) else {}
    fields = schema.get("properties") if isinstance(schema, dict) else {}
    for_painters = isinstance(fields, dict) and all(name.endswith("_prompt") for name in fields)
    return Asked(tuple(parts), complaint, int(str(room)), request.outcome, for_painters)


def not_asked_again(requests: Sequence[RecordedRequest]) -> list[str]:
    """Damaged answers that no later request mends, in one sentence each. Control calls (resources/gateway/poison.py) are asked
    once."""
    all_asked = [one for one in map(asked, requests) if one.item != tuple(CONTROL_REQUEST.parts)]
    wrong = []
    for place, one in enumerate(all_asked):
        later = [other for other in all_asked[place + 1 :] if other.item == one.item]
        harmless = one.outcome == "wrong_language" and one.for_painters
        anew = bool(one.complaint and later)  # the last answer of an attempt: the next attempt begins without complaints
        if one.outcome in SPOILED and not harmless and not anew and not any(other.complaint for other in later):
            wrong.append(f"{one.outcome}: not asked again with what was wrong: {one.item[-1][:60]!r}")
        most = MOST_OUTPUT * min(other.room for other in all_asked if other.item == one.item)  # then the attempt has failed
        if one.outcome == "truncated_json" and one.room < most and not any(other.room > one.room for other in later):
            wrong.append(f"cut short: not asked again with more room: {one.item[-1][:60]!r}")
        if one.outcome in BY_CHANCE and not later:
            wrong.append(f"{one.outcome}: not asked again: {one.item[-1][:60]!r}")
    return wrong


def _dicts(value: JsonValue) -> list[dict[str, JsonValue]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
