"""Gemini through google-genai: one call, its answer validated and priced, its failures classified.

Here: how Google is spoken to and what its answers mean (facts measured 2026-11 with google-genai 3.4.0). Not here: when a call
may be made and how often (outside.py), which model (models.py), what is said (the caller's prompt).

The SDK's own retries are off, since they ignore RetryInfo and Retry-After; its transport is httpx2, chosen here by handing in
the client, so that an installed aiohttp changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel, ValidationError

from resources.models import ModelProfile, speaks_of
from resources.outcomes import (
    FatalCallError,
    InvalidAnswerError,
    ModelMissingError,
    OutsideError,
    RateLimitedError,
    RefusedError,
    RequestRejectedError,
    TransientError,
)
from resources.outside import Answer, Tokens

if TYPE_CHECKING:
    from google.genai import types
    from google.genai.errors import APIError

AnswerT = TypeVar("AnswerT", bound=BaseModel)

API_VERSION = "v1beta"
REFUSALS = frozenset({"SAFETY", "PROHIBITED_CONTENT", "RECITATION", "BLOCKLIST", "SPII", "IMAGE_SAFETY", "LANGUAGE", "OTHER"})
QUOTA_RESET_HOUR_UTC = 8
LONGEST_MESSAGE = 300
"""Characters kept of an error's text that may be anybody's page."""
LONGEST_ANSWER = 1_000_000
"""Characters; what is longer is not an answer to any of our questions."""


@dataclass(frozen=True)
class TextRequest(Generic[AnswerT]):
    """A request for one structured answer. ``parts`` are sent in order in one user turn: the part that repeats comes first."""

    system: str
    parts: Sequence[str]
    schema: Mapping[str, object]
    answer: type[AnswerT]
    max_output_tokens: int

    @property
    def prompt_bytes(self) -> int:
        """Size of all that is sent, in bytes, for the worst case of its price."""
        texts = (self.system, *self.parts, json.dumps(self.schema, ensure_ascii=False))
        return sum(len(text.encode("utf-8", "replace")) for text in texts)


class GeminiClient:
    """One client for each process (import 0.5 s, first client 0.1 s). Make it on the event loop; ``aclose`` it there."""

    def __init__(self, *, api_key: str, base_url: str, timeout_seconds: float) -> None:
        from google import genai  # 0.5 s: only a process that calls pays for it
        from google.genai import types

        if not api_key and not base_url:
            raise FatalCallError(
                "GEMINI_API_KEY is not set: export it to use the real API, or run `make dev`, which starts an emulator and sets "
                "GEMINI_BASE_URL"
            )
        self._types = types
        self._api_key = api_key
        self._base_url = base_url
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(timeout_seconds, connect=min(10.0, timeout_seconds)),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),  # the slots decide, never the pool
        )
        self._client = genai.Client(
            api_key=api_key or "emulator",
            http_options=types.HttpOptions(
                base_url=base_url or None,
                api_version=API_VERSION,
                timeout=int(timeout_seconds * 1000),
                httpx_async_client=self._http,
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        )

    async def ask(self, request: TextRequest[AnswerT], profile: ModelProfile) -> Answer[AnswerT]:
        """One call. Raises what was not answered; an answer that cannot be used comes back with its ``error`` and its cost."""
        from google.genai.errors import APIError

        types = self._types
        thinking = (
            types.ThinkingConfig(thinking_budget=int(profile.thinking.value))
            if profile.thinking.style == "budget"
            else types.ThinkingConfig(thinking_level=types.ThinkingLevel(str(profile.thinking.value).upper()))
        )
        config = types.GenerateContentConfig(
            system_instruction=request.system,
            response_mime_type="application/json",
            response_json_schema=dict(request.schema),
            max_output_tokens=request.max_output_tokens,
            thinking_config=thinking,
            temperature=1.0 if profile.sampling else None,
        )
        contents = types.Content(role="user", parts=[types.Part(text=part) for part in request.parts if part])
        try:
            response = await self._client.aio.models.generate_content(model=profile.id, contents=contents, config=config)
        except APIError as error:
            raise classify_error(error, profile.id, secret=self._api_key, base_url=self._base_url) from None
        except (json.JSONDecodeError, UnicodeDecodeError, ValidationError) as error:
            raise TransientError(  # in doubt: it may be a proxy's page, or an answer that was billed and that the SDK cannot read
                f"Gemini answered 200 with something that is no answer of Gemini ({type(error).__name__})",
                in_doubt=True,
            ) from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise TransientError(f"Gemini cannot be reached: {error or type(error).__name__}") from None
        except httpx2.RequestError as error:
            raise TransientError(f"the call to Gemini broke off: {type(error).__name__}", in_doubt=True) from None
        return read_answer(response, request.answer, profile)

    async def aclose(self) -> None:
        """Close the client and its connections."""
        await self._client.aio.aclose()
        await self._http.aclose()


def read_answer(response: types.GenerateContentResponse, answer: type[AnswerT], profile: ModelProfile) -> Answer[AnswerT]:
    """Validate and price a response. Damaged JSON is never repaired by guessing: it is an ``InvalidAnswerError`` to ask again."""
    tokens = _tokens(response)
    value: AnswerT | None = None
    error: OutsideError | None = None
    text = ""
    block = response.prompt_feedback.block_reason if response.prompt_feedback else None
    candidate = response.candidates[0] if response.candidates else None
    finish = candidate.finish_reason.value if candidate and candidate.finish_reason else "NONE"
    if candidate and candidate.content and candidate.content.parts:
        text = "".join(part.text for part in candidate.content.parts if part.text and not part.thought)
    if block is not None:
        error = RefusedError(f"Gemini refused the prompt: {block.value}", reason=block.value)
    elif finish in REFUSALS:
        error = RefusedError(f"Gemini refused to answer: {finish}", reason=finish)
    elif finish == "MAX_TOKENS":
        error = InvalidAnswerError("the answer was cut at the output limit", cut=True)
    elif not text:
        error = InvalidAnswerError(f"the answer was empty (finish reason {finish})")
    elif len(text) > LONGEST_ANSWER:
        error = InvalidAnswerError(f"the answer was {len(text)} characters long; at most {LONGEST_ANSWER} can be meant")
    else:
        try:
            value = answer.model_validate_json(text)
        except ValidationError as invalid:
            error = InvalidAnswerError(explain_invalid(invalid))
    data = {"text": text[:LONGEST_ANSWER], "finish_reason": finish, "model": response.model_version or profile.id}
    if response.response_id:  # what Google's support asks for
        data["response_id"] = response.response_id[:LONGEST_MESSAGE]
    cost_usd = profile.cost_usd(tokens) if response.usage_metadata is not None else None
    return Answer(value, data, cost_usd, tokens, error)


def explain_invalid(error: ValidationError, limit: int = 8) -> str:
    """What is wrong with an answer, in words that the model and a person understand."""
    problems = [
        f"{'.'.join(str(part) for part in problem['loc']) or 'the answer'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = f"; and {len(problems) - limit} more" if len(problems) > limit else ""
    return "; ".join(problems[:limit]) + more


def _tokens(response: types.GenerateContentResponse) -> Tokens:
    usage = response.usage_metadata
    if usage is None:
        return Tokens()
    thinking = usage.thoughts_token_count or 0
    return Tokens(
        prompt=usage.prompt_token_count or 0,
        cached=usage.cached_content_token_count or 0,
        output=(usage.candidates_token_count or 0) + thinking,
        thinking=thinking,
    )


def classify_error(error: APIError, model: str, *, secret: str = "", base_url: str = "") -> OutsideError:
    """What an error response of the API means for us. The message is Google's, the advice ours.

    Google names the key itself in some of its messages ("Consumer 'api_key:…' has been suspended"): ``secret`` is taken out.
    """
    code, status = error.code, error.status or ""
    message = f"Gemini answered {code} {status}: {error.message or ''}".strip()
    if secret:
        message = message.replace(secret, "***")
    details = _details(error)
    if code == 429:
        wait, daily = _retry_after(error, details), _daily(details)
        return RateLimitedError(
            message, retry_after=max(wait or 0.0, _until_reset(datetime.now(UTC))) if daily else wait, daily=daily
        )
    if code in (408, 499) or code >= 500:
        return TransientError(message, in_doubt=code == 504)
    if code == 404:
        if status == "NOT_FOUND" and speaks_of(message, model):
            return ModelMissingError(f"model {model}: {message}")
        return FatalCallError(_somebody_else(message, base_url), may_heal=True)
    if any(detail.get("reason") == "API_KEY_INVALID" for detail in details) or code in (401, 403):
        return FatalCallError(f"{message}. Check GEMINI_API_KEY and what it may use", may_heal=True)
    if status == "FAILED_PRECONDITION":
        return FatalCallError(f"{message}. Check the billing and the region of the account behind GEMINI_API_KEY")
    if code == 400:
        return RequestRejectedError(f"{message}. The request itself is wrong; asking the same again cannot help")
    return FatalCallError(f"{message}. Nobody expects this answer of Gemini: look for a proxy on the way to it", may_heal=True)


def _somebody_else(message: str, base_url: str) -> str:
    """A 404 that is not about the model: another server's page, or Gemini's at a path it does not have. No model is gone by it."""
    where = urlsplit(base_url)
    asked = f"{where.netloc.rpartition('@')[2]}{where.path}" if base_url else "Google"
    said = " ".join(message.split())[:LONGEST_MESSAGE]
    advice = (
        "correct GEMINI_BASE_URL, or unset it for Google's own address" if base_url else "look for a proxy on the way to Google"
    )
    return f"{said}. This is not what Gemini says of a model that is gone ({asked} was asked): {advice}"


def _details(error: APIError) -> list[dict[str, object]]:
    body = error.details if isinstance(error.details, dict) else {}
    inner = body.get("error", body)
    found = inner.get("details", []) if isinstance(inner, dict) else []
    return [detail for detail in found if isinstance(detail, dict)] if isinstance(found, list) else []


def _retry_after(error: APIError, details: list[dict[str, object]]) -> float | None:
    for detail in details:
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and delay.endswith("s"):
            return _seconds(delay[:-1])
    headers = getattr(error.response, "headers", None)
    header = headers.get("retry-after") if headers is not None else None
    if not header:
        return None
    seconds = _seconds(header)
    return _until(header, datetime.now(UTC)) if seconds is None else seconds


def _seconds(text: str) -> float | None:
    try:
        return max(0.0, float(text))
    except ValueError:
        return None


def _until(text: str, now: datetime) -> float | None:
    """Seconds until an HTTP date, the other form that Retry-After may have (proxies use it); 0 for one that is past."""
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds())


def _until_reset(now: datetime) -> float:
    """Seconds until a day's quota is there again: Google counts days by Pacific time, and in winter midnight is 08:00 UTC."""
    reset = now.replace(hour=QUOTA_RESET_HOUR_UTC, minute=0, second=0, microsecond=0)
    return ((reset if reset > now else reset + timedelta(days=1)) - now).total_seconds()


def _daily(details: list[dict[str, object]]) -> bool:
    for detail in details:
        violations = detail.get("violations")
        if isinstance(violations, list) and any("PerDay" in str(violation.get("quotaId", "")) for violation in violations):
            return True
    return False
