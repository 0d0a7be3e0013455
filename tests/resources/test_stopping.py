"""Ending a task for certain."""

import asyncio

from resources.cancellation import cancel_and_wait


async def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same():
    """However often the cancellation is lost on the way, ``cancel_and_wait`` returns when the task has ended."""
    lost = 0

    async def deaf():
        nonlocal lost
        for _ in range(3):
            try:
                await asyncio.sleep(3)
            except asyncio.CancelledError:
                lost += 1
        await asyncio.sleep(3)

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    await asyncio.wait_for(cancel_and_wait(task), timeout=5)
    assert task.cancelled()
    assert lost == 3
