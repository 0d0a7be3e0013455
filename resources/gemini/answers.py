"""Judges an HTTP response of the Gemini API: exactly one outcome, with a price.

The SDK sends a request and its parsing of the answer is not trusted: it fails in its own ways (a number of 5,000 digits, deep
nesting, a number for a finish reason, bytes that are no UTF-8), it follows CONTINUATION by itself, and it keeps a page of any size.
So the HTTP client intercepts each response (client.py), and this module parses it with models that ignore unknown fields.

How each answer is judged:

- an error, by its status code or carried in the body of a 200: errors.py;
- a 200 that is no JSON at all: another server's page (a proxy, a log-in), an outage, in doubt;
- JSON that cannot be read: an invalid answer, asked again as it was, a bounded number of times;
- moderation, by the reason: refused. A model that stopped for another reason (``STOPPED``) is asked again as it was. An unknown
  reason is ignored: the text is judged as if the model had stopped by itself;
- an answer cut at the output limit: asked again with more output tokens, unless it repeats itself, since a loop fills any limit;
- text against the draft's schema. A Markdown code fence around it is removed; nothing else is repaired.

Not here: sending requests (client.py), and the handling of each outcome (resources/gateway).
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from resources.explanation import explain
from resources.gateway.calls import Answer, TokenUsage
from resources.gateway.outcomes import CallError, FatalCallError, InvalidAnswerError, RefusedError, TransientError
from resources.gemini import models
from resources.gemini.errors import classify_error, error_of
from resources.gemini.models import ModelProfile, dearest, price_of
from resources.gemini.tiers import CallTier, tiers_served
from resources.redaction import kept, kept_line

if TYPE_CHECKING:
    from resources.gemini.client import TextRequest

AnswerT = TypeVar("AnswerT", bound=BaseModel)

LONGEST_BODY = 4_000_000
"""Bytes of a body that are read; no answer to any of our requests is longer."""
LONGEST_ANSWER = 1_000_000
"""Characters; a longer text is not an answer to any of our requests."""
LONGEST_NAME = 300
"""Characters kept of a model's version, an id, a reason."""
MOST_PROBLEMS = 8
"""Problems of an answer that are named."""
MOST_PROMPT_TOKENS = 1_048_576
"""The input limit of every model there is."""
LONGEST_TOKEN = 32
"""Bytes of text; a count of tokens that would make them longer is not believed."""

MODERATION = frozenset(
    {
        "SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "MODEL_ARMOR", "ESCALATION",
        "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
    }
)  # fmt: skip
STOPPED = frozenset(
    {
        "RECITATION", "OTHER", "LANGUAGE", "CONTINUATION", "MALFORMED_RESPONSE", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE", "IMAGE_OTHER", "NO_IMAGE",
    }
)  # fmt: skip
UNNAMED_BLOCKS = frozenset({"OTHER", "BLOCKED_REASON_UNSPECIFIED"})
"""A prompt that is blocked for any other reason is refused by moderation, be the reason new."""

_FENCE = "```"
_LANGUAGE = re.compile(r"```\w*\s*")
_LOOP_LOOKED_AT = 8_000
"""Characters at an answer's end that are looked at for a loop."""
_SHORTEST_LOOP = 1_000
_LOOP_RATIO = 12
"""A text that compresses to less than this part of it repeats itself (prose and its JSON: a half to a fifth)."""


