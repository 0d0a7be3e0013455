"""Quotes: the usage of finished worlds, the parts of a quote, and the comparison of tiers, models and image providers."""

from __future__ import annotations

import io
import json
import socket
import time
from collections import Counter

import pytest
from pydantic import SecretStr
from rich.console import Console
from typer.testing import CliRunner

from generia_assets.cli import connections
from generia_assets.cli.commands.quotes import print_comparison
from generia_assets.cli.main import app
from generia_assets.cli.order import knowledge, world_parameters
from generia_assets.content.text import about_dollars
from generia_assets.durable.collections import HISTORY
from generia_assets.durable.orders.order import parse_stored
from generia_assets.estimates import assumed_latency
from generia_assets.queries.learned import FEWEST_WORLDS, finished_worlds
from generia_assets.quotes import Knowledge, Quote, cap_warning, compare, knowledge_of, order_quote, price_sentence, quote_for
from generia_assets.settings import Settings
from resources.gemini.model_resolver import FleetNotes
from resources.gemini.models import model_profiles, now
from resources.gemini.tiers import ServiceTier
from tests.support.dagster_internals import ReexecutionStrategy
from tests.support.worlds_in_process import Worlds

CHOSEN = Settings(_env_file=None, gemini_model="gemini-3.5-flash-lite", image_stub_cost_usd=0.01)
ORDER = world_parameters(CHOSEN, users=25, posts=150, prompt="a quote")


def test_a_finished_world_counts_once_for_quotes(worlds: Worlds) -> None:
    """The sums of its requests are stored when it completes; a world that is completed again, or made again in part, counts
    once."""
    world_id, made = worlds.make(users=2, posts=3)
    assert made.success, made.failure
    (usage,) = finished_worlds(worlds.database)
    rows = list(worlds.database[HISTORY].find({"world_id": world_id, "api_type": "llm"}))
    assert usage.language == "English"
    assert usage.texts_usd == pytest.approx(sum(row["cost_usd"] for row in rows))
    assert Counter({call.request_type: call.calls for call in usage.calls}) == Counter(row["request_type"] for row in rows)
    assert sum(call.prompt for call in usage.calls) == sum(row["tokens"]["prompt"] for row in rows)
    assert usage.planned == {call.request_type: call.calls for call in usage.calls}
    assert usage.pictures == 2 + 2 + 3

    again = worlds.re_execute(made, ReexecutionStrategy.ALL_STEPS, retry=True)
    assert again.success, again.failure
    part = worlds.run(world_id, select=["character_avatars"], keys=["c0001"])
    assert part.success, part.failure
    assert finished_worlds(worlds.database) == [usage]


def test_a_quote_is_the_cost_of_similar_worlds(worlds: Worlds) -> None:
    """The quote of a world from others with the same usage is the cost in its ledger."""
    world_id, made = worlds.make(users=2, posts=3)
    assert made.success, made.failure
    known = knowledge_of(worlds.database, worlds.settings)
    last = finished_worlds(worlds.database)[0]
    alike = Knowledge(known.latency, known.notes, [last] * FEWEST_WORLDS)
    status = worlds.status(world_id)
    quote = order_quote(worlds.settings, alike, world_id, parse_stored(status.parameters))
    assert quote.learned == f"in English with {quote.model}"
    assert quote.texts_usd == pytest.approx(status.llm_cost_total, rel=1e-4)
    assert quote.texts_interval_usd[0] < quote.texts_usd < quote.texts_interval_usd[1]


def test_a_price_has_texts_and_pictures() -> None:
    """Both have an interval, and so has their sum; the provider sets the price of a picture."""
    quote = quote_for(CHOSEN, Knowledge(), ORDER)
    assert quote.pictures_usd == pytest.approx(177 * 0.01)
    assert quote.cost_usd == pytest.approx(quote.texts_usd + quote.pictures_usd)
    for end in (0, 1):
        assert quote.cost_interval_usd[end] == pytest.approx(quote.texts_interval_usd[end] + quote.pictures_interval_usd[end])
    assert quote.cost_interval_usd[0] < quote.cost_usd < quote.cost_interval_usd[1]
    assert quote_for(CHOSEN, Knowledge(), ORDER) == quote


@pytest.mark.parametrize(
    ("cap", "said"),
    [
        pytest.param(0.1, "will probably cancel", id="below the expected price"),
        pytest.param(2.6, "may cancel", id="in the interval"),
        pytest.param(50.0, None, id="above it"),
        pytest.param(None, None, id="no cap"),
    ],
)
def test_a_cap_is_compared_with_the_interval(cap: float | None, said: str | None) -> None:
    """A cap below the expected price will probably cancel the world, a cap within the interval may."""
    warning = cap_warning(quote_for(CHOSEN, Knowledge(), ORDER), cap)
    assert warning is None if said is None else warning is not None and said in warning


@pytest.mark.parametrize(
    ("usd", "said"),
    [(0, "$0.00"), (0.00261, "$0.0026"), (0.0409, "$0.041"), (0.1022, "$0.10"), (7.3456, "$7.35"), (1234.5, "$1,234.50")],
)
def test_an_estimate_is_rounded(usd: float, said: str) -> None:
    """An estimated price has two decimals, a small one two significant digits."""
    assert about_dollars(usd) == said
    assert price_sentence(usd, (usd, usd)) == said


