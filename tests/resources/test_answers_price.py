"""The cost of the model's answers (A5, S7): the most expensive reading of the figures, and never more than possible."""

from __future__ import annotations

import json
from typing import Any

import pytest

from resources.gateway.calls import Answer
from resources.gemini.answers import LONGEST_TOKEN
from resources.gemini.models import now
from tests.support.gemini_server import FLASH, GOOD, Village, meaning, question, said

PRICE = FLASH.price(now())
ROOM = question().max_output_tokens
PROMPT_BYTES = question().prompt_bytes
LONG = "The stairway knows who owes whom. " * 600
"""20 kB of text."""


@pytest.mark.parametrize(
    ("usage", "text", "tokens"),
    [
        pytest.param({}, GOOD, None, id="A5 empty usage"),
        pytest.param("none", GOOD, None, id="A5 usage a text"),
        pytest.param({"cachedContentTokenCount": 50}, GOOD, None, id="A5 only cached"),
        pytest.param(
            {"promptTokenCount": 100, "candidatesTokenCount": 50, "totalTokenCount": 9000}, GOOD, (100, 8900), id="A5 total"
        ),
        pytest.param({"promptTokenCount": 100}, LONG, (100, ROOM), id="A5 no candidates beside 20 kB of text"),
        pytest.param({"promptTokenCount": 100, "candidatesTokenCount": 1}, LONG, (100, ROOM), id="A5 too few for 20 kB of text"),
        pytest.param({"promptTokenCount": 100, "totalTokenCount": 100}, "", (100, 0), id="A5 nothing was said"),
        pytest.param({"candidatesTokenCount": 50}, GOOD, (PROMPT_BYTES, 50), id="A5 no prompt"),
        pytest.param({"totalTokenCount": 80}, GOOD, (PROMPT_BYTES, 80), id="A5 only a total"),
        pytest.param(
            {"promptTokenCount": 100, "candidatesTokenCount": 9, "thoughtsTokenCount": 7}, GOOD, (100, 16), id="A5 thoughts"
        ),
        pytest.param({"promptTokenCount": 2**63, "candidatesTokenCount": 50}, GOOD, (PROMPT_BYTES, 50), id="S7 2^63 prompt tokens"),
        pytest.param({"promptTokenCount": 100, "candidatesTokenCount": 2**63}, GOOD, (100, ROOM), id="S7 2^63 output tokens"),
        pytest.param({"promptTokenCount": -5, "candidatesTokenCount": -5}, GOOD, (PROMPT_BYTES, ROOM), id="S7 negative"),
        pytest.param({"promptTokenCount": True, "candidatesTokenCount": [9]}, GOOD, (PROMPT_BYTES, ROOM), id="S7 no numbers"),
        pytest.param('{"promptTokenCount": NaN, "candidatesTokenCount": Infinity}', GOOD, (PROMPT_BYTES, ROOM), id="S7 NaN"),
    ],
)
def test_the_most_expensive_reading_of_the_figures_counts(usage: object, text: str, tokens: tuple[int, int] | None) -> None:
    """Input or output with an impossible count costs its worst case; without any figure the whole call does; no cost is below
    zero."""
    body = json.dumps(said(text, usage="USAGE")).replace(
        '"USAGE"', usage if isinstance(usage, str) and "{" in usage else json.dumps(usage)
    )
    found = meaning(200, body)
    assert isinstance(found, Answer)
    if tokens is None:
        assert found.cost_usd is None
    else:
        assert (found.tokens.prompt, found.tokens.output) == tokens
        assert found.cost_usd == pytest.approx((tokens[0] * PRICE.input + tokens[1] * PRICE.output) / 1e6)


@pytest.mark.parametrize(
    ("cached", "counted"),
    [
        pytest.param(40, 40, id="S7 cached within the prompt"),
        pytest.param(1_000_000, 0, id="S7 cached above the prompt"),
        pytest.param(-1, 0, id="S7 cached below zero"),
    ],
)
def test_no_more_is_cached_than_was_sent(cached: int, counted: int) -> None:
    """Cached tokens are a part of the prompt, or do not count, because they only make a call cheaper."""
    usage = {"promptTokenCount": 60, "candidatesTokenCount": 20, "cachedContentTokenCount": cached}
    found = meaning(200, said(usage=usage))
    assert isinstance(found, Answer)
    assert found.tokens.cached == counted
    assert found.cost_usd is not None
    assert found.cost_usd > 0


@pytest.mark.case("A5")
def test_the_price_has_bounds() -> None:
    """A text costs at least a token for 32 bytes, and at most the model's limits, whatever the figures say."""
    least = {"promptTokenCount": 60, "candidatesTokenCount": len(LONG) // LONGEST_TOKEN + 1}
    found = meaning(200, said(LONG, usage=least))
    assert isinstance(found, Answer)
    assert found.tokens.output == least["candidatesTokenCount"]
    most = meaning(200, said(usage={"promptTokenCount": 1_048_576, "candidatesTokenCount": 65_536}))
    assert isinstance(most, Answer)
    assert most.cost_usd == pytest.approx(1.048576 * PRICE.input + 0.065536 * PRICE.output)


@pytest.mark.parametrize(
    "usage",
    [
        pytest.param({"promptTokenCount": 60.0, "candidatesTokenCount": "20"}, id="A7 a count as text"),
        pytest.param({"promptTokenCount": 59.5, "candidatesTokenCount": 19.2}, id="A7 a fraction"),
    ],
)
def test_an_unusual_count_does_not_make_a_good_answer_invalid(usage: dict[str, Any]) -> None:
    """Counts can be numbers or strings; a fraction is rounded up."""
    found = meaning(200, said(usage=usage))
    assert isinstance(found, Answer)
    assert isinstance(found.value, Village)
    assert (found.tokens.prompt, found.tokens.output) == (60, 20)
