"""A folder for a world's pictures, under names that tell what they show (R14: images land in a folder on the host).

Here: copying them as they are made: ``header``, ``icon``, ``avatars/c0007``, ``posts/c0007-p0003``. Not here: where the platform
keeps them (resources/media_files.py).
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from generia_assets.cli.console import CommandError, short
from generia_assets.cli.texts import Picture, Text


class PictureFolder:
    """Copies pictures into ``folder/WORLD``. Local ones only; what is elsewhere stays there, and is named by its address."""

    def __init__(self, folder: Path, world_id: str, data_dir: Path) -> None:
        """``data_dir``: where this machine's platform keeps its media. Raises ``CommandError`` if nothing can be written."""
        self._folder = folder.absolute() / world_id
        self._data_dir = data_dir.absolute()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"--images {folder}: {error.strerror}; give a folder that can be written", 2) from None

    def kept(self, texts: list[Text]) -> list[Text]:
        """The texts; each picture among them is copied, and says where it lies now."""
        return [self._kept(text) if text.pictures else text for text in texts]

    def copy(self, picture: Picture) -> str:
        """Where the picture lies now: a path, or its address where it is not on this machine."""
        source = (self._data_dir / picture.url).resolve()
        if not source.is_relative_to(self._data_dir.resolve()) or not source.is_file():
            return picture.url
        target = self._folder / f"{picture.name}{source.suffix}"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)
        return str(short(target))

    def _kept(self, text: Text) -> Text:
        return replace(text, body="  ".join(self.copy(picture) for picture in text.pictures))


def without_pictures(texts: list[Text]) -> list[Text]:
    """The texts that are to be read."""
    return [text for text in texts if not text.pictures]