def as_chosen(quote: Quote) -> Quote:
    """The quote for the settings and the order of this row of the comparison."""
    gemini = quote.images.startswith("gemini-")
    images = {"image_provider": "gemini", "image_model": quote.images} if gemini else {}
    settings = CHOSEN.model_copy(update={"gemini_model": quote.model, "service_tier": quote.service_tier, **images})
    return quote_for(settings, Knowledge(), ORDER)


def test_each_row_of_the_comparison_equals_its_quote() -> None:
    """It has every tier with every model and every image provider once, the cheapest first, with the figures of `quote`."""
    quotes = compare(CHOSEN, Knowledge(), ORDER)
    models = [name for name, profile in model_profiles().items() if not profile.ended(now())]
    kinds = [(quote.service_tier, quote.model, quote.images) for quote in quotes]
    images = {quote.images for quote in quotes}
    assert len(images) >= 4
    assert sorted(kinds) == sorted((tier, model, image) for tier in ServiceTier for model in models for image in images)
    assert [quote.cost_usd for quote in quotes] == sorted(quote.cost_usd for quote in quotes)
    for row in (quotes[0], quotes[len(quotes) // 2], quotes[-1]):
        assert as_chosen(row).model_dump(exclude={"changes"}) == row.model_dump(exclude={"changes"})


def test_tiers_differ_in_price_and_time() -> None:
    """Flex costs half and takes longer, economy little more than flex, priority more than standard."""
    standard, flex, priority, economy = (
        quote_for(CHOSEN, Knowledge(), ORDER.model_copy(update={"service_tier": tier})) for tier in ServiceTier
    )
    assert flex.texts_usd == pytest.approx(standard.texts_usd / 2, abs=1e-6)  # both are rounded
    assert flex.texts_usd < economy.texts_usd <= 0.55 * standard.texts_usd
    assert priority.texts_usd > standard.texts_usd
    assert flex.minutes > standard.minutes


def test_a_retired_model_is_not_compared() -> None:
    """A model that the fleet has noted as retired is left out."""
    note = {"model": "gemini-3.8-flash", "at": now(), "successor": "gemini-3.5-flash-lite"}
    known = Knowledge(notes=FleetNotes.model_validate({"retired": [note]}))
    assert "gemini-3.8-flash" not in {quote.model for quote in compare(CHOSEN, known, ORDER)}


@pytest.mark.parametrize("width", [80, 40])
def test_the_comparison_fits_its_window(width: int) -> None:
    """No row is wrapped at 80 and at 40 columns; model, tier and a price with pictures are always shown."""
    free, out = CHOSEN.model_copy(update={"image_stub_cost_usd": 0.0}), io.StringIO()
    console = Console(file=out, width=width, markup=False, highlight=False)
    print_comparison(console, "25 people", compare(free, Knowledge(), ORDER), quote_for(free, Knowledge(), ORDER))
    lines, models = out.getvalue().splitlines(), {name.removeprefix("gemini-") for name in model_profiles()}
    rows = [line for line in lines if line.partition(" ")[0].strip("*") in models]
    assert len(rows) == len(list(ServiceTier)) * len([one for one in model_profiles().values() if not one.ended(now())])
    assert max(map(len, lines)) <= width
    (header,) = (line.split() for line in lines if line.startswith("model "))
    assert header[:2] == ["model", "tier"]
    assert "+flash-lite" in header
    assert sum("*" in row for row in rows) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--language", "Qwertish"], "is no language"), (["--compare", "--service-tier", "flex"], "leave one of the two out")],
)
def test_the_command_refuses_contradictory_input(arguments: list[str], said: str) -> None:
    """An unknown language, and a tier together with --compare, end with one sentence and status 2."""
    shown = CliRunner().invoke(app, ["quote", *arguments])
    assert shown.exit_code in (1, 2)
    assert said in (shown.stderr + str(shown.exception)).replace("\n", " ")


def test_the_comparison_is_one_json_object() -> None:
    """`--compare --json` is one object with all quotes."""
    shown = CliRunner().invoke(app, ["quote", "--compare", "--json"])
    assert shown.exit_code == 0
    assert all(Quote.model_validate(one) for one in json.loads(shown.stdout)["quotes"])


def test_a_quote_does_not_wait_for_a_missing_server() -> None:
    """If connections are refused, the quote uses no stored figures and does not wait for a time-out."""
    with socket.socket() as unused:  # bound, and not listening
        unused.bind(("127.0.0.1", 0))
        uri = f"mongodb://127.0.0.1:{unused.getsockname()[1]}/"
        began = time.monotonic()
        known = knowledge(CHOSEN.model_copy(update={"mongodb_uri": SecretStr(uri)}))
        assert time.monotonic() - began < connections.QUICK_S / 2
    assert list(known.worlds) == []
    assert known.latency == assumed_latency(CHOSEN)
