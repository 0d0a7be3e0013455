"""Economy: which calls of a world have the full price, as a pure function of its request."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from generia_assets.assets.publication import Priorities
from generia_assets.catalog import LLM_CALLS, TaskType
from generia_assets.content.documents import Quality, WorldRequest
from generia_assets.content.keys import WORLD_KEY, character_key, post_key
from generia_assets.content.plan import calls_of, needed_by_first, plan, tasks_at_standard, tier_of_calls
from generia_assets.content.timeline import timeline
from resources.gateway.calls import TokenUsage
from resources.gemini.models import ModelProfile, model_profiles
from resources.gemini.tiers import CallTier, ServiceTier

NOW = datetime(2026, 12, 2, tzinfo=UTC)


def a_request(seed: int, users: int, posts: int, **more: object) -> WorldRequest:
    fields = {"user_prompt": "a town", "service_tier": ServiceTier.ECONOMY, "created_at": NOW, **more}
    return WorldRequest.model_validate({**fields, "seed": seed, "users_count": users, "posts_count": posts})


def bill(profile: ModelProfile, tier: CallTier, calls: dict[str, int]) -> float:
    tokens = TokenUsage(
        prompt=sum(LLM_CALLS[name].input * count for name, count in calls.items()),
        output=sum(LLM_CALLS[name].output * count for name, count in calls.items()),
    )
    return profile.price(NOW, tier=tier).cost_usd(tokens)


def by_tier(request: WorldRequest) -> dict[CallTier, Counter[str]]:
    """All calls of the world, by tier."""
    standard = calls_of(request, tasks_at_standard(request))
    return {CallTier.STANDARD: standard, CallTier.FLEX: Counter(plan(request).llm_calls) - standard}


@pytest.mark.case("A21")
@pytest.mark.parametrize("profile", model_profiles().values(), ids=lambda profile: profile.id)
@pytest.mark.parametrize(("users", "posts"), [(25, 150), (100, 600), (25, 300), (12, 120)])
@pytest.mark.parametrize("quality", Quality)
def test_the_text_bill_is_at_most_055_of_the_standard_one(profile: ModelProfile, users: int, posts: int, quality: Quality) -> None:
    """It is computed with the price of each model and the plan's tokens, for twenty seeds."""
    for seed in range(20):
        request = a_request(seed, users, posts, quality=quality)
        calls = plan(request).llm_calls
        parts = by_tier(request)
        economy = sum(bill(profile, tier, part) for tier, part in parts.items())
        assert sum(sum(part.values()) for part in parts.values()) == sum(calls.values())
        assert 0.5 < economy / bill(profile, CallTier.STANDARD, dict(calls)) <= 0.55


def test_a_small_world_has_only_its_first_post_at_standard() -> None:
    """This holds even if it takes more than the share, because the first post must not be late. For 10 people and 30 posts the bill
    is then below 0.6."""
    flash = model_profiles()["gemini-3.5-flash-lite"]
    for seed in range(20):
        request = a_request(seed, 10, 30)
        assert tasks_at_standard(request) == needed_by_first(request, 1)
        calls = plan(request).llm_calls
        economy = sum(bill(flash, tier, part) for tier, part in by_tier(request).items())
        assert economy / bill(flash, CallTier.STANDARD, dict(calls)) < 0.6


@pytest.mark.parametrize(("users", "posts"), [(25, 150), (10, 30), (3, 6), (40, 12), (100, 600)])
def test_everything_that_the_first_posts_wait_for_is_at_standard(users: int, posts: int) -> None:
    """These are the description, all concepts up to the author's, author, plan and text; no later post goes before any of these."""
    for seed in range(10):
        request = a_request(seed, users, posts)
        line, tier_of, first = timeline(seed, users, posts), tier_of_calls(request), tasks_at_standard(request)
        author, order = line.people[0], line.orders[0]
        needed = [
            (TaskType.GENERATE_WORLD_DESCRIPTION, WORLD_KEY),
            (TaskType.GENERATE_CHARACTER_BATCH, "b000"),
            (TaskType.GENERATE_CHARACTER, character_key(author)),
            (TaskType.GENERATE_POST_BATCH, f"{character_key(author)}-b000"),
            (TaskType.GENERATE_POST, post_key(character_key(author), order)),
        ]
        assert {tier_of(*task) for task in needed} == {CallTier.STANDARD}
        last = max(line.t_of(line.people[t], line.orders[t]) for t in range(posts) if tier_of(*_post(line, t)) is CallTier.STANDARD)
        priority_of = Priorities(request)
        later = [_post(line, t) for t in range(last + 1, posts)]
        assert all(tier_of(*task) is CallTier.FLEX for task in later)
        assert all(priority_of(*task) < priority_of(*post) for task in first for post in later)


def _post(line, t):
    return TaskType.GENERATE_POST, post_key(character_key(line.people[t]), line.orders[t])


def test_a_large_world_has_its_first_ten_posts_at_standard() -> None:
    """At most ten posts are at standard, however small their part is."""
    request = a_request(1, 200, 2000)
    assert tasks_at_standard(request) == needed_by_first(request, 10)


@pytest.mark.parametrize("tier", [ServiceTier.STANDARD, ServiceTier.FLEX, ServiceTier.PRIORITY])
def test_every_other_tier_applies_to_every_call(tier: ServiceTier) -> None:
    """Except at economy, all calls have the world's tier."""
    request = a_request(1, 10, 30, service_tier=tier)
    assert tier_of_calls(request)(TaskType.GENERATE_POST, "c0000-p0000") == CallTier(tier)
