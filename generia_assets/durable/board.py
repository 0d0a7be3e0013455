"""The board: the state of the breakers where people can see it (collection ``fleet``, documents ``breaker:llm`` and so on).

Here: writing a change down. A board that cannot be written is no reason to stop anything; it is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from resources.breaker import BreakerState
from resources.mongo import MongoDocument
from resources.outside import Api

logger = logging.getLogger(__name__)


class Board:
    """One process's pen on the board. Make it on the event loop; ``aclose`` waits for what is being written."""

    def __init__(self, fleet: AsyncCollection[MongoDocument], run_id: str) -> None:
        self._fleet = fleet
        self._run_id = run_id
        self._writing: set[asyncio.Task[None]] = set()

    def breaker(self, api: Api) -> Callable[[BreakerState], None]:
        """What to tell this API's breaker changes to."""

        def changed(state: BreakerState) -> None:
            task = asyncio.create_task(self._write(api, state), name=f"board:{api}")
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

        return changed

    async def aclose(self) -> None:
        """Finish writing."""
        await asyncio.gather(*self._writing)

    async def _write(self, api: Api, state: BreakerState) -> None:
        entry = {"state": state.value, "since": datetime.now(UTC), "run_id": self._run_id}
        try:
            await self._fleet.update_one({"_id": f"breaker:{api.value}"}, {"$set": entry}, upsert=True)
        except PyMongoError as error:
            logger.warning("breaker %s is %s, but the board cannot be written (%s)", api, state, type(error).__name__)
