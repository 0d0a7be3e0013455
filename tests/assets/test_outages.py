"""A short outage of MongoDB between the steps of a run, and while the run stores its results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from generia_assets.durable.status import State
from resources.mongodb import connection as mongo
from tests.support.slots_tools import MongoWay
from tests.support.worlds_in_process import POSTS, USERS, Worlds, worlds_in_process

OUTAGE_SECONDS = 2.5
PATIENCE_OF_THE_DRIVER_MS = 1_000
"""So short that the outage is longer than any operation of the driver, which would otherwise be repeated by it for 20 s."""


class Seam(CommandListener):
    """Starts the outage once, after a write that contains ``words`` (``committed``: after the commit of its transaction)."""

    def __init__(self, words: str, begin: Callable[[], None], *, committed: bool) -> None:
        self._words = words
        self._begin = begin
        self._committed = committed
        self._seen: int | None = None
        self.passed = False

    def started(self, event: CommandStartedEvent) -> None:
        if not self.passed and event.command_name in ("update", "findAndModify") and self._words in str(event.command):
            self._seen = event.request_id

    def succeeded(self, event: CommandSucceededEvent) -> None:
        done = event.command_name == "commitTransaction" if self._committed else event.request_id == self._seen
        if self._seen is not None and done and not self.passed:
            self.passed = True
            self._begin()

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing began."""


@contextmanager
def a_way(uri: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """A second address of this MongoDB, and a function that makes it unavailable for a while."""
    timers = []
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(MongoWay(uri)) as way:

        def go_away() -> None:
            portal.call(way.close)
            timers.append(threading.Timer(OUTAGE_SECONDS, portal.call, (way.open,)))
            timers[-1].start()

        try:
            yield way.uri, go_away
        finally:
            for timer in timers:
                timer.join()


@pytest.mark.parametrize(
    ("words", "committed"),
    [
        ("seam:world_request", False),
        ("seam:world_parameters", False),
        ("'current_stage': 'finishing'", True),
        ("seam:characters", False),
        ("seam:post_images", False),
    ],
    ids=["after the order", "after the description", "before the results are handed over", "between two results", "at the end"],
)
def test_a_short_outage_of_mongodb_between_two_steps_is_waited_for(
    tmp_path: Path, mongodb_uri: str, broker: str, gemini: str, monkeypatch: pytest.MonkeyPatch, words: str, committed: bool
) -> None:
    """At any moment of the run, the same run completes the world; no attempt is used and nobody has to resume it."""
    options = mongo._options()
    monkeypatch.setattr(mongo, "CONNECT_TIMEOUT_MS", PATIENCE_OF_THE_DRIVER_MS)
    with (
        a_way(mongodb_uri) as (uri, go_away),
        worlds_in_process(tmp_path, mongodb_uri=mongodb_uri, broker=broker, gemini=gemini) as seen,
    ):
        seam = Seam(words, go_away, committed=committed)
        hasty = {"timeoutMS": PATIENCE_OF_THE_DRIVER_MS, "serverSelectionTimeoutMS": PATIENCE_OF_THE_DRIVER_MS}
        monkeypatch.setattr(mongo, "_options", lambda: {**options, **hasty, "event_listeners": [seam]})
        through = Worlds(seen.settings.model_copy(update={"mongodb_uri": type(seen.settings.mongodb_uri)(uri)}), uri, "")
        _, made = through.make("seam")
        through.client.close()
        through.instance.dispose()
        assert made.success, made.failure
        assert seam.passed
        status = seen.status("seam")
        assert (status.status, status.users_created, status.posts_created) == (State.COMPLETED, USERS, POSTS)
        assert status.tasks_failed == 0
        assert {task["attempt_count"] for task in seen.database["tasks"].find({"world_id": "seam"})} == {1}
