"""A text from another service is cleaned, redacted and cut before it is stored (A14, S7, S15)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from generia_assets.durable.calls.ledger import BudgetLedger
from generia_assets.durable.collections import HISTORY, STATUS
from resources.gateway.calls import Answer, Api, Call, CallOutcome, TokenUsage
from resources.gateway.outcomes import CallError, FatalCallError, InvalidAnswerError, RefusedError, TransientError
from resources.redaction import LONGEST_ERROR, LONGEST_RECORD, hide, kept, kept_data, kept_line, redacted
from tests.support.durable_world import DurableWorld, durable_world

GOOGLES = "AIza" + "SyD-1234567890abcdefghijklmnopqrstu"
OWN = "gateway-key-0123456789"

hide(OWN, "short")


def nested(depth: int) -> dict[str, Any]:
    deep: dict[str, Any] = {"end": "here"}
    for _ in range(depth):
        deep = {"in": deep}
    return deep


@pytest.fixture
async def world(mongodb_uri: str, mongo_database_name: str) -> AsyncIterator[DurableWorld]:
    async with durable_world(mongodb_uri, mongo_database_name) as world:
        yield world


async def _unsent() -> Answer[str]:
    raise AssertionError("a ledger sends nothing")


@pytest.mark.parametrize("api", Api)
@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param({"text": "half \ud83d, NUL \x00"}, "half \ud83d, NUL \x00, a \x1b[2J", id="A14 half a pair"),
        pytest.param({"a\x00b.$c": [{"\ud83d": "\ud83d"}]}, "", id="A14 keys and lists"),
        pytest.param(nested(300), "", id="A14 300 levels"),
        pytest.param({"count": 2**70, "huge": 10**5000, "odd": {1, 2}, "bytes": b"\xff"}, "", id="S7 what MongoDB cannot hold"),
        pytest.param({"page": "x" * 20_000_000}, "x" * 20_000_000, id="S15 20 MB"),
        pytest.param({"many": ["y" * 1_000] * 30_000}, "", id="S15 30,000 texts"),
        pytest.param({"url": f"https://g.example/?key={OWN}"}, f"API key {GOOGLES[:9]}… and {OWN}", id="S15 keys"),
    ],
)
async def test_a_record_of_a_request_can_always_be_written(
    world: DurableWorld, api: Api, data: Mapping[str, object], error: str
) -> None:
    """For the model, pictures and the platform: the attempt is recorded, and no text of a service stops the world's commits."""
    world.see[STATUS].update_one({"_id": world.world_id}, {"$set": {"api_call_limits_LLM": 9, "api_call_limits_images": 9}})
    run = await world.run()
    ledger = BudgetLedger(run.database, run.commits, run.generation)
    call = Call(api, "post", "task-1", 0, data, _unsent)
    end = CallOutcome("transient", 0.0, TokenUsage(), data, error or None, 1)
    ledger.finalize(await ledger.reserve(call), call, end)
    await run.commits.flush()
    (entry,) = world.see[HISTORY].find()
    assert entry["outcome"] == "transient"
    shown = repr(entry)
    assert len(shown) < 3 * LONGEST_RECORD
    assert OWN not in shown
    assert "AIza" not in shown
    assert "\\x00" not in shown
    assert entry["error"] is None or len(entry["error"]) <= LONGEST_ERROR


@pytest.mark.case("A14")
@pytest.mark.parametrize(
    "error",
    [
        TransientError(f"half \ud83d\x00 {GOOGLES}" + "x" * 20_000),
        FatalCallError(f"mongodb://user:secret-word@db/ refused, key={OWN}" + "x" * 20_000),  # pragma: allowlist secret
        InvalidAnswerError("\ud83d" * 5_000),
        RefusedError(f"no {OWN}", reason=f"{GOOGLES}\ud83d" + "X" * 5_000),
    ],
    ids=lambda error: error.outcome,
)
def test_the_text_of_every_outcome_can_be_stored(error: CallError) -> None:
    """The exception itself has no other text, so that no log, document or traceback has one."""
    text = f"{error} {error.args} {getattr(error, 'reason', '')}"
    text.encode()
    assert len(text) < 3 * LONGEST_ERROR
    for secret in ("AIza", OWN, "secret-word"):
        assert secret not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(f"API key {GOOGLES} is blocked", "API key *** is blocked", id="S15 a key"),
        pytest.param("API key AIzaSyD-12… is blocked", "API key *** is blocked", id="S15 the beginning of a key"),
        pytest.param("API key AIza****stu is blocked", "API key *** is blocked", id="S15 a masked key"),
        pytest.param("Consumer 'api_key:gateway-key-0123456789' has", "Consumer 'api_key:***' has", id="S15 our own key"),
        pytest.param("key gateway-key-01…", "key ***", id="S15 the beginning of our own"),
        pytest.param("https://g/v1?alt=json&key=a%2Fb+c&x=1", "https://g/v1?alt=json&key=***&x=1", id="S15 a key in a URL"),
        pytest.param("mongodb+srv://me:" + "p%40ss@db/", "mongodb+srv://***@db/", id="S15 a password in a URL"),
        pytest.param("Authorization: Bearer ya29.a0-b_c", "Authorization: Bearer ***", id="S15 a token"),
        pytest.param(
            "http://s3/b/x?X-Amz-Date=2&amp;X-Amz-Credential=AKIA%2F2&X-Amz-Signature=0f3c",
            "http://s3/b/x?X-Amz-Date=2&amp;***&***",
            id="S15 a presigned URL",
        ),
        pytest.param("a short key = 5; the monkey=ape", "a short key = 5; the monkey=ape", id="S15 nothing secret"),
    ],
)
def test_secrets_are_hidden_whole_or_in_part(text: str, shown: str) -> None:
    """A secret is hidden with its rest; other words stay."""
    assert redacted(text) == shown


@pytest.mark.case("S15")
def test_a_cut_text_does_not_end_with_a_part_of_a_secret() -> None:
    """Wherever a text is cut, no usable part of a key is at its end."""
    for place in range(50):
        assert "AIza" not in kept("x" * place + GOOGLES + "x" * 99, 60)
        assert OWN[:8] not in kept_line("x" * place + OWN + " x" * 99, 60)
    assert kept("x" * 60, 60) == "x" * 60
    assert kept("x" * 61, 60) == "x" * 59 + "…"
    assert kept_data({"a": None, "b": [1, 2.5, True]}) == {"a": None, "b": [1, 2.5, True]}
