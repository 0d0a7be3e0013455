"""The faults with their rates and times, as one model that can be changed while the emulator runs.

Here: which fault a call gets. Not here: the effect of a fault on the call (service.py, answer.py, spoil.py).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from emulators.dice import Dice

Rate = Annotated[float, Field(ge=0, le=1)]
FinishReason = Literal[
    "SAFETY",
    "PROHIBITED_CONTENT",
    "BLOCKLIST",
    "SPII",
    "MODEL_ARMOR",
    "ESCALATION",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "PUP_LIMITED_DISABLED",
]
StopReason = Literal["RECITATION", "OTHER", "LANGUAGE", "IMAGE_OTHER", "NO_IMAGE", "MALFORMED_RESPONSE"]
BlockReason = Literal["SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "IMAGE_SAFETY", "MODEL_ARMOR", "JAILBREAK", "OTHER"]

FaultName = Literal[
    "rate_limited",
    "rate_limited_header",
    "rate_limited_bare",
    "unauthenticated",
    "invalid_argument",
    "hang",
    "reset_connection",
    "internal_error",
    "unavailable",
    "deadline_exceeded",
    "html",
    "empty_body",
    "empty_answer",
    "prompt_blocked",
    "answer_blocked",
    "truncated_json",
    "broken_json",
    "fenced_json",
    "too_few",
    "too_many",
    "repeated_names",
    "wrong_types",
    "wrong_language",
    "hostile_text",
    "no_usage",
    "no_credit",
    "stopped",
    "looped",
    "continued",
    "odd_usage",
    "odd_shape",
    "error_in_200",
    "hostile_error",
    "somebody_else",
    "wish_ignored",
    "future_told",
    "same_opening",
    "reply_ignored",
    "same_length",
    "same_phrases",
    "wrong_kin",
    "bad_comments",
    "text_only",
    "two_pictures",
    "cut_picture",
    "damaged_base64",
    "wrong_mime",
]
"""Every fault that is drawn, in the order in which they are drawn: the first that comes up is the call's only one."""

_FAULTS: tuple[FaultName, ...] = FaultName.__args__  # type: ignore[attr-defined]

_OF_PICTURES: frozenset[FaultName] = frozenset({"text_only", "two_pictures", "cut_picture", "damaged_base64", "wrong_mime"})
_OF_TEXTS: frozenset[FaultName] = frozenset(
    {
        "truncated_json", "broken_json", "fenced_json", "too_few", "too_many", "repeated_names", "wrong_types", "wrong_language",
        "hostile_text", "looped", "continued", "wish_ignored", "future_told", "same_opening", "reply_ignored", "same_length",
        "same_phrases", "wrong_kin", "bad_comments",
    }
)  # fmt: skip
"""Faults inside an answer that meet only requests for pictures, or only those for texts."""

_STICKY: frozenset[FaultName] = frozenset({"prompt_blocked", "answer_blocked"})
"""Moderation depends on the request: the same request is refused again, a changed prompt is judged again."""


SPELL: dict[str, float] = {"rate_limited_bare": 0.2, "internal_error": 0.2, "unavailable": 0.2}
"""What meets the calls of a model around its retirement, while the spell lasts (``after_calls``, ``for_calls``)."""


