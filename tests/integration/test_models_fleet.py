"""The roster of models on a real MongoDB: who takes over from a model that is gone, and who hears of it."""

import logging

import pytest

from resources.models import ModelRoster
from resources.mongo import connect_async
from resources.outcomes import FatalCallError


@pytest.fixture
async def fleet(mongodb_uri, mongo_database_name):
    async with connect_async(mongodb_uri) as client:
        yield client[mongo_database_name].fleet


async def test_a_successor_takes_over_once_for_the_whole_fleet(fleet, caplog):
    """The first to see the 404 warns once and notes it; a roster made later begins with the successor."""
    first, second = ModelRoster("gemini-2.5-flash", fleet), ModelRoster("gemini-2.5-flash", fleet)
    assert (await first.current()).id == (await second.current()).id == "gemini-2.5-flash"
    with caplog.at_level(logging.WARNING):
        for roster in (first, first, second):
            await roster.retire("gemini-2.5-flash", "404 NOT_FOUND")
    assert [record.getMessage() for record in caplog.records] == [
        "model gemini-2.5-flash is gone (404 NOT_FOUND); gemini-3.5-flash-lite takes over for the whole fleet"
    ]
    later = ModelRoster("gemini-2.5-flash", fleet)
    for roster in (first, second, later):
        assert (await roster.current()).id == "gemini-3.5-flash-lite"


async def test_successors_that_are_gone_are_passed_over(fleet):
    """A note of two models gone leads to the third."""
    first = ModelRoster("gemini-2.5-flash", fleet)
    await first.retire("gemini-2.5-flash", "404")
    await first.retire("gemini-3.5-flash-lite", "404")
    assert (await ModelRoster("gemini-2.5-flash", fleet).current()).id == "gemini-3.1-flash-lite"


async def test_without_a_successor_the_error_says_what_to_do(fleet):
    """The last model's end is fatal, names the model and the setting, and is not noted as a hand-over."""
    roster = ModelRoster("gemini-3.1-flash-lite", fleet)
    with pytest.raises(FatalCallError, match=r"gemini-3\.1-flash-lite is gone .*set GEMINI_MODEL.*models\.yaml"):
        await roster.retire("gemini-3.1-flash-lite", "404")
    assert await fleet.find_one({"_id": "models"}) is None


async def test_an_unknown_model_is_refused_with_those_that_are_known(fleet):
    """A typing mistake in GEMINI_MODEL is told with the names that exist."""
    with pytest.raises(FatalCallError, match=r"GEMINI_MODEL='gemini-9'.*gemini-2\.5-flash"):
        ModelRoster("gemini-9", fleet)
