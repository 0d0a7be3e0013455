"""Quotes from finished worlds: which worlds count, and how far a bill may be from its quote."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import exp
from statistics import median

import pytest
from pydantic import ValidationError
from pymongo import MongoClient

from generia_assets.durable.calls.usage import CallUsage, Usage
from generia_assets.durable.collections import GENERATIONS
from generia_assets.queries.learned import ASSUMED_TOKENS, FEWEST_WORLDS, MOST_WORLDS, CallTokens, finished_worlds, learn
from resources.mongodb.connection import MongoDatabase

MODEL, OTHER = "gemini-3.5-flash-lite", "gemini-3.8-flash"
PLANNED = {"world_description": 1, "character": 5, "post": 20}
TOKENS = {"world_description": (2_400, 0, 3_000), "character": (5_000, 2_000, 1_500), "post": (6_000, 4_000, 400)}


def cost(_: str, tokens: CallTokens) -> float:
    """The cost at a price of 1 for a token of input, a tenth of that for a cached one, and 8 for output."""
    return (tokens.prompt - tokens.cached) + 0.1 * tokens.cached + 8 * tokens.output


def world(
    *, language: str = "English", model: str = MODEL, longer: float = 1.0, repeated: float = 0.0, size: int = 1, spread: float = 0.0
) -> Usage:
    """A finished world: its texts are ``longer`` by that factor, its bill is higher by the part ``repeated``."""
    planned = {name: count * (size if name == "post" else 1) for name, count in PLANNED.items()}
    calls = []
    for name, count in planned.items():
        prompt, cached, output = TOKENS[name]
        each = cost(name, CallTokens(prompt, cached, longer * output))
        calls.append(
            CallUsage(
                request_type=name,
                model=model,
                calls=count,
                prompt=count * prompt,
                cached=count * cached,
                output=round(count * longer * output),
                usd=count * each,
                usd_squared=count * each**2 * (1 + spread**2),
            )
        )
    bill = sum(call.usd for call in calls) * (1 + repeated)
    return Usage(
        language=language, planned=planned, calls=tuple(calls), texts_usd=bill, pictures=25, picture_usd=0.03, pictures_usd=0.75
    )


def bill_of(worlds: Sequence[Usage], language: str | None = "English", model: str = MODEL) -> float:
    """The expected cost of a similar world."""
    learned = learn(worlds, model=model, language=language)
    assert learned is not None
    return learned.texts(PLANNED, cost).middle


def test_equal_worlds_give_an_exact_quote() -> None:
    """Without differences between worlds the quote is their bill, and its interval has no width; the same holds for pictures."""
    learned = learn([world()] * FEWEST_WORLDS, model=MODEL, language="English")
    assert learned is not None
    texts, pictures = learned.texts(PLANNED, cost), learned.pictures(100)
    assert [texts.low, texts.middle, texts.high] == pytest.approx([world().texts_usd] * 3)
    assert [pictures.low, pictures.middle, pictures.high] == pytest.approx([1.0] * 3)


@pytest.mark.parametrize(
    ("spoken", "same_model", "others", "source"),
    [
        (FEWEST_WORLDS, 0, 0, f"in English with {MODEL}"),
        (FEWEST_WORLDS - 1, 1, 0, f"in all languages with {MODEL}"),
        (0, FEWEST_WORLDS, 0, f"in all languages with {MODEL}"),
        (FEWEST_WORLDS - 2, 1, 1, "with other models"),
        (0, 0, FEWEST_WORLDS, "with other models"),
        (FEWEST_WORLDS - 2, 1, 0, None),
        (0, 0, 0, None),
    ],
)
def test_with_too_few_worlds_the_quote_uses_others(spoken: int, same_model: int, others: int, source: str | None) -> None:
    """With too few worlds of the language it uses all languages, with too few of the model all models, and with too few in all no
    worlds."""
    worlds = [world()] * spoken + [world(language="Russian")] * same_model + [world(model=OTHER)] * others
    learned = learn(worlds, model=MODEL, language="English")
    assert (learned and learned.source) == source
    if learned is not None:
        assert learned.same_model is (source != "with other models")


def test_worlds_of_other_languages_and_models_do_not_count_if_there_are_enough() -> None:
    """A hundred worlds of another language or model do not change the quote from eight English ones."""
    english = [world(longer=1 + number / 100) for number in range(FEWEST_WORLDS)]
    others = [world(language="Russian", longer=2, repeated=1)] * 100 + [world(model=OTHER, longer=3)] * 100
    assert bill_of([*others, *english]) == bill_of(english)
    assert bill_of([*others, *english], language=None) > 1.2 * bill_of(english)


def test_a_world_of_two_models_counts_for_neither() -> None:
    """If a model ended while a world was made, the world counts for none of the two models."""
    mixed = world().model_copy(update={"calls": (*world().calls, *world(model=OTHER).calls)})
    assert learn([mixed] * FEWEST_WORLDS, model=MODEL, language="English").same_model is False  # type: ignore[union-attr]


def test_a_world_whose_answers_had_no_tokens_does_not_count() -> None:
    """Its bill has worst cases. A world with a task type that is no longer in the catalogue counts, except for that type."""
    blind = world()
    blind = blind.model_copy(update={"calls": tuple(call.model_copy(update={"prompt": 0, "output": 0}) for call in blind.calls)})
    assert learn([blind] * 100, model=MODEL, language="English") is None
    assert bill_of([*[blind] * 100, *[world()] * FEWEST_WORLDS]) == bill_of([world()] * FEWEST_WORLDS)
    former = world().model_copy(update={"planned": {**PLANNED, "former_type": 5}})
    assert bill_of([former] * FEWEST_WORLDS) == pytest.approx(bill_of([world()] * FEWEST_WORLDS))


def test_with_another_model_the_upper_price_assumes_no_cache() -> None:
    """Tokens that other models had cached may be billed in full."""
    learned = learn([world(model=OTHER)] * FEWEST_WORLDS, model=MODEL, language="English")
    assert learned is not None
    uncached = sum(count * cost("", CallTokens(TOKENS[name][0], 0, TOKENS[name][2])) for name, count in PLANNED.items())
    texts = learned.texts(PLANNED, cost)
    assert texts.low < texts.middle < texts.high
    assert texts.high == pytest.approx(uncached)


def test_calls_that_no_world_made_are_estimated_by_the_catalogue() -> None:
    """A request type without recorded calls has the catalogue's estimate."""
    learned = learn([world()] * FEWEST_WORLDS, model=MODEL, language="English")
    assert learned is not None
    refined = {"refine_avatar": 3}
    assert learned.texts(refined, cost).middle == pytest.approx(3 * cost("", ASSUMED_TOKENS["refine_avatar"]))


