"""Ending an asyncio task for certain.

Here: ``cancel_and_wait`` for who ends a task, ``raise_if_cancelled`` for the task that is ended. On Python 3.11
``asyncio.wait_for``, which pymongo uses for each write, swallows a cancellation that arrives just as the write is done (mended in
3.12): whoever cancels once and then awaits may wait for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_SECONDS = 0.1
"""How long a cancelled task may take before it is cancelled again."""


async def cancel_and_wait(task: asyncio.Future[Any]) -> None:
    """Cancel the task until it has ended. What it raised is not raised here; being cancelled meanwhile is."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=AGAIN_SECONDS)
    if not task.cancelled():
        task.exception()  # seen: asyncio need not warn about it


def raise_if_cancelled() -> None:
    """End this task if it was cancelled and has not noticed: before what must not be done then, and in every endless loop."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
