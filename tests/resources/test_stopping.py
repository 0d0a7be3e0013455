"""Ending tasks reliably, although cancellations can be lost."""

import asyncio

import pytest

from resources.cancellation import ReliableTaskGroup, cancel_and_wait

LOST = 3


async def deaf(lost: list[int]) -> None:
    """A task that swallows its first cancellations, as ``asyncio.wait_for`` of Python 3.11 may, and then waits for nothing."""
    while len(lost) < LOST:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            lost.append(1)
    await asyncio.Event().wait()


async def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same() -> None:
    """``cancel_and_wait`` returns when the task has ended."""
    lost: list[int] = []
    task = asyncio.create_task(deaf(lost))
    await asyncio.sleep(0)
    await asyncio.wait_for(cancel_and_wait(task), timeout=60)
    assert task.cancelled()
    assert len(lost) == LOST


@pytest.mark.parametrize("cancelled", [False, True], ids=["a task fails", "the group is cancelled"])
async def test_a_task_group_ends_though_a_task_swallows_its_cancellation(cancelled: bool) -> None:
    """The group ends with the failure of one of its tasks, or with its own cancellation, when all others have ended."""
    lost: list[int] = []

    async def fails() -> None:
        if not cancelled:
            raise LookupError

    async def group() -> None:
        async with ReliableTaskGroup() as tasks:
            tasks.create_task(deaf(lost))
            tasks.create_task(fails())

    running = asyncio.create_task(group())
    await asyncio.sleep(0)
    if cancelled:
        running.cancel()
    done, _ = await asyncio.wait({running}, timeout=60)
    assert done, "the group waits for ever"
    assert len(lost) == LOST
    if cancelled:
        assert running.cancelled()
    else:
        assert isinstance(running.exception(), ExceptionGroup)
