"""Texts of Gemini: building a request and sending it (transport.py), with its answer judged (answers.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Generic

from resources.gateway.calls import Answer
from resources.gateway.outcomes import InvalidAnswerError
from resources.gemini import models
from resources.gemini.answers import LONGEST_BODY, AnswerT, read_answer
from resources.gemini.errors import failed_call
from resources.gemini.models import ModelProfile
from resources.gemini.tiers import CallTier
from resources.gemini.transport import GeminiTransport

if TYPE_CHECKING:
    from google.genai import types


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
        return (self.system, *self.parts)

    @cached_property
    def schema_json(self) -> str:
        return json.dumps(self.schema, ensure_ascii=False)

    @cached_property
    def prompt_bytes(self) -> int:
        """Size of all that is sent, in bytes, for the worst case of its price."""
        return sum(len(text.encode("utf-8", "replace")) for text in (*self.texts, self.schema_json))


class GeminiClient:
    """The language model, one client for each process. Make it on the event loop; ``aclose`` it there."""

    def __init__(self, *, api_key: str, base_url: str, timeout_seconds: float, flex_timeout_seconds: float = 900.0) -> None:
        self._flex_timeout = int(flex_timeout_seconds * 1000)
        self._transport = GeminiTransport(
            api_key=api_key, base_url=base_url, timeout_seconds=timeout_seconds, longest_body=LONGEST_BODY
        )

    async def ask(self, request: TextRequest[AnswerT], profile: ModelProfile) -> Answer[AnswerT]:
        """One call.

        Raises the ``CallError`` of a call without an answer; returns an unusable answer with its ``error`` and its cost.
        """
        from google.genai import types

        from resources.gemini.sdk_types import Config, Content, Part

        sent = models.now()
        config = Config(
            system_instruction=Content.of(Part(text=request.system)),
            response_mime_type="application/json",
            response_json_schema=request.schema,
            max_output_tokens=request.max_output_tokens,
            thinking_config=_thinking(profile),
            temperature=1.0 if profile.sampling else None,
            service_tier=None if request.tier is CallTier.STANDARD else types.ServiceTier(request.tier.value),
            http_options=types.HttpOptions(timeout=self._flex_timeout) if request.tier is CallTier.FLEX else None,
        )
        contents = Content.of(*(Part(text=part) for part in request.parts if part))
        try:
            http = await self._transport.generate(profile.id, contents, config)
            return read_answer(http, request, profile, sent=sent, base_url=self._transport.base_url)
        except Exception as error:  # noqa: BLE001  whatever comes out of a call is an outcome of it
            outcome = failed_call(error)
            if not isinstance(outcome, InvalidAnswerError):
                raise outcome from None
            return Answer(None, {}, None, error=outcome)  # paid for at its worst case

    async def aclose(self) -> None:
        await self._transport.aclose()


def _thinking(profile: ModelProfile) -> types.ThinkingConfig | None:
    from google.genai import types

    match profile.thinking:
        case None:
            return None
        case int(budget):
            return types.ThinkingConfig(thinking_budget=budget)
        case level:
            return types.ThinkingConfig(thinking_level=types.ThinkingLevel(level.upper()))
