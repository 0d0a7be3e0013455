"""Model profiles: existing successors, and prices with an upper bound."""

import random
from datetime import UTC, datetime

import pytest

from resources.gateway.calls import TokenUsage
from resources.gemini.models import model_profiles, names_model

PROFILES = pytest.mark.parametrize("profile", model_profiles().values(), ids=lambda profile: profile.id)


@PROFILES
def test_every_line_of_successors_ends(profile):
    """Each successor is an existing profile, and none is repeated."""
    passed = [profile.id]
    while profile.successor is not None:
        profile = model_profiles()[profile.successor]
        assert profile.id not in passed
        passed.append(profile.id)


@PROFILES
def test_no_call_costs_more_than_its_worst_case(profile):
    """This holds for any size of prompt, any cached part and any length of answer within the limit."""
    dice, price = random.Random(profile.id), profile.price(datetime(2026, 12, 31, 23, tzinfo=UTC))
    for _ in range(500):
        size, room = dice.randint(0, 200_000), dice.randint(1, 65_536)
        prompt = dice.randint(0, size)
        tokens = TokenUsage(prompt=prompt, cached=dice.randint(0, prompt), output=dice.randint(0, room))
        worst = price.worst_case_usd(prompt_bytes=size, max_output_tokens=room)
        assert 0 <= price.cost_usd(tokens) <= worst + 1e-12


def test_the_cost_of_a_call_follows_the_price_list():
    """A million tokens of each kind with gemini-2.5-flash cost $0.30, $0.03 and $2.50; output includes thinking."""
    flash = model_profiles()["gemini-2.5-flash"].price(datetime(2026, 11, 28, tzinfo=UTC))
    million = 1_000_000
    assert flash.cost_usd(TokenUsage(prompt=million)) == pytest.approx(0.30)
    assert flash.cost_usd(TokenUsage(prompt=million, cached=million)) == pytest.approx(0.03)
    assert flash.cost_usd(TokenUsage(output=million, thinking=million // 2)) == pytest.approx(2.50)


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("This model models/gemini-2.5-flash is no longer available.", True),
        ("Publisher Model `projects/p/models/gemini-2.5-flash` was not found", True),
        ("There is no gemini-2.5-flash.", True),
        ("models/gemini-2.5-flash-lite is not found for API version v1beta", False),
        ("models/gemini-2.5-flash.1 is not found", False),
        ("models/my-gemini-2.5-flash is not found", False),
        ("Not Found", False),
    ],
)
def test_an_error_is_about_a_model_only_if_it_has_the_whole_id(message, named):
    """An error about another model, or about none, is never taken for the end of this model."""
    assert names_model(message, "gemini-2.5-flash") is named