@dataclass(frozen=True)
class HttpAnswer:
    """An answer as it came. ``headers`` by lower-case names; ``body`` of at most ``LONGEST_BODY`` bytes and one more."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Part(BaseModel):
    text: str | None = None
    thought: bool | None = None
    inlineData: object = None  # noqa: N815  Google's spelling; of pictures alone (images.py)


class _Content(BaseModel):
    parts: list[_Part] | None = None


class _Candidate(BaseModel):
    content: _Content | None = None
    finishReason: str | None = None  # noqa: N815


class _Feedback(BaseModel):
    blockReason: str | None = None  # noqa: N815


class AnswerBody(BaseModel):
    """The part of an answer that is judged; its other fields are ignored."""

    candidates: list[_Candidate] | None = None
    promptFeedback: _Feedback | None = None  # noqa: N815

    @property
    def parts(self) -> list[_Part]:
        candidate = self.candidates[0] if self.candidates else _Candidate()
        return (candidate.content.parts if candidate.content else None) or []

    @property
    def finish(self) -> str:
        return kept_line((self.candidates[0].finishReason if self.candidates else None) or "NONE", LONGEST_NAME)


def read_answer(
    http: HttpAnswer, request: TextRequest[AnswerT], profile: ModelProfile, *, sent: datetime | None = None, base_url: str = ""
) -> Answer[AnswerT]:
    """Judge an answer, and price it by the model and the tier that gave it, from when it was ``sent`` (None: now) to now.

    Raises the ``CallError`` of a response that is no answer; returns a paid answer with its value or ``error``.
    """
    page, body = body_of(http, model=profile.id, base_url=base_url, sheddable=request.tier is CallTier.FLEX)
    fields = body if isinstance(body, dict) else {}
    value: AnswerT | None = None
    failure: CallError | None
    try:
        read = AnswerBody.model_validate(body)
    except ValidationError as unreadable_body:
        text, finish = page, "UNREADABLE"
        failure = unreadable(unreadable_body, http, LONGEST_BODY)
    else:
        text, finish = "".join(part.text for part in read.parts if part.text and not part.thought), read.finish
        value, failure = _judged(read, text, finish, request.answer)
    usage = fields.get("usageMetadata")
    tokens = read_usage(usage, text, request, profile)
    version = name_of(fields.get("modelVersion"))
    named = (usage.get("serviceTier") if isinstance(usage, dict) else None) or http.headers.get("x-gemini-service-tier")
    first, last = sent or models.now(), models.now()
    price = dearest(price_of(version, profile, first, last, tier) for tier in tiers_served(named, request.tier))
    data = {"text": text[:LONGEST_ANSWER], "finish_reason": finish, "model": version or profile.id}
    data["service_tier"] = name_of(named) or request.tier.value
    if response_id := name_of(fields.get("responseId")):  # Google's support asks for this id
        data["response_id"] = response_id
    return Answer(value, data, price.cost_usd(tokens) if tokens else None, tokens or TokenUsage(), failure)


def body_of(http: HttpAnswer, *, model: str, base_url: str = "", sheddable: bool = False) -> tuple[str, object]:
    """A response's body as text and as JSON. Raises the ``CallError`` of a response that is no answer."""
    page = http.body.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    try:
        body: object = json.loads(page, parse_int=float)  # a whole number may have any length
    except (ValueError, RecursionError):  # no JSON, or too deep
        body = None
    has_candidates = isinstance(body, dict) and body.get("candidates")
    error = error_of(body) if http.status != 200 or not has_candidates else None
    code = count_of(error.get("code")) if error and http.status == 200 else 0
    status = int(code) if 400 <= code < 600 else http.status  # of a 200 that carries an error the error's
    if status != 200:
        outcome = classify_error(status, error, page, http.headers, model=model, base_url=base_url, sheddable=sheddable)
        if http.status == 200 and isinstance(outcome, TransientError):
            outcome.carried_out = outcome.in_doubt = True  # the status was sent when the work had begun
        raise outcome
    if page and page[0] not in "{[":
        begin = kept_line(page, LONGEST_NAME)
        raise TransientError(f"a page came with status 200 that is no answer of Gemini: {begin}", in_doubt=True)
    return page, body


def read_usage(usage: object, text: str, request: TextRequest[AnswerT], profile: ModelProfile) -> TokenUsage | None:
    """The tokens of an answer in the dearest reading that its figures allow; None (the call's worst case) where there are none.

    A count may be a number or its text, as JSON of protobuf has both; missing is zero. It is believed when it can be true: not
    negative, at most the model's limit, and enough for the text that was sent or has come (``LONGEST_TOKEN``). What the total has
    more than the prompt is output. Where a side's count is not believed, its worst case stands: a token for each byte sent, the
    whole ``max_output_tokens`` for what came. Cached tokens count as such only as a part of the prompt. So no answer costs less
    than nothing, or more than the model's limits of input and output.
    """
    figures = usage if isinstance(usage, dict) else {}
    prompt, candidates, thinking, cached, total = (
        count_of(figures.get(f"{name}TokenCount")) for name in ("prompt", "candidates", "thoughts", "cachedContent", "total")
    )
    if not any((prompt, candidates, thinking, total)):
        return None
    believed = _size(*request.texts) / LONGEST_TOKEN <= prompt <= MOST_PROMPT_TOKENS and prompt > 0
    output = max(candidates + thinking, total - prompt if believed else total)
    if not _size(text) / LONGEST_TOKEN <= output <= profile.max_output_tokens:
        output = min(request.max_output_tokens, profile.max_output_tokens)
    return TokenUsage(
        prompt=int(prompt) if believed else min(request.prompt_bytes, MOST_PROMPT_TOKENS),
        cached=int(cached) if believed and cached <= prompt else 0,
        output=int(output),
        thinking=int(min(thinking, output)),
    )


