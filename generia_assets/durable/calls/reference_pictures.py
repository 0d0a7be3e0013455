"""Avatars as reference pictures: downloaded from the platform, and kept for the other pictures that show the same people.

Here: the pictures in memory of one run. Not here: which pictures show whom (tasks/generate_post.py), and what the prompt says of
reference pictures (content/pictures.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

from generia_assets.content.pictures import Shown
from generia_assets.durable.calls.task_calls import TaskCalls
from resources.gateway.calls import Answer, Api
from resources.gateway.outcomes import RequestFailedError
from resources.pictures import PictureError, as_jpeg

logger = logging.getLogger(__name__)

KEPT = 100
"""Pictures in memory, up to 300 KB each."""


class ReferencePictures:
    """The avatars that a run has downloaded, the latest ones of them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._missing: set[str] = set()
        """Media ids of those that cannot be had: no later picture waits for them again."""

    async def load(self, calls: TaskCalls, people: Sequence[Shown]) -> list[tuple[Shown, bytes]]:
        """The pictures of these people; one that cannot be had is left out, since the look in words still says who it is."""
        found = []
        for one in people:
            if one.media_id in self._missing:
                continue
            try:
                data = self._kept.get(one.media_id) or await self._download(calls, one.media_id)
            except (RequestFailedError, PictureError) as error:
                logger.warning("pictures are made without the reference picture %s: %s", one.media_id, error)
                self._missing.add(one.media_id)
                continue
            self._kept[one.media_id] = data
            self._kept.move_to_end(one.media_id)
            found.append((one, data))
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found

    async def _download(self, calls: TaskCalls, media_id: str) -> bytes:
        download = partial(calls.providers.platform.download_media, media_id=media_id)

        async def send() -> Answer[bytes]:
            data = await download()
            return Answer(data, {"bytes": len(data)})

        call = calls.new(Api.PLATFORM, "download_media", {"media_id": media_id}, send)
        return await asyncio.to_thread(as_jpeg, await calls.providers.gateway.call(call, calls.ledger))
