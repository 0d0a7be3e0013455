"""If a call fails repeatedly, the run waits during an outage, a poisonous item fails, and automatic resumes are bounded."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from generia_assets.durable.collections import FLEET, HISTORY
from generia_assets.durable.status import State, SuspendReason
from generia_assets.durable.tasks import session
from resources.gateway import waits
from resources.mongodb import connection as mongo
from tests.assets.test_outages import Seam
from tests.support.dagster_internals import sqlite_event_log
from tests.support.items_worlds import attempts, fails_alone, faults, one_post
from tests.support.worlds_in_process import POSTS, PROMPT, Worlds, worlds_in_process

SETTINGS: dict[str, Any] = {"patience_seconds": 60, "breaker_open_seconds": 0.1, "breaker_open_max_seconds": 0.1}


@pytest.fixture
def worlds(the_worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worlds]:
    """The worlds, with an emulator that has only the faults of the test, and with short waits between attempts."""
    monkeypatch.setattr(waits, "FIRST_WAIT_SECONDS", 0.02)
    with the_worlds.undamaged():
        yield the_worlds


@pytest.fixture(scope="module")
def there(the_worlds: Worlds) -> str:
    """A completed world."""
    with the_worlds.undamaged():
        world_id, made = the_worlds.make("there")
    assert made.success, made.failure
    return world_id


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("internal_error", id="A2 500"),
        pytest.param("deadline_exceeded", id="A2 504"),
    ],
)
def test_one_poisonous_post_among_others_fails_and_the_world_completes(worlds: Worlds, there: str, fault: str) -> None:
    """If only one item is never answered, it fails after its attempts, and everything else is made."""
    key, words = one_post(worlds, there)
    faults(worlds, only_matching=words, **{fault: 1.0})
    made = worlds.run(there, select=["posts"])
    fails_alone(worlds, there, key, made, "answers other calls")
    assert len(worlds.documents("posts", there)) == POSTS - 1


@pytest.mark.case("A2")
def test_a_poisonous_post_fails_also_when_it_is_the_last_item(worlds: Worlds, there: str) -> None:
    """A single item is compared with control calls, which are answered, recorded, and raise the limit of calls that they use."""
    key, words = one_post(worlds, there)
    faults(worlds, only_matching=words, internal_error=1.0)
    made = worlds.run(there, select=["posts"], keys=[key])
    fails_alone(worlds, there, key, made, "answers other calls")
    controls = list(worlds.database[HISTORY].find({"request_type": "control", "run_id": made.run_id}))
    assert {control["outcome"] for control in controls} == {"ok"}
    status = worlds.status(there)
    assert status.api_calls_made_LLM == status.calls_excused == len(controls) <= 10


@pytest.mark.case("A2")
def test_a_poisonous_description_fails_its_world_with_a_message(worlds: Worlds) -> None:
    """A task of level world has four attempts; then the world is failed, instead of being suspended and resumed for ever."""
    faults(worlds, only_matching="Make a world of this sentence", internal_error=1.0)
    world_id, made = worlds.make("poisonous-description")
    assert not made.success
    status = worlds.status(world_id)
    assert (status.status, status.parked) == (State.FAILED, None)
    assert "generate_world_description world failed after 4 attempts" in status.message
    assert "answers other calls" in status.message
    assert status.message in made.failure


@pytest.mark.parametrize(
    ("painter", "reason", "calls"),
    [
        pytest.param("PoisonedPainter", "answers other calls", 4, id="A2 500 for one picture"),
        pytest.param("ClumsyPainter", "generate() raised KeyError", 6, id="A2 an exception of the provider's own for one picture"),
    ],
)
def test_a_poisonous_picture_fails_its_post_and_the_world_completes(
    tmp_path: Path,
    mongodb_uri: str,
    broker: str,
    gemini: str,
    monkeypatch: pytest.MonkeyPatch,
    painter: str,
    reason: str,
    calls: int,
) -> None:
    """The rule is the same for the image API: one post is not published, and all others are."""
    monkeypatch.setattr(waits, "FIRST_WAIT_SECONDS", 0.02)
    provider: dict[str, Any] = {"image_provider": f"tests.support.items_worlds:{painter}"}
    with worlds_in_process(tmp_path, mongodb_uri=mongodb_uri, broker=broker, gemini=gemini, **provider) as worlds:
        world_id, made = worlds.make(users=1, posts=2)
        assert made.success, made.failure
        status = worlds.status(world_id)
        assert (status.status, status.tasks_failed, status.posts_created) == (State.COMPLETED, 1, 1)
        assert [failure.type for failure in status.failures] == ["generate_post_image"]
        assert reason in status.failures[0].error
        assert status.api_calls_made_images - status.calls_excused == calls  # header, icon, avatar, the other post, two answers


@contextmanager
def impatient(worlds: Worlds) -> Iterator[Worlds]:
    """The same worlds with an outage timeout of half a second."""
    short = worlds.settings.model_copy(update={"patience_seconds": 0.5})
    others = Worlds(short, worlds.settings.mongodb_uri.get_secret_value(), "")
    try:
        yield others
    finally:
        others.client.close()
        others.instance.dispose()


def suspended(worlds: Worlds, world_id: str, *, retries: int) -> str:
    """Check that the world is suspended without a failed task, after this number of vain resumes; return its message."""
    status = worlds.status(world_id)
    assert (status.status, status.tasks_failed) == (State.IN_PROGRESS, 0), status.message
    assert status.parked is not None
    assert (status.parked.kind, status.parked.retries) == (SuspendReason.OUTAGE, retries)
    return status.message


def completes(worlds: Worlds, world_id: str) -> None:
    """Check that the world completes after a resume without faults, and that no task has used more than one attempt."""
    assert worlds.gemini is not None
    worlds.gemini.reset()
    again = worlds.resume(world_id)
    assert again.success, again.failure
    assert worlds.status(world_id).status is State.COMPLETED
    assert attempts(worlds, world_id) == {1}


@pytest.mark.case("A2")
def test_an_outage_uses_no_attempt_and_is_waited_for(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    """While no call is answered, nothing fails, however often the world is resumed; after the outage it completes."""
    monkeypatch.setattr(session, "MOST_RETRIES", 0)
    faults(worlds, unavailable=1.0, after_calls=4)
    with impatient(worlds) as others:
        world_id, _ = others.make("outage")
        suspended(worlds, world_id, retries=0)
        others.resume(world_id)
        suspended(worlds, world_id, retries=0)
    completes(worlds, world_id)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("unauthenticated", id="S4 a key that is refused"),
        pytest.param("somebody_else", id="S4 302, 204, 407, an HTML 404"),
    ],
)
def test_an_api_that_refuses_for_a_moment_is_waited_for(worlds: Worlds, fault: str) -> None:
    """A refusal after earlier answers is an outage: the same run completes the world."""
    faults(worlds, after_calls=5, for_calls=12, **{fault: 1.0})
    world_id, made = worlds.make()
    assert made.success, made.failure
    assert worlds.status(world_id).status is State.COMPLETED
    assert attempts(worlds, world_id) == {1}


@pytest.mark.case("S4")
def test_trust_is_renewed_by_every_run_that_is_answered(worlds: Worlds, there: str) -> None:
    """A key in daily use stays trusted: each run starts a new month of trust, for the model and the image API."""
    fleet, soon = worlds.database[FLEET], datetime.now(UTC) + timedelta(hours=1)
    fleet.update_many({"_id": {"$regex": "^answered:"}}, {"$set": {"expires_at": soon}})
    made = worlds.run(there, select=["posts", "post_images"], keys=[one_post(worlds, there)[0]])
    assert made.success, made.failure
    trusted = {found["_id"].split(":")[1]: found["expires_at"] for found in fleet.find({"_id": {"$regex": "^answered:"}})}
    assert set(trusted) == {"llm", "image_generation"}
    assert min(trusted.values()) > soon + timedelta(days=28)


@pytest.mark.case("S4")
def test_a_key_that_is_refused_for_good_fails_the_world_after_a_bound(
    worlds: Worlds, there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an earlier valid key is refused, the world is resumed a bounded number of times and then failed; its messages say both."""
    monkeypatch.setattr(session, "MOST_RETRIES", 2)
    faults(worlds, unauthenticated=1.0)
    with impatient(worlds) as others:
        world_id, _ = others.make("refused-for-good")
        assert "Check GEMINI_API_KEY" in suspended(worlds, world_id, retries=1)
        made = others.resume(world_id)
        assert "tried again by itself (2 of 2)" in suspended(worlds, world_id, retries=2)
        assert "(2 of 2)" in made.failure
        others.resume(world_id)
    status = worlds.status(world_id)
    assert status.status is State.FAILED
    assert "It was tried again 2 times" in status.message
    assert f"generia resume {world_id}" in status.message
    completes(worlds, world_id)


