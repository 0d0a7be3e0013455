"""Classification of the model's answers (A1, A3, A4, A7-A9): each has one outcome with a price."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from emulators.gemini.client import EmulatorControl
from emulators.gemini.damaged import ERRORS, SHAPES, SOMEBODY_ELSE, USAGES
from emulators.gemini.faults import FaultName
from resources.gateway.calls import Answer
from resources.gateway.outcomes import CallError, FatalCallError, InvalidAnswerError, RefusedError, TransientError
from resources.gemini.answers import LONGEST_BODY, repeats_itself
from resources.gemini.client import GeminiClient
from tests.support.gemini_server import FLASH, GOOD, KEY, Village, meaning, outcome, provider, question, said
from tests.support.waiting import PATIENCE_S

LONG = "The stairway knows who owes whom. " * 600
"""20 kB of text."""


@pytest.fixture
def control(gemini: str) -> Iterator[EmulatorControl]:
    with EmulatorControl(gemini) as made:
        yield made


async def asked(gemini: str) -> Answer[Village] | CallError:
    """One call of the emulator through the SDK."""
    client = GeminiClient(api_key=KEY, base_url=gemini, timeout_seconds=PATIENCE_S)
    try:
        return await client.ask(question(), FLASH)
    except CallError as error:
        return error
    finally:
        await client.aclose()


def spoiled(body: dict[str, Any], **candidate: Any) -> dict[str, Any]:
    return {**body, "candidates": [{**said()["candidates"][0], **candidate}]}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(said('{"content":"x","number":' + "1" * 5000, "MAX_TOKENS"), id="A1 5,000 digits in the text, cut"),
        pytest.param(said('{"name":"x","people":' + "1" * 5000 + "}"), id="A1 5,000 digits in the text"),
        pytest.param(said("[" * 100_000), id="A1 deep nesting in the text"),
        pytest.param('{"candidates": [' + "1" * 5000 + "]}", id="A1 5,000 digits in the body"),
        pytest.param('{"candidates": ' + "[" * 100_000, id="A1 deep nesting in the body"),
        pytest.param(said('{"name": "\\ud83d", "people": []}'), id="A1 half a pair in the text"),
        pytest.param(json.dumps(said("a\ud83d")), id="A1 half a pair in the body"),
        pytest.param(spoiled(said(), content="a text"), id="A7 content a string"),
        pytest.param(spoiled(said(), content={"parts": "a text"}), id="A7 parts a string"),
        pytest.param(spoiled(said(), content={"parts": [{"text": 7}]}), id="A7 text a number"),
        pytest.param({**said(), "candidates": {}}, id="A7 candidates an object"),
        pytest.param(spoiled(said(), finishReason=2), id="A7 a number for a finish reason"),
        pytest.param("[]", id="A7 a list"),
        pytest.param("", id="A7 nothing at all"),
        pytest.param(json.dumps(said())[:-5], id="A7 JSON that ends early"),
        pytest.param(said("x" * 1_500_000), id="S15 a text of 1.5 MB"),
        pytest.param("{" + " " * LONGEST_BODY, id="S15 a body that is longer than any answer"),
    ],
)
async def test_an_unreadable_answer_is_invalid_and_paid_for(body: object) -> None:
    """No content of an answer raises a bare exception, also through the SDK; the call is paid for."""
    async with provider("200 OK", body, "Content-Type: application/json") as served:
        found = await served.client.ask(question(), FLASH)
    assert isinstance(found.error, InvalidAnswerError)
    assert found.value is None
    assert found.cost_usd is None or found.cost_usd > 0
    assert len(str(found.error)) <= 2_000
    assert not found.error.cut
    assert len(served.requests) == 1


@pytest.mark.case("A3")
async def test_each_reservation_is_one_http_request(gemini: str, control: EmulatorControl) -> None:
    """The SDK does not continue an answer that offers a continuation: it is one call, and the request is repeated unchanged."""
    control.set_faults(continued=1)
    found = outcome(await asked(gemini))
    assert isinstance(found, InvalidAnswerError)
    assert found.chance
    assert control.stats().calls == 1


@pytest.mark.parametrize(
    ("text", "loop"),
    [
        pytest.param('{"name": "Reef", "people": [' + '"Ann", ' * 800, True, id="A4 an entry again and again"),
        pytest.param('{"name": "' + "1" * 5000, True, id="A4 a digit"),
        pytest.param('{"name": "Reef",' + "\n" * 5000, True, id="A4 empty lines"),
        pytest.param('{"name": "' + "Двор помнит, кто кому должен. " * 200, True, id="A4 a Russian sentence"),
        pytest.param(LONG[:900], False, id="A4 too short to tell"),
        pytest.param(json.dumps([{"number": n, "idea": f"idea {n * 7919} of {n**3}"} for n in range(300)]), False, id="A4 entries"),
    ],
)
def test_a_loop_is_distinguished_from_a_truncated_answer(text: str, loop: bool) -> None:
    """After a repeating answer the request is repeated unchanged; after a truncated one it gets a higher limit of tokens."""
    assert repeats_itself(text) is loop
    found = outcome(meaning(200, said(text, "MAX_TOKENS")))
    assert isinstance(found, InvalidAnswerError)
    assert (found.chance, found.cut) == (loop, not loop)


@pytest.mark.case("A4")
async def test_no_answer_that_the_emulator_writes_looks_like_a_loop(gemini: str, control: EmulatorControl) -> None:
    """Through the SDK a truncated answer is classified as truncated, and a looped one as a loop."""
    found = {}
    for fault in ("truncated_json", "looped"):
        control.reset()
        control.set_faults(**{fault: 1})
        found[fault] = outcome(await asked(gemini))
    cut, looped = found["truncated_json"], found["looped"]
    assert isinstance(cut, InvalidAnswerError)
    assert isinstance(looped, InvalidAnswerError)
    assert (cut.cut, cut.chance, looped.cut, looped.chance) == (True, False, False, True)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        pytest.param(f"```json\n{GOOD}\n```", True, id="A8 a fence"),
        pytest.param(f"\n```\n{GOOD}```\n\n", True, id="A8 without a language"),
        pytest.param(f"```json{GOOD}```", True, id="A8 on one line"),
        pytest.param(f"Here it is:\n```json\n{GOOD}\n```", False, id="A8 with words before it"),
        pytest.param(f"```json\n{GOOD}", False, id="A8 never closed"),
        pytest.param(f"```json\n{GOOD[:-1]}\n```", False, id="A8 damaged within"),
        pytest.param("```" + " " * 500_000, False, id="A8 nothing but space"),
        pytest.param("``````", False, id="A8 empty"),
    ],
)
def test_a_code_fence_is_removed_and_nothing_else_is_repaired(text: str, good: bool) -> None:
    """The record has the original text."""
    found = meaning(200, said(text, usage={}))
    assert isinstance(found, Answer)
    assert isinstance(found.value, Village) is good
    assert isinstance(found.error, InvalidAnswerError) is not good
    assert found.data["text"] == text


BY_CHANCE = (
    "RECITATION",
    "OTHER",
    "LANGUAGE",
    "IMAGE_OTHER",
    "NO_IMAGE",
    "MALFORMED_RESPONSE",
    "UNEXPECTED_TOOL_CALL",
    "CONTINUATION",
)


REFUSED = ("MODEL_ARMOR", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "ESCALATION", "SAFETY", "SPII", "BLOCKLIST")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        *(pytest.param(reason, RefusedError, id=f"A9 {reason}") for reason in REFUSED),
        pytest.param("PUP_LIMITED_DISABLED", FatalCallError, id="A9 account disabled"),
        *(pytest.param(reason, InvalidAnswerError, id=f"A9 {reason}") for reason in BY_CHANCE),
    ],
)
def test_only_moderation_is_moderation(reason: str, kind: type[CallError]) -> None:
    """The finish reason means a refused answer, a disabled account, or a random stop, after which the request is repeated
    unchanged."""
    body = {**said(), "candidates": [{"finishReason": reason}]}
    found = meaning(200, body)
    assert isinstance(found, Answer)
    assert type(found.error) is kind
    assert found.cost_usd is not None
    assert not isinstance(found.error, InvalidAnswerError) or found.error.chance
    assert not isinstance(found.error, RefusedError) or found.error.reason == reason


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        pytest.param("MODEL_ARMOR", RefusedError, id="A9 prompt: MODEL_ARMOR"),
        pytest.param("JAILBREAK", RefusedError, id="A9 prompt: JAILBREAK"),
        pytest.param("TOMORROWS_POLICY", RefusedError, id="A9 prompt: a reason that nobody knows yet"),
        pytest.param("OTHER", InvalidAnswerError, id="A9 prompt: OTHER"),
    ],
)
def test_a_blocked_prompt_is_a_refusal_if_it_has_a_reason(reason: str, kind: type[CallError]) -> None:
    """A block with any reason, also a new one, is a refusal; without a reason the request is repeated."""
    assert type(outcome(meaning(200, {"promptFeedback": {"blockReason": reason}}))) is kind


@pytest.mark.case("A9")
@pytest.mark.parametrize(("text", "good"), [(GOOD, True), (GOOD[:-9], False), ("", False)])
def test_an_unknown_finish_reason_is_ignored(text: str, good: bool) -> None:
    """The text is judged as after a normal stop."""
    found = meaning(200, said(text, "TOMORROWS_REASON"))
    assert isinstance(found, Answer)
    assert (isinstance(found.value, Village), isinstance(found.error, InvalidAnswerError)) == (good, not good)


@pytest.mark.case("A7")
def test_a_page_instead_of_gemini_is_an_outage_in_doubt() -> None:
    """A body that is not JSON with status 200 is the page of a proxy or a log-in: not an answer, but a transient failure."""
    found = meaning(200, "<!doctype html><title>Sign in</title>")
    assert isinstance(found, TransientError)
    assert found.in_doubt
    assert "Sign in" in str(found)


DAMAGE: dict[FaultName, int] = {
    "odd_usage": len(USAGES),
    "odd_shape": len(SHAPES),
    "hostile_error": len(ERRORS),
    "somebody_else": len(SOMEBODY_ELSE),
    "error_in_200": 3,
    "stopped": 2,
    "no_credit": 1,
}


@pytest.mark.case("A7")
@pytest.mark.parametrize("fault", DAMAGE)
async def test_each_damage_of_the_emulator_has_one_outcome(gemini: str, control: EmulatorControl, fault: FaultName) -> None:
    """Every damage that the emulator draws is, through the SDK, an answer with a price or an outcome. The emulator counts tokens
    only of answers that the model wrote."""
    control.set_faults(**{fault: 1})
    client = GeminiClient(api_key=KEY, base_url=gemini, timeout_seconds=PATIENCE_S)
    met = set[tuple[type[object], object]]()
    for number in range(6 * DAMAGE[fault]):
        try:
            found = await client.ask(question(f"Village {number}"), FLASH)
        except CallError as error:
            met.add((type(error), error.outcome))
        else:
            met.add((type(found.error), found.tokens.output))
            assert found.cost_usd is None or 0 < found.cost_usd < 0.5
    await client.aclose()
    stats = control.stats()
    assert stats.by_outcome == {fault: 6 * DAMAGE[fault]}
    assert (stats.prompt_tokens == 0) == (fault in ("hostile_error", "somebody_else", "no_credit"))
    assert met
    assert len(met) >= min(2, DAMAGE[fault]) or fault in ("odd_shape", "stopped", "somebody_else")
