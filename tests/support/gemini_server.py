"""HTTP answers for tests: from a server on loopback through the real SDK, or passed directly to the classification."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, Field

from resources.gateway.calls import Answer
from resources.gateway.outcomes import CallError
from resources.gemini.answers import HttpAnswer, read_answer
from resources.gemini.client import GeminiClient, TextRequest
from resources.gemini.models import ModelProfile, model_profiles

FLASH = model_profiles()["gemini-2.5-flash"]
KEY = "AIzaSecretSecretSecret"


class Village(BaseModel):
    """A village."""

    name: str
    people: list[str] = Field(min_length=3, max_length=6)


GOOD = '{"name": "Reef", "people": ["Ann", "Bob", "Cy"]}'


def question(
    text: str = "A village on a reef", *, schema: Mapping[str, object] | None = None, max_output_tokens: int = 2048
) -> TextRequest[Village]:
    """A question for a village."""
    return TextRequest("You invent worlds.", [text], schema or Village.model_json_schema(), Village, max_output_tokens)


def said(text: str = GOOD, finish: object = "STOP", usage: object = None, **more: Any) -> dict[str, Any]:
    """The body of an answer with this text."""
    figures = {"promptTokenCount": 60, "candidatesTokenCount": 20, "totalTokenCount": 80} if usage is None else usage
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": finish}
    return {"candidates": [candidate], "usageMetadata": figures, "modelVersion": FLASH.id, **more}


def failed(code: int, status: str, message: str = "no", *details: object) -> dict[str, Any]:
    """The body of an error of Google's."""
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


def as_bytes(body: object) -> bytes:
    """The bytes of a body."""
    return body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()


def meaning(
    status: int, body: object, headers: Mapping[str, str] | None = None, profile: ModelProfile = FLASH
) -> Answer[Village] | CallError:
    """The classification of this answer: the answer with its price, or the raised outcome."""
    try:
        return read_answer(HttpAnswer(status, headers or {}, as_bytes(body)), question(), profile)
    except CallError as error:
        return error


def outcome(found: Answer[Village] | CallError) -> CallError | None:
    """The failure, raised or returned; None: no failure."""
    return found if isinstance(found, CallError) else found.error


@dataclass
class Served:
    """A client of a server that gives every request the same answer, and the requests it got."""

    client: GeminiClient
    requests: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def provider(status: str, body: object, *headers: str, timeout_seconds: float = 60) -> AsyncIterator[Served]:
    """Serve this answer on loopback."""
    content = as_bytes(body)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.requests.append(await reader.readuntil(b"\r\n\r\n"))
        head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", "Connection: close", *headers])
        writer.write(f"{head}\r\n\r\n".encode("latin-1") + content)
        with suppress(ConnectionError):  # the client may stop reading
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        served = Served(GeminiClient(api_key=KEY, base_url=address, timeout_seconds=timeout_seconds))
        try:
            yield served
        finally:
            await served.client.aclose()