@pytest.mark.case("S4")
def test_a_locked_dagster_storage_suspends_a_world_whose_tasks_are_done(
    worlds: Worlds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The world is suspended, and later completed from the recorded results without a call; it is never failed."""
    monkeypatch.setattr(sqlite_event_log, "SQLITE_BUSY_TIMEOUT_SECONDS", 0.1)
    worlds = Worlds(worlds.settings, worlds.settings.mongodb_uri.get_secret_value(), worlds.settings.gemini_base_url)
    worlds.instance = dg.DagsterInstance.local_temp(str(tmp_path))
    run_id, locks = str(uuid.uuid4()), list[sqlite3.Connection]()

    def lock() -> None:
        locks.append(sqlite3.connect(tmp_path / "history" / "runs" / f"{run_id}.db", check_same_thread=False))
        locks[0].execute("BEGIN EXCLUSIVE")

    options = mongo._options()
    seam = Seam("'current_stage': 'finishing'", lock, committed=True)
    monkeypatch.setattr(mongo, "_options", lambda: {**options, "event_listeners": [seam]})
    with suppress(OperationalError):  # Dagster's own error, when it cannot even record that the run failed
        worlds.run("locked", run_id=run_id, form={"prompt": PROMPT, "users": 1, "posts": 2})
    locks[0].rollback()
    assert "Dagster's own storage failed (database is locked)" in suspended(worlds, "locked", retries=1)
    calls = worlds.calls
    completes(worlds, "locked")
    assert worlds.calls == 0 < calls
    worlds.client.close()
    worlds.instance.dispose()
