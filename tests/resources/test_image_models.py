"""Gemini's image models: our table compared with the package genai-prices, aspect ratios, and the reserved and quoted price of a
picture."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from genai_prices import data
from genai_prices.types import ModelPrice

from generia_assets.content.pictures import AVATAR_SIZE, HEADER_SIZE, ICON_SIZE, POST_SIZE
from resources.gemini.image_models import asked_at, image_models, nearest_ratio, price_of, worst_case_usd
from resources.images import usual_usd
from resources.settings import ImageSettings

GOOGLE = next(provider for provider in data.providers if provider.id == "google")
NOW = datetime(2026, 11, 29, tzinfo=UTC)
LITE = image_models()["gemini-3.1-flash-lite-image"]


@pytest.mark.parametrize("model", image_models())
def test_our_prices_are_those_of_genai_prices(model: str) -> None:
    """Input, output and pictures have the prices of the package."""
    theirs = next(info for info in GOOGLE.models if info.is_match(model))
    price: ModelPrice = theirs.get_prices(NOW)
    ours = image_models()[model].price(NOW)
    found = [price.input_mtok, price.output_mtok, price.output_image_mtok]
    assert [ours.input, ours.output, ours.image] == [float(one) for one in found if one is not None]  # type: ignore[arg-type]
    assert image_models()[model].ended(NOW) is bool(theirs.deprecated)


@pytest.mark.parametrize(
    ("size", "ratio"),
    [
        (HEADER_SIZE, "21:9"),
        (ICON_SIZE, "1:1"),
        (AVATAR_SIZE, "1:1"),
        (POST_SIZE, "4:3"),
        ((768, 1024), "3:4"),
        ((600, 900), "2:3"),
    ],
)
def test_each_kind_of_picture_is_requested_in_the_nearest_shape(size: tuple[int, int], ratio: str) -> None:
    """The API supports ten shapes and no sizes in pixels."""
    assert nearest_ratio(*size) == ratio


def test_a_picture_is_quoted_at_its_usual_price_and_reserved_at_its_worst() -> None:
    """The quote of 177 pictures is their cost of 6 dollars; the reservation covers the highest possible bill of a call."""
    quoted = usual_usd(ImageSettings(image_provider="gemini"), NOW)
    assert quoted == pytest.approx(0.0336 + 0.000375)
    assert 177 * quoted == pytest.approx(6.01, abs=0.01)
    assert quoted < worst_case_usd(LITE.id, NOW) < 0.13
    assert worst_case_usd("gemini-3.1-flash-image", NOW) > worst_case_usd(LITE.id, NOW)
    assert usual_usd(ImageSettings(image_stub_cost_usd=0.02), NOW) == 0.02


def test_a_model_that_ended_is_replaced_by_its_successor() -> None:
    """By the table's fields until and successor, like for texts."""
    assert asked_at("gemini-2.5-flash-image", datetime(2026, 10, 1, tzinfo=UTC)).id == "gemini-2.5-flash-image"
    assert asked_at("gemini-2.5-flash-image", NOW) is LITE


def test_a_picture_of_an_unknown_model_has_the_highest_price() -> None:
    """For a version of the own model, another model of the table, an unknown one, and none."""
    prices = [
        price_of(name, LITE, NOW, NOW).image for name in (f"models/{LITE.id}-001", "gemini-3-pro-image", "gemini-9-image", "")
    ]
    assert prices == [30, 120, 120, 30]
