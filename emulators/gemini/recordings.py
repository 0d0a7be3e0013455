"""Recorded answers: the answers of a whole world, written by hand, which are replayed for the one order that they belong to.

Here: the folders, which recording a request belongs to, and which answer is at its position. Not here: the answer if none fits
(writing/).

A recording is a folder in ``recorded/``: ``order.json`` and a file for each answer, named by the position of its request:
``world_description.json``, ``world_images.json``, ``character_batch.0.json``, ``character.@mira.json``,
``post_batch.@mira.0.json``, ``post.@mira.3.json`` (the third post of @mira). It is the folder that ``generia prompts --answers``
reads; ``python -m emulators.gemini.recordings FOLDER NAME --prompt … --users … --posts … --seed … --code …`` records one.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from emulators.gemini.api.schema import Schema, fits
from emulators.gemini.writing.item import BATCH
from emulators.gemini.writing.scene import Scene

FOLDER = Path(__file__).parent / "recorded"
ORDER = "order.json"
_POSITION = re.compile(r"world_description|world_images|character_batch\.\d+|character\.@\w+|post_batch\.@\w+\.\d+|post\.@\w+\.\d+")


class RecordingError(Exception):
    """A recording cannot be used; the message names the file and says why."""


class RecordingOrder(BaseModel):
    """The order a recording answers: ``order.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = Field(min_length=1, description="the user's sentence")
    users: int = Field(ge=1)
    posts: int = Field(ge=0)
    seed: int = Field(ge=0, description="what the world is drawn from")
    code: str = Field(pattern="^[0-9a-f]{8}$", description="the code of the world's tags, which its requests carry")


@dataclass(frozen=True)
class Recording:
    """A folder of answers. The answers are read when they are asked for."""

    order: RecordingOrder
    folder: Path
    _read: dict[str, JsonValue] = field(default_factory=dict)

    @cached_property
    def positions(self) -> frozenset[str]:
        """The positions that have an answer."""
        return frozenset(path.stem for path in self.folder.glob("*.json") if path.name != ORDER)

    def answer(self, position: str) -> JsonValue:
        """The answer at this position. Raises ``RecordingError`` for a file that holds no JSON object."""
        if position not in self._read:
            path = self.folder / f"{position}.json"
            try:
                self._read[position] = json.loads(path.read_text("utf-8"))
            except (OSError, ValueError) as error:
                raise RecordingError(f"{path}: {error}") from None
            if not isinstance(self._read[position], dict):
                raise RecordingError(f"{path}: must hold one JSON object, the answer")
        return self._read[position]


@cache
def recordings(folder: Path = FOLDER) -> dict[tuple[str, str], Recording]:
    """All recordings by their user's sentence and code. Only the orders are read, and the names of the files.

    Raises ``RecordingError``: an order that cannot be read, a file whose name is no position, two recordings of one order.
    """
    found: dict[tuple[str, str], Recording] = {}
    for path in sorted(folder.glob(f"*/{ORDER}")):
        try:
            order = RecordingOrder.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise RecordingError(f"{path}: {error}") from None
        recording = Recording(order, path.parent)
        if strange := sorted(name for name in recording.positions if not _POSITION.fullmatch(name)):
            raise RecordingError(f"{path.parent}: no request is named {', '.join(strange)}")
        key = (_words(order.prompt), order.code)
        if key in found:
            raise RecordingError(f"{path.parent} and {found[key].folder} answer the same order")
        found[key] = recording
    return found


def position_of(scene: Scene, schema: Schema) -> str:
    """The position of a request in its world, which names the file of its answer; '' if it has none. Requests that do not belong to
    a new world have none (a person or a post made again), nor have requests after a refusal.
    """
    asked, fields = scene.asked, schema.get("properties")
    names = frozenset(fields) if isinstance(fields, dict) else frozenset()
    if asked.block("former") or "refused by moderation" in asked.text:
        return ""
    if {"wishes", "calendar"} <= names:
        return "world_description"
    if "header_prompt" in names:
        return "world_images"
    if "people" in names:
        return f"character_batch.{asked.existing // BATCH}"
    if "story" in names and scene.person:
        return f"character.@{scene.own_handle}"
    if "ideas" in names and scene.person and asked.posts:
        return f"post_batch.@{scene.own_handle}.{asked.posts[0].order // BATCH}"
    if "content" in names and scene.person and len(asked.posts) == 1:
        return f"post.@{scene.own_handle}.{asked.posts[0].order + 1}"
    return ""


def recorded_answer(scene: Scene, schema: Schema, folder: Path = FOLDER) -> tuple[str, JsonValue, bool]:
    """(position, recorded answer, whether it fits the schema) of a request; ('', None, False) if nothing is recorded.

    Raises ``RecordingError`` for a file that cannot be read.
    """
    recording = recordings(folder).get((_words(scene.own), scene.code))
    position = position_of(scene, schema) if recording else ""
    if recording is None or position not in recording.positions:
        return "", None, False
    if not _is_this_world(scene, recording, position):
        return "", None, False
    answer = recording.answer(position)
    return position, answer, fits(answer, schema)


def _is_this_world(scene: Scene, recording: Recording, position: str) -> bool:
    """Whether the request is of this order and not of another one with the same sentence and seed: by the counts where the world is
    described (the first two numbers after the sentence), later by the world's name.
    """
    if position == "world_description":
        numbers = re.findall(r"\b\d+\b", scene.item.partition(f"</user-sentence-{scene.code}>")[2])
        return numbers[:2] == [str(recording.order.users), str(recording.order.posts)]
    if "world_description" not in recording.positions:
        return True
    world = recording.answer("world_description")
    return isinstance(world, dict) and str(world.get("name")) in scene.text


def check(folder: Path = FOLDER) -> int:
    """Read all files; return the number of answers. Raises ``RecordingError``."""
    return sum(1 for recording in recordings(folder).values() for position in recording.positions if recording.answer(position))


def _words(sentence: str) -> str:
    return " ".join(sentence.split())


def main() -> None:
    """Copy a folder of answers into the recordings, with its order."""
    parser = argparse.ArgumentParser(prog="python -m emulators.gemini.recordings", description="Record answers for one order.")
    parser.add_argument("answers", type=Path, help="folder with a file for each answer, as `generia prompts --answers` reads it")
    parser.add_argument("name", help="name of the recording")
    parser.add_argument("--prompt", required=True, help="the user's sentence")
    for name in ("users", "posts", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument(
        "--code", required=True, help="eight hexadecimal digits: the end of the tag <user-sentence-…> in the requests"
    )
    parser.add_argument("--into", type=Path, default=FOLDER, help="folder of all recordings")
    given = parser.parse_args()
    try:
        order = RecordingOrder(prompt=given.prompt, users=given.users, posts=given.posts, seed=given.seed, code=given.code)
        target = given.into / given.name
        shutil.copytree(
            given.answers, target, dirs_exist_ok=True, ignore=lambda _, names: [n for n in names if not n.endswith(".json")]
        )
        (target / ORDER).write_text(order.model_dump_json(indent=1) + "\n", "utf-8")
        recordings.cache_clear()
        count = check(given.into)
    except (OSError, ValidationError, RecordingError) as error:
        parser.error(str(error))
    print(f"{target}; {count} answers in all recordings")  # noqa: T201  the command's result


if __name__ == "__main__":
    main()
