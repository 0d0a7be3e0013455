"""What the commands tell of the order of the world: exports, `show`, `trace` and the lines of `watch`."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from generia_assets.cli.texts import TextStream
from tests.support.command import Command
from tests.support.pages_world import MadeUp

USERS, POSTS = 4, 20


@pytest.fixture(scope="module")
def database(mongo_client: Any) -> Iterator[Any]:
    name = f"test_timeline_{time.monotonic_ns()}"
    yield mongo_client[name]
    mongo_client.drop_database(name)


@pytest.fixture
def generia(tmp_path: Path, mongodb_uri: str, database: Any) -> Command:
    return Command(tmp_path / "data", {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": database.name})


@pytest.mark.parametrize("growing", [False, True])
def test_an_export_is_in_the_order_of_the_world(generia: Command, database: Any, tmp_path: Path, growing: bool) -> None:
    """Posts in JSON Lines and in the book come one after another as the world lived them, of a world in the making too; a reply
    quotes whom it answers, and no post has two times."""
    world = MadeUp(database, tmp_path / "media", users=USERS, posts=POSTS, word="Gate")
    world = world.begin() if growing else world.make()
    exit_code, _, err = generia.call("export", world.world_id, "--folder", str(tmp_path / "x"))
    assert exit_code == 0, err
    expected = [world.post_key(index) for index in range(POSTS)]
    for section in ("posts", "post-images"):
        exported = [json.loads(line) for line in (tmp_path / "x" / f"{section}.jsonl").read_text().splitlines()]
        assert [one["key"] for one in exported] == expected
        assert [one["t"] for one in exported] == list(range(POSTS))
    book = (tmp_path / "x" / "world.md").read_text()
    feed = book.partition("## The feed")[2]
    assert re.findall(r"^\*\*Gate Person \d\*\* @person\d · Gate day \d+ · Gate · `(\S+)`$", feed, re.MULTILINE) == expected
    quoted = re.findall(r"^> ↩ \*\*Gate Person (\d)\*\* @person\d, `(\S+)`: Gate", feed, re.MULTILINE)
    assert [key for _, key in quoted] == [world.post_key(index - 1) for index in range(POSTS) if index % 10 in (4, 5, 9)]
    assert feed.count("/posts/one.png>)") == POSTS  # each with its own picture


def test_who_watches_sees_who_answers_whom(database: Any, tmp_path: Path) -> None:
    """A reply's line names its author and whom it answers; another post's its author alone."""
    world = MadeUp(database, tmp_path / "media", users=USERS, posts=POSTS, word="Gate").begin()
    with closing(TextStream(database, world.world_id)) as stream:
        titles = [text.title for text in stream.new() if text.kind == "post"]
    assert sorted(titles) == sorted(
        f"@person{index % USERS}{f' ↩ @person{(index - 1) % USERS}' if index % 10 in (4, 5, 9) else ''}, Gate day {index // 3}"
        for index in range(POSTS)
    )


def test_a_trace_tells_the_place_in_time(generia: Command, database: Any, tmp_path: Path) -> None:
    """Of an idea its place in the order of the world, of a post what was heard; of a person's only post that no call planned it.
    What an old world did not record is not shown."""
    world = MadeUp(database, tmp_path / "media", users=USERS, posts=USERS).make()
    world.trace("c0000-p0000")
    exit_code, out, err = generia.call("trace", world.world_id, "c0000-p0000")
    assert exit_code == 0, err
    for line in ("t: 0", "after: 1", "wish: tortoise", "heard: @person2: a bath", "without a call of the model"):
        assert line in out
    database["tasks"].update_many({"world_id": world.world_id}, {"$unset": {"result.briefs.0.t": 1, "result.briefs.0.wish": 1}})
    _, out, _ = generia.call("trace", world.world_id, "c0000-p0000")
    assert "t: 0" not in out and "wish:" not in out and "without a call of the model" not in out
