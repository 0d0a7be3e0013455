"""Pictures that wait for their upload: their bytes are files of this machine, their checkpoints say which files.

Here: the folder of one world's pictures. A picture is paid for when it is made, and a death before its upload must not lose it; the
database keeps no bytes. A task that is resumed on another machine, or after the folder was lost, makes its picture again, which
counts and costs as a lost call does. Not here: the checkpoints (task_calls.py), and the upload (platform_client.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from resources.images import CheckedImage
from resources.pictures import EXTENSIONS, safe_id, write_whole

logger = logging.getLogger(__name__)


class PendingPicture(BaseModel):
    """A picture whose bytes are in a file. ``name``: of the file; ``size``: in bytes; width and height in pixels."""

    model_config = ConfigDict(frozen=True)

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
        """The picture's file."""
        return self.folder / picture.name

    async def keep(self, key: str, image: CheckedImage) -> PendingPicture:
        """Write the bytes under this key, atomically. Raises ``FatalCallError`` when the disk refuses."""
        picture = PendingPicture(
            name=f"{key}.{EXTENSIONS[image.mime]}",
            size=len(image.data),
            sha256=hashlib.sha256(image.data).hexdigest(),
            mime=image.mime,
            width=image.width,
            height=image.height,
            cost_usd=image.cost_usd,
            provider_id=image.provider_id,
        )
        await asyncio.to_thread(write_whole, self.path(picture), image.data)
        return picture

    async def holds(self, picture: PendingPicture) -> bool:
        """Whether the file is here with the bytes that were written."""
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