class Retirement(BaseModel):
    """How a model is being retired, in one of the five shapes that were seen.

    ``not_found``: 404. ``routed``: it accepts the same requests as before, and ``successor`` (any name) is the ``modelVersion`` of
    its answers. ``parameter``: ``successor`` answers, with its own rules for parameters, so that some are refused (400). ``spell``:
    a mix of 429, 500 and 503. ``price``: nothing but the bill changes, at midnight: the API answers as ever.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    shape: Literal["not_found", "routed", "parameter", "spell", "price"]
    successor: str = "gemini-3.5-flash-lite"


class Faults(BaseModel):
    """All faults. Rates are shares of calls from 0 to 1; by default there are no faults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(default=0, description="what the dice are thrown with; the same seed and requests meet the same faults")
    only_matching: str = Field(default="", description="faults drawn by rate meet only requests whose body contains this text")
    after_calls: int = Field(default=0, ge=0, description="faults drawn by rate spare the first so many calls since the reset")
    for_calls: int | None = Field(default=None, ge=0, description="... and meet only so many calls after those; None = all")

    latency: float = Field(default=0.0, ge=0, description="seconds until an answer")
    jitter: float = Field(default=0.0, ge=0, description="at most so many seconds more, drawn for each call")
    slow: Rate = Field(default=0.0, description="answers that take ten times as long")
    length_spread: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="how far the lengths of people's texts differ: standard deviation of the logarithm; of worlds' a third of it",
    )

    flex_slower: float = Field(default=1.0, ge=1, description="how many times as long as at standard an answer at flex takes")
    flex_shed: Rate = Field(default=0.0, description="calls at flex that are shed at once: half with a 429, half with a 503")
    priority_served_as_standard: Rate = Field(default=0.0, description="calls at priority beyond its quota")

    max_in_flight: int | None = Field(default=None, ge=0, description="calls at once; one more is refused with a bare 429")
    requests_per_minute: int | None = Field(default=None, ge=0, description="quota of answered calls in the last minute")
    requests_per_day: int | None = Field(default=None, ge=0, description="quota of answered calls in the last day")
    minute: float = Field(default=60.0, gt=0, description="seconds a minute of the quota has; shorter in tests")
    day: float = Field(default=86_400.0, gt=0, description="seconds a day of the quota has; shorter in tests")
    retired: dict[str, Retirement] = Field(default={}, description="by the id of a model, how it is being retired")

    rate_limited: Rate = Field(default=0.0, description="429 with QuotaFailure and RetryInfo")
    rate_limited_header: Rate = Field(default=0.0, description="429 with QuotaFailure and a Retry-After header, no RetryInfo")
    rate_limited_bare: Rate = Field(default=0.0, description="429 without details")
    retry_after: float = Field(default=1.0, ge=0, description="seconds to wait that the 429s above name")
    unauthenticated: Rate = Field(default=0.0, description="401, as a gateway answers whose own credentials ran out")
    invalid_argument: Rate = Field(default=0.0, description="400 that calls the request itself wrong")
    hang: Rate = Field(default=0.0, description="no answer until the caller gives up")
    hang_limit: float = Field(default=600.0, gt=0, description="seconds after which a hanging call ends as 504 all the same")
    reset_connection: Rate = Field(default=0.0, description="TCP reset after the latency, nothing answered")
    internal_error: Rate = Field(default=0.0, description="500")
    unavailable: Rate = Field(default=0.0, description="503")
    deadline_exceeded: Rate = Field(default=0.0, description="504")
    html: Rate = Field(default=0.0, description="200 with an HTML page")
    empty_body: Rate = Field(default=0.0, description="200 with an empty JSON object")
    empty_answer: Rate = Field(default=0.0, description="200 with a candidate that has no text, finishReason STOP")
    prompt_blocked: Rate = Field(default=0.0, description="moderation refuses the prompt: promptFeedback.blockReason, no candidate")
    block_reasons: list[BlockReason] = Field(
        default=["SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST"], min_length=1, description="reasons drawn from for it"
    )
    answer_blocked: Rate = Field(default=0.0, description="moderation refuses the answer: finishReason, no content")
    finish_reasons: list[FinishReason] = Field(
        default=["SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII"],
        min_length=1,
        description="reasons drawn from for it",
    )
    truncated_json: Rate = Field(default=0.0, description="the answer is cut, finishReason MAX_TOKENS")
    broken_json: Rate = Field(default=0.0, description="the answer is no JSON, finishReason STOP")
    fenced_json: Rate = Field(default=0.0, description="the answer stands in a Markdown code fence")
    too_few: Rate = Field(default=0.0, description="half as many objects as were asked for")
    too_many: Rate = Field(default=0.0, description="half as many objects again as were asked for")
    repeated_names: Rate = Field(default=0.0, description="everybody has the same name")
    wrong_types: Rate = Field(default=0.0, description="one field has a type the schema does not allow")
    wrong_language: Rate = Field(default=0.0, description="the answer is written in another language")
    hostile_text: Rate = Field(
        default=0.0, description="valid JSON whose text holds NUL, half a surrogate pair, marks that turn the writing, or 1 MB"
    )
    no_usage: Rate = Field(default=0.0, description="a good answer without usageMetadata, so that nobody knows what it cost")
    no_credit: Rate = Field(default=0.0, description="429 of an account whose prepaid credit is used up")
    stopped: Rate = Field(
        default=0.0, description="the model stops without an answer and without moderation: finishReason, no content"
    )
    stop_reasons: list[StopReason] = Field(default=["RECITATION", "OTHER"], min_length=1, description="reasons drawn from for it")
    looped: Rate = Field(default=0.0, description="the answer repeats itself up to the output limit, finishReason MAX_TOKENS")
    continued: Rate = Field(
        default=0.0, description="the answer stops half-way, finishReason CONTINUATION with a continuationToken"
    )
    odd_usage: Rate = Field(default=0.0, description="a good answer whose usageMetadata cannot be, or says nothing")
    odd_shape: Rate = Field(default=0.0, description="200 with JSON that is not the shape of an answer, or is no JSON after all")
    error_in_200: Rate = Field(default=0.0, description="200 whose body carries an error: 429, 503 or 500")
    hostile_error: Rate = Field(
        default=0.0, description="an error with half a pair, a key, a wait without end, bytes that are no UTF-8, 24 KB of page"
    )
    somebody_else: Rate = Field(default=0.0, description="what a proxy answers in Gemini's place: 302, 204, 407, a page with 404")
    wish_ignored: Rate = Field(default=0.0, description="nothing of the user's sentence is in the posts and their ideas")
    future_told: Rate = Field(
        default=0.0,
        description="posts and their ideas name the calendar's last event as if it had happened",
    )
    same_opening: Rate = Field(default=0.0, description="every post, bio, personality and story begins with the same four words")
    reply_ignored: Rate = Field(
        default=0.0, description="a reply has no word of the post that it answers, and does not name its author"
    )
    same_length: Rate = Field(default=0.0, description="every post has about sixty words, whatever length was asked for")
    same_phrases: Rate = Field(default=0.0, description="every profile is made of the same sentences, with other names")
    wrong_kin: Rate = Field(
        default=0.0,
        description="ages in figures that contradict the drawn ones (a grown-up is 7, a child is 70), kinds of both at once, and "
        "relations that call everybody their mother",
    )
    bad_comments: Rate = Field(
        default=0.0,
        description="too many comments on a post, empty or long ones, by and to people who do not exist, in another language, or "
        "no list of them",
    )
    text_only: Rate = Field(default=0.0, description="a text, where a picture was asked for")
    two_pictures: Rate = Field(default=0.0, description="two pictures, where one was asked for; both are billed")
    cut_picture: Rate = Field(default=0.0, description="a picture whose bytes end half-way, finishReason MAX_TOKENS")
    damaged_base64: Rate = Field(default=0.0, description="a picture whose base64 cannot be read")
    wrong_mime: Rate = Field(default=0.0, description="a picture whose mimeType is not that of its bytes")
    split_text: Rate = Field(default=0.0, description="the text comes in several parts; no fault, callers must join them")


def draw(faults: Faults, dice: Dice, *, call: int, body: bytes, of_picture: bool = False) -> FaultName | None:
    """The fault of this call, number ``call`` since the reset (from 1), or None; ``of_picture``: it requests a picture."""
    last = None if faults.for_calls is None else faults.after_calls + faults.for_calls
    if call <= faults.after_calls or (last is not None and call > last):
        return None
    if faults.only_matching and not _contains(body, faults.only_matching):
        return None
    for name in _FAULTS:
        if name in (_OF_TEXTS if of_picture else _OF_PICTURES):
            continue
        rate: float = getattr(faults, name)
        if rate and dice.throw(name, sticky=name in _STICKY) < rate:
            return name
    return None


def _contains(body: bytes, text: str) -> bool:
    """Whether a JSON body contains the text, with or without JSON escapes."""
    escaped = "".join(letter if letter.isascii() else f"\\u{ord(letter):04x}" for letter in text)
    return text.encode() in body or escaped.encode() in body
