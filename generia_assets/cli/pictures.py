"""A folder for a world's pictures, under names that tell what they show (R14: images land in a folder on the host).

Here: copying them as they are made: ``header``, ``icon``, ``avatars/c0007``, ``posts/c0007-p0003``. Not here: where the platform
keeps them (resources/platform/media_files.py).
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from generia_assets.cli.console import CommandError, short
from generia_assets.cli.texts import PictureView, Text


class PictureFolder:
    """Copies pictures into ``folder/WORLD``. Local ones only; what is elsewhere stays there, and is named by its address."""

    def __init__(self, folder: Path, world_id: str | None, data_dir: Path) -> None:
        """``world_id`` None: the folder is this world's alone. ``data_dir``: where this machine's platform keeps its media.

        Raises ``CommandError`` if nothing can be written.
        """
        self._folder = folder.absolute() / (world_id or "")
        self.copied = 0
        self._data_dir = data_dir.absolute()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"--images {folder}: {error.strerror}; give a folder that can be written", 2) from None

    def kept(self, texts: list[Text]) -> list[Text]:
        """The texts; each picture among them is copied, and says where it lies now."""
        return [self._kept(text) if text.pictures else text for text in texts]

    def path(self, picture: PictureView) -> Path | None:
        """Where the picture's copy lies, made if need be; None where it is not on this machine."""
        source = (self._data_dir / picture.url).resolve()
        if not source.is_relative_to(self._data_dir.resolve()) or not source.is_file():
            return None
        target = self._folder / f"{picture.name}{source.suffix}"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)
        self.copied += 1
        return target

    def _kept(self, text: Text) -> Text:
        places = (self.path(picture) for picture in text.pictures)
        return replace(text, body="  ".join(str(short(place)) for place in places if place) or text.body)


def without_pictures(texts: list[Text]) -> list[Text]:
    """The texts that are to be read."""
    return [text for text in texts if not text.pictures]