def repeats_itself(text: str) -> bool:
    """Whether a text's end is a loop: the same words, lines or digits again and again."""
    end = text[-_LOOP_LOOKED_AT:].encode("utf-8", "replace")
    return len(text) >= _SHORTEST_LOOP and len(zlib.compress(end)) * _LOOP_RATIO < len(end)


def explain_invalid(error: ValidationError) -> str:
    """The reason why an answer is invalid, as a sentence for the model and for people."""
    reasons = explain(error, root="the answer", most=MOST_PROBLEMS, longest=LONGEST_NAME)
    return kept_line(reasons, (MOST_PROBLEMS + 1) * LONGEST_NAME)


def unreadable(error: ValidationError, http: HttpAnswer, longest_body: int) -> InvalidAnswerError:
    if len(http.body) > longest_body:
        return InvalidAnswerError(f"the answer was longer than {longest_body} bytes; it was read no further", chance=True)
    return InvalidAnswerError(f"the answer cannot be read: {explain_invalid(error)}", chance=True)


def stopped(body: AnswerBody, *, empty: bool) -> CallError | None:
    """What kept the model from an answer: moderation, a disabled account, another reason to stop; None: it answered.

    ``empty``: nothing came that can be used.
    """
    block = kept_line((body.promptFeedback.blockReason if body.promptFeedback else None) or "", LONGEST_NAME)
    if block and block not in UNNAMED_BLOCKS:
        return RefusedError(f"Gemini refused the prompt: {block}", reason=block)
    if block and empty:
        return InvalidAnswerError(f"Gemini answered nothing to the prompt ({block})", chance=True)
    finish = body.finish
    if finish in MODERATION:
        return RefusedError(f"Gemini refused to answer: {finish}", reason=finish)
    if finish == "PUP_LIMITED_DISABLED":
        return FatalCallError(
            f"Gemini has limited or disabled the account behind GEMINI_API_KEY for prohibited use ({finish}): appeal at "
            "https://aistudio.google.com, or use another account"
        )
    if finish in STOPPED:
        return InvalidAnswerError(f"the model stopped without an answer ({finish})", chance=True)
    return None


def _judged(body: AnswerBody, text: str, finish: str, answer: type[AnswerT]) -> tuple[AnswerT | None, CallError | None]:
    if (failure := stopped(body, empty=not text)) is not None:
        return None, failure
    if finish == "MAX_TOKENS":
        if repeats_itself(text):
            return None, InvalidAnswerError("the answer repeats itself up to the output limit", chance=True)
        return None, InvalidAnswerError("the answer was cut at the output limit", cut=True)
    if not text:
        return None, InvalidAnswerError(f"the answer was empty (finish reason {finish})")
    if len(text) > LONGEST_ANSWER:
        return None, InvalidAnswerError(f"the answer was {len(text)} characters long; at most {LONGEST_ANSWER} can be meant")
    try:
        return answer.model_validate_json(_without_code_fence(text)), None
    except ValidationError as invalid:
        return None, InvalidAnswerError(explain_invalid(invalid))


def _without_code_fence(text: str) -> str:
    bare = text.strip()
    opening = _LANGUAGE.match(bare)
    return bare[opening.end() : -len(_FENCE)] if opening and bare.endswith(_FENCE) else text


def count_of(value: object) -> float:
    """A count of tokens, rounded up; 0 where there is none, infinite where it cannot be one."""
    if value is None:
        return 0
    try:
        number = float(value) if isinstance(value, (str, float)) else math.inf
    except ValueError:
        return math.inf
    return math.ceil(number) if 0 <= number < 2**53 else math.inf


def _size(*texts: str) -> int:
    return sum(len(text.encode("utf-8", "replace")) for text in texts)


def name_of(value: object) -> str:
    """A name or an id in a body, cut; '' where there is none."""
    return kept(value, LONGEST_NAME) if isinstance(value, str) else ""
