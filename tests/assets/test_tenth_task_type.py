"""A tenth task type is one row of the catalogue, one file in tasks/ and one template; no other place names it.

The tests share a product: a copy of ``generia_assets`` with such rows, files and templates added.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest
import requests

ROOT = Path(__file__).parents[2]
ROW = """
    {constant} = AssetSpec(
        task_name="{task}",
        name="{name}",
        unit=Unit.{unit},
        upstream=({upstream}),
        per="{per}",
        stage="{stage}",
        llm_calls=(LlmCall("{name}", 4_000, 100),),
        description="A song for each of {per}.",
        content_files=(*_OF_A_WORLD, "prompts/{name}.j2"),
        shown=("title",),
    )
"""
TASK = '''
    """Task type ``{task}``: a song. One call."""

    from generia_assets.content.documents import Document, WorldDescription, WorldRequest
    from generia_assets.content.drafts import Draft
    from generia_assets.content.prompt import ask
    from generia_assets.tasks.clients import TaskClients
    from generia_assets.tasks.task_definition import TaskParameters, durable_task


    class SongDraft(Draft):
        title: str
        refrain: str


    class Song(Document):
        title: str
        refrain: str
        of: str


    @durable_task
    async def {task}(
        parameters: TaskParameters, clients: TaskClients, request: WorldRequest, world: WorldDescription{argument}
    ) -> Song:
        """Ask for a song."""
        draft = await clients.text.write(ask(request, world, "{name}", SongDraft, 1_000, of={of}), SongDraft)
        return Song(key=parameters.key, of={of}, **draft.model_dump())
'''
TEMPLATE = "Write a song for {{ of }} of {{ world.name }}: a title, and a refrain of one line.\n"
UNITS = {
    "world_description": ("WORLD", "world_image"),
    "character_briefs": ("PERSON", "characters"),
    "characters": ("PERSON", "characters"),
    "character_avatars": ("PERSON", "characters"),
    "post_briefs": ("POST", "posts"),
    "posts": ("POST", "posts"),
    "post_images": ("POST", "posts"),
}


def song_of(per: str) -> str:
    """The name of the asset that is made once for each document of this one."""
    return f"songs_of_{per}"


def product_with(folder: Path, *pers: str) -> Path:
    """A copy of the product that has a song for each document of these assets."""
    shutil.copytree(ROOT / "generia_assets", folder / "generia_assets")  # with its bytecode: compiling takes seconds
    product, rows = folder / "generia_assets", ""
    for per in pers:
        unit, stage = UNITS[per]
        names = {"task": f"generate_song_of_{per}", "name": song_of(per), "per": per, "unit": unit, "stage": stage}
        upstream = '"world_request", "world_description"' + (f', "{per}"' if per != "world_description" else "")
        rows += ROW.format(**names, constant=names["task"].upper(), upstream=upstream)
        of_world = per == "world_description"
        code = dedent(TASK).format(
            **names,
            argument="" if of_world else ", document: Document",
            of="world.key" if of_world else "document.key",
        )
        (product / "tasks" / f"{names['task']}.py").write_text(code.lstrip(), encoding="utf-8")
        (product / "content" / "prompts" / f"{names['name']}.j2").write_text(TEMPLATE, encoding="utf-8")
    catalogue = product / "catalog.py"
    before, mark, after = catalogue.read_text(encoding="utf-8").partition("\n\nASSETS: ")
    catalogue.write_text(before.rstrip() + "\n" + indent(dedent(rows), "    ") + mark + after, encoding="utf-8")
    return folder


def world_of(product: Path, *servers: str) -> dict[str, Any]:
    """All outputs of a small world of this product."""
    path = os.pathsep.join(map(str, (product, ROOT)))
    script = [sys.executable, str(ROOT / "tests" / "support" / "tenth_world.py"), str(product / "home"), *servers]
    ended = subprocess.run(
        script, env={**os.environ, "PYTHONPATH": path}, cwd=product, capture_output=True, text=True, timeout=200, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return report


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, mongodb_uri: str, broker: str, gemini_process: str) -> dict[str, Any]:
    """A world of a product that has such a row, file and template for each of ``UNITS``."""
    requests.post(f"{gemini_process}/emulator/reset", timeout=60).raise_for_status()
    return world_of(product_with(tmp_path_factory.mktemp("product"), *UNITS), mongodb_uri, broker, gemini_process)


def test_a_tenth_task_type_is_planned_quoted_run_and_shown_everywhere(found: dict[str, Any]) -> None:
    """A song for each person: in the plan, the quote, the status, MongoDB, the lineage, the figures, a trace and the commands."""
    name, task = song_of("characters"), "generate_song_of_characters"
    assert found["planned"] == found["tasks"]
    assert found["planned"][task] == 3
    assert found["predicted"] == found["completed"] == sum(found["planned"].values())
    assert set(found["stages"].values()) == {"completed"}
    songs = found["documents"][name]
    assert [song["key"] for song in songs] == [song["of"] for song in songs] == ["c0000", "c0001", "c0002"]
    assert all(song["title"] and song["refrain"] for song in songs)
    assert found["lineage"][name] == ["characters", "world_description", "world_request"]
    assert {"failed_tasks", "llm_calls", "results", "sample"} <= set(found["metadata"][name])
    assert not found["checks"]
    calls = sum(found["planned"][other] for other in found["planned"] if _asks(other)) - _alone(found)
    assert found["quote"]["llm_calls"] - calls in (-2, -1, 0, 1, 2), "another world's shares may plan one post alone more or less"
    assert found["calls"]["made"] <= found["calls"]["limit"]
    figures = {row["task_type"]: row for row in found["stats"]["tasks"]}
    assert (figures[task]["tasks"], figures[task]["completed"], figures[task]["calls"]) == (3, 3, 3)
    assert found["show"]["songs-of-characters"] == 3
    assert [song["key"] for song in found["shown"][name]] == ["c0000", "c0001", "c0002"]
    assert sum(f".{name}." in file for file in found["prompts"]) == 3
    (step,) = (step for step in found["trace"]["steps"] if step["task_type"] == task)
    assert (step["name"], step["made"]["of"]) == ("songs of characters", "c0000")
    assert found["again"][task] == 3
    assert set(found["again"]) == {f"generate_song_of_{per}" for per in UNITS}, "materialized again, they alone are made"


def test_a_task_type_can_follow_each_document_of_any_asset(found: dict[str, Any]) -> None:
    """There is a song for the world, each concept, person, avatar, idea, post and published post, in one run, and each can be made
    again alone."""
    for per in UNITS:
        keys = [document["key"] for document in found["documents"][per]]
        assert [song["of"] for song in found["documents"][song_of(per)]] == keys, per
        assert found["again"][f"generate_song_of_{per}"] == len(keys), per
    assert not found["checks"]
    assert found["planned"] == found["tasks"]


def _asks(task: str) -> bool:
    return task not in ("init_world_creation", "generate_character_avatar", "generate_post_image")


def _alone(found: Mapping[str, Any]) -> int:
    return sum(person["posts_count"] == 1 for person in found["documents"]["characters"])
