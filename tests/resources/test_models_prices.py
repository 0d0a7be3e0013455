"""A20: our table of models compared with the package genai-prices: every difference has its reason here."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import data
from genai_prices.types import ModelInfo, ModelPrice

from resources.gemini.models import ModelProfile, model_profiles, profile_of
from resources.gemini.tiers import CallTier

pytestmark = pytest.mark.case("A20")

GOOGLE = next(provider for provider in data.providers if provider.id == "google")
DAYS = [datetime(*day, 12, tzinfo=UTC) for day in ((2026, 11, 28), (2026, 12, 2), (2027, 1, 2))]

NOT_OURS = {
    "gemini-2.5-pro": "its price depends on the size of the prompt, and it cannot be asked without thinking",
    "gemini-3.1-pro-preview": "its price depends on the size of the prompt, and it cannot be asked without thinking",
    "gemini-3-flash-preview": "a preview, not in the line-up of November 2026",
}
"""Models that write text, that are not deprecated, and that we have no profile for."""
NO_TEXT = ("image", "tts", "live", "embedding", "robotics", "omni", "banana")
"""Parts of the names of models that do something else than write text."""
GONE = ("gemini-1", "gemini-pro", "gemini-flash-1")
"""How the names of generations begin that are gone, and that the package does not call deprecated."""
DIFFERENT: dict[tuple[str, str], str] = {}
"""By model and field (input, output, cached) why our price is another than the package's. None is."""


def theirs(model: str) -> ModelInfo:
    found = next((info for info in GOOGLE.models if info.is_match(model)), None)
    assert found is not None, f"genai-prices does not know {model}"
    return found


@pytest.mark.parametrize("day", DAYS, ids=lambda day: f"{day:%Y-%m-%d}")
@pytest.mark.parametrize("profile", model_profiles().values(), ids=lambda profile: profile.id)
def test_our_prices_are_those_of_genai_prices_on_each_day(profile: ModelProfile, day: datetime) -> None:
    """Input, output and cached tokens have the package's price on that day, or the table above has the reason."""
    price: ModelPrice = theirs(profile.id).get_prices(day)
    ours = profile.price(day)
    other = {"input": price.input_mtok, "output": price.output_mtok, "cached": price.cache_read_mtok}
    found = {(profile.id, name) for name, value in other.items() if value != Decimal(str(getattr(ours, name)))}
    assert found == {key for key in DIFFERENT if key[0] == profile.id}, f"ours {ours!r}, theirs {other}"


def test_every_text_model_has_a_profile_or_a_reason() -> None:
    """This test fails when an update of the package adds a model."""
    living = [info.id for info in GOOGLE.models if info.id.startswith("gemini") and not info.deprecated]
    texts = {model for model in living if not any(part in model for part in NO_TEXT) and not model.startswith(GONE)}
    assert {model for model in texts if profile_of(model) is None} == set(NOT_OURS)


def test_none_of_our_models_is_deprecated_by_genai_prices() -> None:
    """We offer no model that the package calls deprecated."""
    assert [model for model in model_profiles() if theirs(model).deprecated] == []


@pytest.mark.parametrize("day", DAYS, ids=lambda day: f"{day:%Y-%m-%d}")
@pytest.mark.parametrize("profile", model_profiles().values(), ids=lambda profile: profile.id)
def test_flex_has_the_price_of_the_price_list(profile: ModelProfile, day: datetime) -> None:
    """Flex has the package's price for batch, if there is one; input and output are half the standard price in any case."""
    info, ours, standard = theirs(profile.id), profile.price(day, tier=CallTier.FLEX), profile.price(day)
    assert (ours.input, ours.output) == pytest.approx((standard.input / 2, standard.output / 2))
    if info.price_variants:
        batch = info.get_prices(day, {"processing": "batch"})
        found = [float(str(value)) for value in (batch.input_mtok, batch.output_mtok, batch.cache_read_mtok)]
        assert [ours.input, ours.output, ours.cached] == pytest.approx(found, abs=1e-4)


@pytest.mark.parametrize("profile", model_profiles().values(), ids=lambda profile: profile.id)
def test_priority_has_the_price_of_the_price_list(profile: ModelProfile) -> None:
    """1.8 times the standard price, like in the package if it has a price."""
    comments = theirs(profile.id).price_comments or ""
    assert "Priority" not in comments or "Priority tier is 1.8x" in comments
    standard, ours = profile.price(DAYS[0]), profile.price(DAYS[0], tier=CallTier.PRIORITY)
    assert (ours.input, ours.output, ours.cached) == pytest.approx(
        (1.8 * standard.input, 1.8 * standard.output, 1.8 * standard.cached)
    )
