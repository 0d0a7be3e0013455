"""For any answer of the API a call has exactly one outcome with a possible price and a text that can be stored."""

from __future__ import annotations

import asyncio
import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from resources.gateway.calls import Answer
from resources.gateway.outcomes import (
    CallError,
    FatalCallError,
    InvalidAnswerError,
    ModelMissingError,
    ParameterRefusedError,
    RateLimitedError,
    RefusedError,
    RequestRejectedError,
    TransientError,
)
from resources.gemini.client import GeminiClient
from resources.gemini.models import dearest, model_profiles, now
from resources.redaction import hide, kept_data
from tests.support.gemini_server import FLASH, KEY, Village, as_bytes, failed, meaning, question, said
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.case("A1")

OWN_KEY = "own-0123456789-key"
DEAREST = dearest(profile.price(now()) for profile in model_profiles().values())  # any modelVersion may have answered
BOUND = (1_048_576 * DEAREST.input + 65_536 * DEAREST.output) / 1e6
RAISED = (
    FatalCallError,
    ModelMissingError,
    ParameterRefusedError,
    RateLimitedError,
    RequestRejectedError,
    TransientError,
)
PAID_FOR = (InvalidAnswerError, RefusedError, FatalCallError)

hide(OWN_KEY)

texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [KEY, KEY[:12] + "…", OWN_KEY, f"?key={KEY}", "\ud83d", "\x00\x1b[2J", "limit: 0", "API key expired", "x" * 5_000]
    ),
    st.sampled_from(["SAFETY", "MAX_TOKENS", "OTHER", "STOP", "infs", "1e12s", "-3s", "12", "limit: 0", FLASH.id]),
)
numbers = st.one_of(
    st.integers(-5, 600), st.sampled_from([2**31, 2**63, -(2**63), 10**400, 1.5, math.inf, -math.inf, math.nan, 1e300])
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths in the body that can be changed."""
    if path:
        yield path
    if isinstance(value, (dict, list)):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(entry, (*path, key))


@st.composite
def near_misses(draw: st.DrawFn) -> bytes:
    """The body of an answer or an error with a few entries changed or removed."""
    retry = {"retryDelay": "3s", "reason": "X", "violations": [{"quotaId": "PerDay", "quotaValue": "7"}]}
    full = {**said(responseId="r"), "promptFeedback": {"blockReason": "OTHER"}}
    bodies = [said(), full, failed(429, "RESOURCE_EXHAUSTED", "no", retry), [failed(503, "X")]]
    body: Any = copy.deepcopy(draw(st.sampled_from(bodies)))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from([*paths(body)] or [("candidates",)]))
        holder = body
        for step in way:
            holder = holder[step]
        if draw(st.booleans()) or isinstance(holder, list):
            holder[last] = draw(values)
        else:
            holder.pop(last, None)
    return json.dumps(body).encode()


bodies = st.one_of(
    st.binary(max_size=200),
    values.map(lambda value: json.dumps(value).encode()),
    near_misses(),
    st.builds(lambda body, end: as_bytes(body)[:-end], st.just(said()), st.integers(1, 60)),
)
waits = st.sampled_from(
    ["", "17", "-1", "inf", "nan", "1e300", "soon", "Wed, 21 Oct 2099 07:28:00 +9999", "Fri, 31 Dec 99999 00:00:00 GMT"]
)
statuses = st.one_of(
    st.just(200), st.sampled_from([201, 204, 301, 400, 401, 403, 404, 409, 413, 429, 500, 503, 504]), st.integers(200, 599)
)


def check(found: Answer[Village] | CallError) -> None:
    """Check that there is one outcome, a price, and a text."""
    if isinstance(found, CallError):
        assert isinstance(found, RAISED)
        kept: dict[str, Any] = {"error": str(found)}
        retry_after = found.retry_after if isinstance(found, RateLimitedError) else None
        assert retry_after is None or 0 <= retry_after <= 86_400
    else:
        assert (found.value is None) is (found.error is not None)
        assert found.error is None or isinstance(found.error, PAID_FOR)
        assert found.cost_usd is None or 0 <= found.cost_usd <= BOUND
        counts = (found.tokens.prompt, found.tokens.cached, found.tokens.output, found.tokens.thinking)
        assert all(isinstance(count, int) and 0 <= count <= 1_048_576 for count in counts)
        kept = {**kept_data(found.data), "error": str(found.error)}
        assert len(kept["error"]) <= 3_000
    shown = "\n".join(map(str, kept.values()))
    shown.encode()
    assert "\x00" not in shown
    assert KEY[:8] not in shown
    assert OWN_KEY[:8] not in shown


@settings(max_examples=1000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(status=st.one_of(statuses, st.integers(100, 999)), body=bodies, wait=waits)
@example(status=429, body=as_bytes(failed(429, "RESOURCE_EXHAUSTED", "no", {"reason": "X"})), wait="17")
@pytest.mark.slow
def test_any_answer_has_one_outcome(status: int, body: bytes, wait: str) -> None:
    """For any status, any bytes, any JSON and any wait."""
    check(meaning(status, body, {"retry-after": wait} if wait else {}))


class Scripted:
    """A server on loopback that gives the last set answer, and a client of it, on their own event loop."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._answer = b""
        self.calls = 0

    def __enter__(self) -> Scripted:
        self._runner.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._stop())
        self._runner.close()

    def ask(self, status: int, body: bytes, wait: str) -> Answer[Village] | CallError:
        length = "" if status == 204 else f"Content-Length: {len(body)}\r\n"
        header = f"Retry-After: {wait}\r\n" if wait else ""
        self._answer = f"HTTP/1.1 {status} X\r\n{length}{header}Connection: close\r\n\r\n".encode() + (
            b"" if status == 204 else body
        )
        return self._runner.run(self._asked())

    async def _asked(self) -> Answer[Village] | CallError:
        try:
            return await self._client.ask(question(), FLASH)
        except CallError as error:
            return error

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._client = GeminiClient(api_key=KEY, base_url=address, timeout_seconds=PATIENCE_S)

    async def _stop(self) -> None:
        await self._client.aclose()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self._answer)
        await writer.drain()
        writer.close()


@pytest.mark.slow
def test_any_answer_has_one_outcome_through_the_sdk() -> None:
    """The same over HTTP through Google's own SDK: one request, one outcome."""
    with Scripted() as server:

        @settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(status=statuses, body=bodies, wait=waits)
        def ask(status: int, body: bytes, wait: str) -> None:
            before = server.calls
            check(server.ask(status, body, wait))
            assert server.calls == before + 1

        ask()
