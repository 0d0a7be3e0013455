"""Reliable cancellation of asyncio tasks.

On Python 3.11 ``asyncio.wait_for``, which pymongo uses for each write, swallows a cancellation that arrives just as the write is
done (fixed in 3.12): a caller that cancels once and then awaits the task may wait for ever.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")

AGAIN_SECONDS = 0.1
"""How long a cancelled task may take before it is cancelled again."""


async def cancel_and_wait(task: asyncio.Future[Any]) -> None:
    """Cancel the task repeatedly until it has ended. Its errors are not raised here; a cancellation of the caller is."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=AGAIN_SECONDS)
    if not task.cancelled():
        task.exception()  # retrieved, so that asyncio does not warn about it


async def to_its_end(work: Awaitable[ResultT]) -> ResultT:
    """Await this, also when the caller is cancelled meanwhile. ``raise_if_cancelled`` raises that cancellation then."""
    working = asyncio.ensure_future(work)
    while not working.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({working})
    return working.result()


class ReliableTaskGroup(asyncio.TaskGroup):
    """A task group that ends: when one of its tasks fails, the others are cancelled repeatedly. ``TaskGroup`` cancels them once."""

    def _abort(self) -> None:
        super()._abort()  # type: ignore[misc]  # private: tests/resources/test_stopping.py fails if it is called differently
        if self._tasks:
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._abort)


def raise_if_cancelled() -> None:
    """Raise ``CancelledError`` if this task has an unhandled cancellation. Call it before critical steps and in endless loops."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
