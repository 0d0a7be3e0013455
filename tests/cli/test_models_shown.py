"""A20: the model that `generia quote` and `generia doctor` name, its price, and the days on which it ends or its price changes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from generia_assets.cli.connections import addresses
from generia_assets.cli.health import Health, models_by_date, models_learned
from generia_assets.cli.main import app
from generia_assets.cli.order import world_parameters
from generia_assets.durable.collections import FLEET
from generia_assets.quotes import Knowledge, Quote, knowledge_of, quote_for
from generia_assets.settings import Settings
from resources.gateway.outcomes import ModelMissingError
from resources.gemini.model_resolver import ModelResolver
from resources.gemini.models import model_profiles
from resources.mongodb.connection import connect, connect_async

pytestmark = pytest.mark.case("A20")

OLD, NEW, LATER = "gemini-2.5-flash", "gemini-3.5-flash-lite", "gemini-3.8-flash"
BEFORE, AFTER = datetime(2026, 11, 28, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def quoted(model: str, now: datetime, known: Knowledge | None = None) -> Quote:
    settings = Settings(_env_file=None, gemini_model=model)
    return quote_for(settings, known or Knowledge(), world_parameters(settings, users=3, posts=6, prompt="a quote"), now=now)


@pytest.mark.parametrize(
    ("model", "now", "asked", "said"),
    [
        (OLD, BEFORE, OLD, [f"{OLD} ends 2026-12-01; {NEW} is asked then"]),
        (OLD, AFTER, NEW, [f"{OLD} ended 2026-12-01; {NEW} is asked instead"]),
        (LATER, AFTER, LATER, []),
    ],
)
def test_a_quote_uses_the_model_of_its_day(model: str, now: datetime, asked: str, said: list[str]) -> None:
    """The model, its price and the changes are those of the day of the quote."""
    quote = quoted(model, now)
    assert (quote.model, quote.changes) == (asked, said)
    price = model_profiles()[asked].price(now)
    assert quote.cost_usd == pytest.approx((quote.input_tokens * price.input + quote.output_tokens * price.output) / 1e6, abs=1e-6)


def test_a_quote_doubles_with_the_price() -> None:
    """From 1 January on 3.8-flash costs twice as much."""
    assert quoted(LATER, AFTER).cost_usd == pytest.approx(2 * quoted(LATER, BEFORE).cost_usd, abs=1e-5)


async def test_a_model_that_the_fleet_found_retired_is_quoted_by_its_successor(
    mongodb_uri: str, mongo_database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that ended early is quoted by its successor, and doctor names it, and also an unknown version."""
    monkeypatch.setattr("resources.gemini.models.now", lambda: BEFORE)
    async with connect_async(mongodb_uri) as client:
        resolver = ModelResolver(OLD, client[mongo_database_name].fleet)
        with pytest.raises(ModelMissingError):
            async with resolver.attempt(await resolver.current()):
                raise ModelMissingError("404")
        resolver.answered(await resolver.current(), "$gemini-9-ultra")
        await resolver.write_down()
    with connect(mongodb_uri) as client:
        database = client[mongo_database_name]
        quote = quoted(OLD, BEFORE, knowledge_of(database, Settings(_env_file=None)))
        found = list(models_learned(database[FLEET].find_one({"_id": "models"})))
    assert quote.model == NEW
    assert [finding.health for finding in found] == [Health.NOTE] * 2
    assert found[0].found.startswith(f"{OLD} is gone (404); {NEW} is asked (since ")
    assert found[1].found.startswith(f"$gemini-9-ultra answers for {NEW}: no profile; priced as the dearest (since ")
    assert quote.changes[1:] == [finding.found for finding in found]


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (
            BEFORE,
            [
                (Health.OK, f"{OLD} is asked today, at $0.30 in and $2.50 out per million tokens"),
                (Health.NOTE, f"{OLD} ends 2026-12-01; {NEW} is asked then"),
            ],
        ),
        (
            AFTER,
            [
                (Health.OK, f"{NEW} is asked today, at $0.30 in and $2.50 out per million tokens"),
                (Health.OK, f"{OLD} ended 2026-12-01; {NEW} is asked instead"),
            ],
        ),
    ],
)
def test_doctor_names_the_model_and_its_end(monkeypatch: pytest.MonkeyPatch, now: datetime, said: list[tuple[Health, str]]) -> None:
    """A future end is a note; after the end the successor is normal."""
    monkeypatch.setattr("resources.gemini.models.now", lambda: now)
    settings = Settings(_env_file=None)
    assert [(finding.health, finding.found) for finding in models_by_date(settings, addresses(settings))] == said


def test_the_command_prints_the_changes() -> None:
    """The last lines of `generia quote` name the ends and changes of models."""
    shown = CliRunner().invoke(app, ["quote"])
    assert shown.exit_code == 0
    assert "gemini-2.5-flash end" in shown.stdout