def test_repeated_calls_vary_less_in_a_large_world() -> None:
    """If one small world in ten costs twice as much, a small world may do so, a large one costs a tenth more, and neither is below
    the plan."""
    learned = learn([world(repeated=number % 10 == 0) for number in range(40)], model=MODEL, language="English")
    assert learned is not None
    small, large = learned.texts(PLANNED, cost), learned.texts({name: 50 * count for name, count in PLANNED.items()}, cost)
    typical = world().texts_usd
    assert (small.low, small.high) == pytest.approx((typical, 2 * typical))
    assert large.middle == pytest.approx(50 * 1.1 * typical, rel=0.02)
    assert large.low > 50 * typical
    assert large.high < 50 * 1.25 * typical


def test_one_call_is_less_certain_than_many() -> None:
    """The price of one post varies; over all posts of a world the differences cancel out."""
    learned = learn([world(spread=0.5)] * FEWEST_WORLDS, model=MODEL, language="English")
    assert learned is not None
    one, many = learned.texts({"post": 1}, cost), learned.texts({"post": 400}, cost)
    assert one.high / one.middle > 1.5
    assert many.high / many.middle < 1.1


@pytest.mark.parametrize("seed", range(5))
def test_nine_of_ten_bills_are_in_their_interval(seed: int) -> None:
    """Of worlds that differ from the recorded ones, at least 90 % are in the interval, and the median error is at most 5 %."""
    rng = random.Random(seed)

    def drawn() -> Usage:
        return world(longer=exp(rng.gauss(0, 0.1)), repeated=max(0.0, rng.gauss(0.03, 0.03)), size=rng.choice([1, 2, 8]))

    learned = learn([drawn() for _ in range(40)], model=MODEL, language="English")
    assert learned is not None
    inside, errors = 0, []
    for bill in (drawn() for _ in range(200)):
        texts = learned.texts(bill.planned, cost)
        inside += texts.low <= bill.texts_usd <= texts.high
        errors.append(abs(bill.texts_usd / texts.middle - 1))
    assert inside >= 180
    assert median(errors) <= 0.05


@pytest.fixture
def database(mongodb_uri: str, mongo_database_name: str) -> MongoDatabase:
    return MongoClient(mongodb_uri, tz_aware=True)[mongo_database_name]


def test_the_last_completed_worlds_are_read(database: MongoDatabase) -> None:
    """Generations without usage and unreadable records are left out; of many worlds the newest are read, with an index."""
    began = datetime(2026, 11, 1, tzinfo=UTC)
    usage = world().model_dump()
    records = [
        {"_id": f"g{number}", "updated_at": began + timedelta(minutes=number), "usage": {**usage, "language": f"language {number}"}}
        for number in range(MOST_WORLDS + 5)
    ]
    last = began + timedelta(days=1)
    strange = [{"_id": "a part", "updated_at": last}, {"_id": "odd", "updated_at": last, "usage": {"language": 5}}]
    database[GENERATIONS].insert_many([*records, *strange])
    found = finished_worlds(database)
    assert len(found) == MOST_WORLDS - 1
    assert found[0].language == f"language {MOST_WORLDS + 4}"


@pytest.mark.parametrize("field", ["texts_usd", "pictures", "picture_usd", "pictures_usd"])
def test_a_record_with_negative_sums_does_not_count(field: str) -> None:
    """It is left out like an unreadable record: a quote neither fails nor is below zero."""
    fields = {"language": "", "planned": {}, "calls": (), "texts_usd": 0, "pictures": 0, "picture_usd": 0, "pictures_usd": 0}
    with pytest.raises(ValidationError):
        Usage.model_validate({**fields, field: -1})
