"""The worker of a step when signals interrupt Dagster's thread: work is cancelled, and the world's terminal state is recorded
once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Awaitable, Iterator
from concurrent.futures import Future
from typing import Any, cast

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from generia_assets.assets.worker import Worker
from resources.tracing import Span
from tests.support.waiting import PATIENCE_S


class Session:
    """A minimal session of a world: it executes the work, without a trace."""

    span = Span("run", {})

    async def work(self, work: Awaitable[str]) -> str:
        return await work


@pytest.fixture
def worker() -> Iterator[Worker]:
    async def opened() -> Any:
        return Session()

    with start_blocking_portal() as portal:
        yield Worker(portal, opened)


@pytest.fixture
def interrupted() -> Iterator[threading.Event]:
    """Set when SIGINT has interrupted the main thread."""
    event = threading.Event()

    def interrupt(*_: object) -> None:
        event.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    yield event
    signal.signal(signal.SIGINT, before)


def waits_for_the_result() -> bool:
    """Whether the main thread waits for the worker's result (and no longer for its start)."""
    frame, inner = sys._current_frames().get(threading.main_thread().ident or 0), None
    while frame is not None and frame.f_code is not Worker._wait.__code__:
        frame, inner = frame.f_back, frame
    return inner is not None and inner.f_code is Future.result.__code__


async def until_interrupted(interrupted: threading.Event, outlast_s: float) -> None:
    """Send the signal to the waiting thread, and continue for this long after it has received it."""
    while not waits_for_the_result():  # noqa: ASYNC110  nobody tells of it
        await anyio.sleep(0.01)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    await anyio.to_thread.run_sync(interrupted.wait, PATIENCE_S)
    await anyio.sleep(outlast_s)


def test_a_signal_cancels_the_work_and_waits_until_it_has_stopped(worker: Worker, interrupted: threading.Event) -> None:
    """When the interruption is raised, all work has ended."""
    ended: list[str] = []

    async def work(_: object) -> None:
        try:
            await until_interrupted(interrupted, PATIENCE_S)
            ended.append("done")
        finally:
            ended.append("stopped")

    with pytest.raises(KeyboardInterrupt):
        worker.run(work)
    assert ended == ["stopped"]


def test_a_second_signal_does_not_prevent_recording_the_terminal_state(worker: Worker, interrupted: threading.Event) -> None:
    """The code that catches the interruption finds the terminal state recorded, and need not record it again."""
    said: list[str] = []

    async def word(_: object) -> None:
        await until_interrupted(interrupted, 0.2)
        said.append("interrupted")

    worker.session = cast("Any", Session())
    with pytest.raises(KeyboardInterrupt):
        worker.record(word)
    assert said == ["interrupted"]
