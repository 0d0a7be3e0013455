"""Pictures that a run keeps: those that wait for their upload, as files, and avatars as reference pictures, in memory.

A picture is paid for when it is made, and a death before its upload must not lose it; the database keeps no bytes. So its bytes are
a file of this machine, and its checkpoint says which. A task that is resumed on another machine, or after the folder was lost,
makes its picture again, which counts and costs as a lost call does. Not here: the checkpoints (task_calls.py), the upload
(platform_client.py), and which pictures show whom (tasks/generate_post.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from generia_assets.content.documents import FrozenModel
from generia_assets.content.pictures import Shown
from generia_assets.durable.calls.task_calls import TaskCalls
from resources.cancellation import to_its_end
from resources.gateway.calls import Answer, Api
from resources.gateway.outcomes import RequestFailedError
from resources.images import CheckedImage
from resources.pictures import EXTENSIONS, PictureError, as_jpeg, safe_id, write_whole

logger = logging.getLogger(__name__)

REFERENCES = 100
"""Reference pictures in memory, up to 300 KB each."""


class PendingPicture(FrozenModel):
    """A picture whose bytes are in a file. ``name``: of the file; ``size``: in bytes; width and height in pixels."""

    name: str
    size: int
    sha256: str
    mime: str
    width: int
    height: int
    cost_usd: float
    provider_id: str


class PendingPictures:
    """The folder of one world's pictures on this machine. Reading and writing happen in threads."""

    def __init__(self, root: Path, world_id: str) -> None:
        self.folder = root / safe_id(world_id, "The world id")

    def path(self, picture: PendingPicture) -> Path:
        return self.folder / picture.name

    async def keep(self, key: str, image: CheckedImage) -> PendingPicture:
        """Write the bytes under this key, atomically, also when the caller is cancelled meanwhile: the picture is paid for.

        Raises ``FatalCallError`` when the disk refuses.
        """
        name, sha256 = f"{key}.{EXTENSIONS[image.mime]}", hashlib.sha256(image.data).hexdigest()
        picture = PendingPicture.model_validate({**vars(image), "name": name, "size": len(image.data), "sha256": sha256})
        await to_its_end(asyncio.to_thread(write_whole, self.path(picture), image.data))
        return picture

    async def holds(self, picture: PendingPicture) -> bool:
        return await asyncio.to_thread(self._holds, picture)

    def _holds(self, picture: PendingPicture) -> bool:
        try:
            return hashlib.sha256(self.path(picture).read_bytes()).hexdigest() == picture.sha256
        except OSError:
            return False

    def remove(self, picture: PendingPicture) -> None:
        """Remove the file, in a thread and without waiting for it. What cannot be removed goes at the world's end."""
        asyncio.get_running_loop().run_in_executor(None, self._remove, self.path(picture))

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s cannot be removed: %s", path, error)

    async def remove_all(self) -> None:
        """The world is over: remove what its dead runs left on this machine."""
        await asyncio.to_thread(self._remove_folder)

    def _remove_folder(self) -> None:
        try:
            shutil.rmtree(self.folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            logger.warning("%s cannot be removed: %s", self.folder, error)


class ReferencePictures:
    """The avatars that a run has downloaded from the platform, the latest ones of them."""

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
        while len(self._kept) > REFERENCES:
            self._kept.popitem(last=False)
        return found

    async def _download(self, calls: TaskCalls, media_id: str) -> bytes:
        download = partial(calls.providers.platform.download_media, media_id=media_id)

        async def send() -> Answer[bytes]:
            data = await download()
            return Answer(data, {"bytes": len(data)})

        call = calls.new(Api.PLATFORM, "download_media", {"media_id": media_id}, send)
        return await asyncio.to_thread(as_jpeg, await calls.providers.gateway.call(call, calls.ledger))
