"""The roster of models on a real MongoDB: who takes over from a model that is gone, who hears of it, and for how long."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from pymongo.errors import PyMongoError

from resources import models
from resources.models import ModelRoster, retired_models
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
        "model gemini-2.5-flash is gone (404 NOT_FOUND); gemini-3.5-flash-lite takes over for a day, for the whole fleet"
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


async def test_a_model_that_was_gone_is_tried_again(fleet, monkeypatch, caplog):
    """A note holds for its time, here as in the fleet; then the model is asked, and can be noted again."""
    roster = ModelRoster("gemini-2.5-flash", fleet)
    await roster.retire("gemini-2.5-flash", "404")
    long_ago = datetime.now(UTC) - models.RETIRED_FOR - timedelta(seconds=1)
    await fleet.update_one({"_id": "models"}, {"$set": {"retired.0.at": long_ago}})
    later = ModelRoster("gemini-2.5-flash", fleet)
    assert (await later.current()).id == "gemini-2.5-flash"
    caplog.clear()
    await later.retire("gemini-2.5-flash", "404")
    assert [entry.model for entry in retired_models(await fleet.find_one({"_id": "models"}))] == ["gemini-2.5-flash"]
    assert "takes over for a day" in caplog.text
    monkeypatch.setattr(models, "RETIRED_FOR", timedelta(0))
    other = ModelRoster("gemini-3.8-flash", fleet)
    await other.retire("gemini-3.8-flash", "404")
    assert (await other.current()).id == "gemini-3.8-flash"


async def test_a_note_that_cannot_be_written_is_written_when_it_is_tried_again(fleet, mongodb_uri, mongo_database_name, caplog):
    """Where MongoDB fails between the 404 and the note, nothing has changed: the second try notes, warns and hands over."""
    async with connect_async(mongodb_uri) as closed:
        roster = ModelRoster("gemini-2.5-flash", closed[mongo_database_name].fleet)
        await roster.current()
    with pytest.raises((PyMongoError, RuntimeError)):
        await roster.retire("gemini-2.5-flash", "404")
    assert (await roster.current()).id == "gemini-2.5-flash"
    roster._fleet = fleet  # MongoDB is there again
    await roster.retire("gemini-2.5-flash", "404")
    assert (await roster.current()).id == "gemini-3.5-flash-lite"
    assert [entry.model for entry in retired_models(await fleet.find_one({"_id": "models"}))] == ["gemini-2.5-flash"]
    assert "takes over for a day" in caplog.text


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
