"""The resolver of models on a real MongoDB: the successor of a retired model, the note for the fleet, and its lifetime."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from pymongo.errors import PyMongoError

from resources.gateway.outcomes import FatalCallError, ModelMissingError
from resources.gemini import model_resolver
from resources.gemini.model_resolver import ModelReplacedError, ModelResolver, fleet_notes
from resources.gemini.models import model_profiles
from resources.mongodb.connection import connect_async
from tests.resources.test_models_retired import _PROMPT, _Line, first_calls


@pytest.fixture(autouse=True)
def _before_any_model_ends(monkeypatch):
    monkeypatch.setattr("resources.gemini.models.now", lambda: datetime(2026, 11, 28, tzinfo=UTC))


@pytest.fixture
async def fleet(mongodb_uri, mongo_database_name):
    async with connect_async(mongodb_uri) as client:
        yield client[mongo_database_name].fleet


async def gone(resolver, model):
    """Handle a 404 like the process of the call."""
    with suppress(ModelMissingError, ModelReplacedError):
        async with resolver.attempt(model_profiles()[model]):
            raise ModelMissingError("404 NOT_FOUND")
    await resolver.write_down()


async def noted(fleet):
    """The models that the fleet does not use."""
    return [note.model for note in fleet_notes(await fleet.find_one({"_id": "models"})).retired]


async def test_a_successor_takes_over_once_for_the_whole_fleet(fleet, caplog):
    """The first to see the 404 warns once and notes it; a resolver made later begins with the successor."""
    first, second = ModelResolver("gemini-2.5-flash", fleet), ModelResolver("gemini-2.5-flash", fleet)
    assert (await first.current()).id == (await second.current()).id == "gemini-2.5-flash"
    with caplog.at_level(logging.WARNING):
        for resolver in (first, first, second):
            await gone(resolver, "gemini-2.5-flash")
    assert [record.getMessage() for record in caplog.records] == [
        "model gemini-2.5-flash is gone (404): gemini-3.5-flash-lite takes over for a day, for the whole fleet (404 NOT_FOUND)"
    ]
    later = ModelResolver("gemini-2.5-flash", fleet)
    for resolver in (first, second, later):
        assert (await resolver.current()).id == "gemini-3.5-flash-lite"


async def test_retired_successors_are_skipped(fleet):
    """A note of two retired models leads to the third."""
    first = ModelResolver("gemini-2.5-flash", fleet)
    await gone(first, "gemini-2.5-flash")
    await gone(first, "gemini-3.5-flash-lite")
    assert (await ModelResolver("gemini-2.5-flash", fleet).current()).id == "gemini-3.1-flash-lite"


async def test_a_retired_model_is_tried_again_when_its_note_expires(fleet, monkeypatch, caplog):
    """A note is valid for its lifetime, in the process and in the fleet; then the model is called, and can be noted again."""
    await gone(ModelResolver("gemini-2.5-flash", fleet), "gemini-2.5-flash")
    long_ago = datetime.now(UTC) - model_resolver.RETIRED_FOR - timedelta(seconds=1)
    await fleet.update_one({"_id": "models"}, {"$set": {"retired.0.at": long_ago}})
    later = ModelResolver("gemini-2.5-flash", fleet)
    assert (await later.current()).id == "gemini-2.5-flash"
    caplog.clear()
    await gone(later, "gemini-2.5-flash")
    assert await noted(fleet) == ["gemini-2.5-flash"]
    assert "takes over for a day" in caplog.text
    monkeypatch.setattr(model_resolver, "RETIRED_FOR", timedelta(0))
    other = ModelResolver("gemini-3.8-flash", fleet)
    await gone(other, "gemini-3.8-flash")
    assert (await other.current()).id == "gemini-3.8-flash"


async def test_a_note_that_could_not_be_written_is_written_at_the_next_try(fleet, mongodb_uri, mongo_database_name, caplog):
    """If MongoDB fails between the 404 and the note, the process remembers it; the next try writes the note for the fleet, and
    warns."""
    async with connect_async(mongodb_uri) as closed:
        resolver = ModelResolver("gemini-2.5-flash", closed[mongo_database_name].fleet)
        await resolver.current()
    with pytest.raises((PyMongoError, RuntimeError)):
        await gone(resolver, "gemini-2.5-flash")
    assert (await resolver.current()).id == "gemini-3.5-flash-lite"
    assert await noted(fleet) == []
    resolver._fleet = fleet  # MongoDB is available again
    await resolver.write_down()
    assert await noted(fleet) == ["gemini-2.5-flash"]
    assert "takes over for a day" in caplog.text


async def test_an_answer_is_kept_when_the_run_is_stopped_as_it_writes_a_note(mongodb_uri, mongo_database_name, gemini, monkeypatch):
    """It is already a checkpoint, so that another run does not pay for it again."""

    async def stopped():
        raise asyncio.CancelledError

    async with first_calls("gemini-2.5-flash", mongodb_uri, mongo_database_name, gemini) as (writer, *_):
        monkeypatch.setattr(writer._providers.models, "write_down", stopped)
        with pytest.raises(asyncio.CancelledError):
            await writer.write(_PROMPT, _Line)
        assert writer._calls.checkpoints.unwritten()


async def test_without_a_successor_the_error_says_what_to_do(fleet):
    """The end of the last model is fatal, names the model and the setting, and is not noted."""
    resolver = ModelResolver("gemini-3.1-flash-lite", fleet)
    with pytest.raises(FatalCallError, match=r"gemini-3\.1-flash-lite is gone .*set GEMINI_MODEL.*models\.yaml"):
        await gone(resolver, "gemini-3.1-flash-lite")
    assert await fleet.find_one({"_id": "models"}) is None
