"""Gemini through google-genai: building a request and sending it (facts measured 2026-11 with google-genai 3.4.0).

Not here: judging the answer (answers.py), limits and retries (resources/gateway), which model (models.py), the prompt (the caller).

The SDK makes the request and sends it, once: its retries are off, since they ignore RetryInfo and Retry-After; its transport is
httpx2, chosen by passing our own client, so that an installed aiohttp changes nothing; and that client intercepts each response
before the SDK reads it, so that there is one HTTP call for each reservation whatever the SDK would do with the answer. Variables of
the environment that the SDK would read (another address, another key, Vertex AI) are hidden from it: only our own settings count.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NoReturn

import httpx2

from resources.gateway.api_gateway import Answer
from resources.gateway.outcomes import CallError, FatalCallError, InvalidAnswerError
from resources.gemini import models
from resources.gemini.answers import LONGEST_BODY, AnswerT, HttpAnswer, read_answer
from resources.gemini.errors import failed_call
from resources.gemini.models import ModelProfile
from resources.gemini.tiers import CallTier
from resources.redaction import hide
from resources.settings import is_loopback

if TYPE_CHECKING:
    from google.genai import types

API_VERSION = "v1beta"


@dataclass(frozen=True)
class TextRequest(Generic[AnswerT]):
    """A request for one structured answer. ``parts`` are sent in order in one user turn: the part that repeats comes first."""

    system: str
    parts: Sequence[str]
    schema: Mapping[str, object]
    answer: type[AnswerT]
    max_output_tokens: int
    tier: CallTier = CallTier.STANDARD

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that the model reads."""
        return (self.system, *self.parts)

    @property
    def prompt_bytes(self) -> int:
        """Size of all that is sent, in bytes, for the worst case of its price."""
        texts = (*self.texts, json.dumps(self.schema, ensure_ascii=False))
        return sum(len(text.encode("utf-8", "replace")) for text in texts)


class AnswerArrived(Exception):  # noqa: N818  no error: it carries an answer past the SDK, which would parse it
    """Carries an HTTP response of any status past the SDK."""

    def __init__(self, http: HttpAnswer) -> None:
        super().__init__(http.status)
        self.http = http


class GeminiClient:
    """One client for each process (import 0.5 s, first client 0.1 s). Make it on the event loop; ``aclose`` it there."""

    def __init__(self, *, api_key: str, base_url: str, timeout_seconds: float, flex_timeout_seconds: float = 900.0) -> None:
        from google import genai  # 0.5 s: only a process that calls pays for it
        from google.genai import types

        if not api_key and not base_url:
            raise FatalCallError(
                "GEMINI_API_KEY is not set: export it to use the real API, or run `make dev`, which starts an emulator and sets "
                "GEMINI_BASE_URL"
            )
        hide(api_key)
        self._types = types
        self._flex_timeout = int(flex_timeout_seconds * 1000)
        self._base_url = base_url
        try:
            self._http = httpx2.AsyncClient(
                timeout=httpx2.Timeout(timeout_seconds, connect=min(10.0, timeout_seconds)),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),  # the slots decide, never the pool
                trust_env=not is_loopback(base_url),  # proxies of the environment, except for this machine
                event_hooks={"response": [_intercept]},
            )
        except (ValueError, ImportError) as error:
            raise FatalCallError(f"HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used ({error}): correct or unset it") from None
        with _hidden_from_the_sdk():
            self._client = genai.Client(
                api_key=api_key or "emulator",
                http_options=types.HttpOptions(
                    base_url=base_url or None,
                    api_version=API_VERSION,
                    timeout=int(timeout_seconds * 1000),
                    client_args={"trust_env": False},  # the SDK's other client, which is not used
                    httpx_async_client=self._http,
                    retry_options=types.HttpRetryOptions(attempts=1),
                ),
            )

    async def ask(self, request: TextRequest[AnswerT], profile: ModelProfile) -> Answer[AnswerT]:
        """One call.

        Raises the ``CallError`` of a call without an answer; returns an unusable answer with its ``error`` and its cost.
        """
        types, sent = self._types, models.now()
        config = types.GenerateContentConfig(
            system_instruction=request.system,
            response_mime_type="application/json",
            response_json_schema=dict(request.schema),
            max_output_tokens=request.max_output_tokens,
            thinking_config=_thinking(profile),
            temperature=1.0 if profile.sampling else None,
            service_tier=None if request.tier is CallTier.STANDARD else types.ServiceTier(request.tier.value),
            http_options=types.HttpOptions(timeout=self._flex_timeout) if request.tier is CallTier.FLEX else None,
        )
        contents = types.Content(role="user", parts=[types.Part(text=part) for part in request.parts if part])
        try:
            try:
                await self._client.aio.models.generate_content(model=profile.id, contents=contents, config=config)
            except AnswerArrived as arrived:
                return read_answer(arrived.http, request, profile, sent=sent, base_url=self._base_url)
        except CallError:
            raise
        except Exception as error:  # noqa: BLE001  whatever comes out of a call is an outcome of it
            outcome = failed_call(error)
            if not isinstance(outcome, InvalidAnswerError):
                raise outcome from None
            return Answer(None, {}, None, error=outcome)  # paid for at its worst case
        raise AssertionError("the response was not handed over")  # pragma: no cover

    async def aclose(self) -> None:
        """Close the client and its connections."""
        await self._client.aio.aclose()
        await self._http.aclose()


def _thinking(profile: ModelProfile) -> types.ThinkingConfig | None:
    from google.genai import types

    thinking = profile.thinking
    if thinking is None:
        return None
    if thinking.style == "budget":
        return types.ThinkingConfig(thinking_budget=int(thinking.value))
    return types.ThinkingConfig(thinking_level=types.ThinkingLevel(str(thinking.value).upper()))


async def _intercept(response: httpx2.Response) -> NoReturn:
    """Read a response, up to ``LONGEST_BODY``, and raise it as ``AnswerArrived`` before the SDK sees it."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > LONGEST_BODY:
                break
    except httpx2.DecodingError:
        pass  # the part that could be unpacked is judged
    headers = {name.lower(): value for name, value in response.headers.items()}
    raise AnswerArrived(HttpAnswer(response.status_code, headers, bytes(body[: LONGEST_BODY + 1])))


@contextmanager
def _hidden_from_the_sdk() -> Iterator[None]:
    """Take GOOGLE_… out of the environment while the SDK's client is made: they name other addresses, keys and transports."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("GOOGLE_")}
    try:
        yield
    finally:
        os.environ.update(hidden)
