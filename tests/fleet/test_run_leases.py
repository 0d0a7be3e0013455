"""The lease of a run: one process holds it, and it expires."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from generia_assets.durable.collections import FLEET
from generia_assets.fleet import run_leases
from generia_assets.fleet.run_leases import held_lease, read_lease
from resources.mongodb.connection import MongoDatabase, connect
from tests.fleet.conftest import silent
from tests.support.waiting import PATIENCE_S, wait_for

RUN = "3e8b3a3e-0000-4000-8000-000000000001"
SOON_S = 1.0
"""Between two renewals; also what each of them may take."""


@pytest.fixture
def database(mongodb_uri: str, mongo_database_name: str) -> Iterator[MongoDatabase]:
    with connect(mongodb_uri) as client:
        yield client[mongo_database_name]


def expire(database: MongoDatabase) -> None:
    """Let the lease expire by the clock of MongoDB."""
    database[FLEET].update_one({"_id": f"run:{RUN}"}, [{"$set": {"expires_at": {"$subtract": ["$$NOW", 1]}}}])


def test_one_process_holds_the_lease_of_a_run(database: MongoDatabase) -> None:
    """While a process holds the lease no other gets it; after its release there is no lease."""
    with held_lease(database, RUN) as first, held_lease(database, RUN) as second:
        assert (first, second) == (True, False)
        lease = read_lease(database, RUN)
        assert lease is not None
        assert not lease.is_over
    assert read_lease(database, RUN) is None


def test_an_expired_lease_is_acquired_by_another_process(database: MongoDatabase) -> None:
    """The lease of a dead process expires, and any process can then acquire it."""
    with held_lease(database, RUN):
        expire(database)
        lease = read_lease(database, RUN)
        assert lease is not None
        assert lease.is_over
        with held_lease(database, RUN) as second:
            assert second


def test_a_lease_is_renewed(database: MongoDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live process renews its lease, also one that was expired or removed by MongoDB and not acquired by another process."""
    monkeypatch.setattr(run_leases, "RENEW_SECONDS", SOON_S)
    with held_lease(database, RUN):
        for interfere in (lambda: expire(database), lambda: database[FLEET].delete_many({})):
            interfere()
            wait_for(lambda: (lease := read_lease(database, RUN)) is not None and not lease.is_over)


def test_a_process_that_loses_its_lease_ends_its_run(database: MongoDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process whose lease another one has acquired interrupts itself, and does not change the lease."""
    monkeypatch.setattr(run_leases, "RENEW_SECONDS", SOON_S)
    until = {"$add": ["$$NOW", 60_000]}
    with held_lease(database, RUN), pytest.raises(KeyboardInterrupt):  # noqa: PT012  the interruption comes at the first or second
        database[FLEET].update_one({"_id": f"run:{RUN}"}, [{"$set": {"worker": "another", "expires_at": until}}])
        time.sleep(PATIENCE_S)
    lease = read_lease(database, RUN)
    assert lease is not None
    assert lease.worker == "another"


def test_a_process_keeps_its_run_during_an_outage_of_mongodb(
    database: MongoDatabase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Failed renewals end no run: the lease is renewed after the outage."""
    monkeypatch.setattr(run_leases, "RENEW_SECONDS", SOON_S)
    with held_lease(database, RUN):
        with silent(database, "findAndModify"):
            wait_for(lambda: "is not renewed" in caplog.text)
            before = read_lease(database, RUN)
        wait_for(lambda: read_lease(database, RUN) != before)
