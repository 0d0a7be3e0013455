"""The body of a 200: the model's text, its finish reason, and its usage.

Here: ``answer``, and the candidates and prompts without one. Not here: errors (api/errors.py) and the words (writing/).
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from emulators.dice import Dice
from emulators.gemini.api.models import Model
from emulators.gemini.api.schema import Schema
from emulators.gemini.api.wire import GenerateRequest
from emulators.gemini.damaged import continued
from emulators.gemini.faults import BlockReason, FaultName, Faults, FinishReason, StopReason
from emulators.gemini.spoil import looped, spoiled_text, spoiled_value, truncated
from emulators.gemini.usage import Usage, thinking_tokens, tokens
from emulators.gemini.writing.scene import Scene
from emulators.gemini.writing.walker import Walker

_FREE_TEXT: Schema = {"type": "string", "description": "2 paragraphs about the world"}
_HARM = "HARM_CATEGORY_DANGEROUS_CONTENT"
_THOUGHT = "**Reading the request**\n\nI look at what is asked, at who exists already, and at the language to write in."


@dataclass(frozen=True)
class ReadRequest:
    """A call that has passed all checks. ``digest`` is of the whole request, the model and the emulator's seed."""

    request: GenerateRequest
    scene: Scene
    model: Model
    schema: Schema | None
    digest: bytes
    dice: Dice
    usage: Usage


def answer(
    asked: ReadRequest, faults: Faults, fault: FaultName | None, recorded: JsonValue = None
) -> tuple[dict[str, JsonValue], Usage]:
    """The model's answer, damaged if the fault is one of content. ``recorded``: the recorded answer, if any."""
    config = asked.request.generation_config
    rng = random.Random(asked.digest)
    text = _text(asked, fault, rng, recorded)
    thoughts = thinking_tokens(config, asked.model, rng.random())
    tokens_left = (config.max_output_tokens or asked.model.output_token_limit) - thoughts
    written, finish = tokens(text), "STOP"
    if fault == "looped" and tokens_left > 0:
        text, finish = looped(text, tokens_left), "MAX_TOKENS"
        written = tokens_left
    elif fault == "truncated_json" and tokens_left > 0:
        text, finish = truncated(text, rng), "MAX_TOKENS"
        written = tokens(text)
    elif written > tokens_left:
        # Thinking counts against the limit, and may leave no room for a single word.
        text, finish = text[: max(0, int(len(text) * tokens_left / written))], "MAX_TOKENS"
        written, thoughts = tokens(text), min(thoughts, thoughts + tokens_left)
    usage = replace(asked.usage, candidates=written, thoughts=thoughts)
    parts = _parts(asked, text, in_pieces=asked.dice.throw("split_text") < faults.split_text)
    body = answer_body(asked, usage, parts if text else [], finish)
    if fault == "no_usage":
        del body["usageMetadata"]
    return continued(body) if fault == "continued" else body, usage


def empty_answer(asked: ReadRequest) -> tuple[dict[str, JsonValue], Usage]:
    """A candidate that stopped normally and has no text."""
    return answer_body(asked, asked.usage, [], "STOP"), asked.usage


def blocked_prompt(asked: ReadRequest, reasons: list[BlockReason]) -> tuple[dict[str, JsonValue], Usage]:
    """Moderation refused the prompt: no candidates at all."""
    reason = reasons[int(asked.dice.throw("block_reason", sticky=True) * len(reasons))]
    feedback: dict[str, JsonValue] = {"blockReason": reason}
    if reason == "SAFETY":
        feedback["safetyRatings"] = [{"category": _HARM, "probability": "HIGH", "blocked": True}]
    return _body(asked, asked.usage, {"promptFeedback": feedback}), asked.usage


def stopped_answer(
    asked: ReadRequest, reasons: Sequence[FinishReason] | Sequence[StopReason], *, sticky: bool
) -> tuple[dict[str, JsonValue], Usage]:
    """Moderation refused the answer (``sticky``), or the model stopped by chance: a candidate with a reason and without content."""
    reason = reasons[int(asked.dice.throw("finish_reason", sticky=sticky) * len(reasons))]
    candidate: dict[str, JsonValue] = {"finishReason": reason, "index": 0}
    if reason == "SAFETY":
        candidate["safetyRatings"] = [{"category": _HARM, "probability": "HIGH", "blocked": True}]
    return _body(asked, asked.usage, {"candidates": [candidate]}), asked.usage


def _text(asked: ReadRequest, fault: FaultName | None, rng: random.Random, recorded: JsonValue) -> str:
    scene = asked.scene
    if fault == "wrong_language":
        scene = replace(scene, language=scene.language.other)
    mime = asked.request.generation_config.response_mime_type
    value = recorded if recorded is not None else Walker(asked.schema or _FREE_TEXT, scene, rng, fault).walk()
    if mime != "application/json":
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if asked.schema is None:
        value = {"answer": value}
    return spoiled_text(json.dumps(spoiled_value(value, fault, rng), ensure_ascii=fault == "hostile_text"), fault, rng)


def _parts(asked: ReadRequest, text: str, *, in_pieces: bool) -> list[JsonValue]:
    parts: list[dict[str, JsonValue]] = []
    thinking = asked.request.generation_config.thinking_config
    if thinking is not None and thinking.include_thoughts:
        parts.append({"text": _THOUGHT, "thought": True})
    middle = len(text) // 2
    parts.extend({"text": piece} for piece in ((text[:middle], text[middle:]) if in_pieces else (text,)))
    if asked.model.signs_thoughts:
        parts[-1]["thoughtSignature"] = base64.b64encode(asked.digest).decode()
    return list(parts)


def answer_body(asked: ReadRequest, usage: Usage, parts: list[JsonValue], finish: str) -> dict[str, JsonValue]:
    """The body of an answer with these parts."""
    content: dict[str, JsonValue] = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    return _body(asked, usage, {"candidates": [{"content": content, "finishReason": finish, "index": 0}]})


def _body(asked: ReadRequest, usage: Usage, said: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {
        **said,
        "usageMetadata": usage.metadata(),
        "modelVersion": asked.model.name,
        "responseId": base64.urlsafe_b64encode(asked.digest[:15]).decode(),
    }
