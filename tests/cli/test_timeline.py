"""The order of the world in commands: exports, `show`, `trace` and the lines of `watch`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from generia_assets.cli.texts import TextStream
from tests.support.command import Command
from tests.support.databases import database_with_indexes
from tests.support.pages_world import MadeUp

USERS, POSTS = 4, 20


@pytest.fixture(scope="module")
def database(mongo_client: Any) -> Iterator[Any]:
    with database_with_indexes(mongo_client) as name:
        yield mongo_client[name]


@pytest.fixture
def generia(tmp_path: Path, mongodb_uri: str, database: Any) -> Command:
    return Command(tmp_path / "data", {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": database.name})


@pytest.mark.parametrize("growing", [False, True])
def test_an_export_is_in_the_order_of_the_world(generia: Command, database: Any, tmp_path: Path, growing: bool) -> None:
    """JSON Lines and the book have posts in the order of the timeline, also while the world is made; a reply quotes the post that
    it answers, and each post has one time."""
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
    assert feed.count("/posts/one.png>)") == POSTS  # each post with its own picture


def test_watch_shows_whom_a_reply_answers(database: Any, tmp_path: Path) -> None:
    """The line of a reply names its author and whom it answers, that of another post only its author."""
    world = MadeUp(database, tmp_path / "media", users=USERS, posts=POSTS, word="Gate").begin()
    with closing(TextStream(database, world.world_id)) as stream:
        titles = [text.title for text in stream.new() if text.kind == "post"]
    assert sorted(titles) == sorted(
        f"@person{index % USERS}{f' ↩ @person{(index - 1) % USERS}' if index % 10 in (4, 5, 9) else ''}, Gate day {index // 3}"
        for index in range(POSTS)
    )


def test_a_trace_shows_the_place_in_the_timeline(generia: Command, database: Any, tmp_path: Path) -> None:
    """`trace` shows the place of an idea in the timeline, the heard ideas of a post, and that no call planned a person's only post.
    It does not show fields that an old world did not record."""
    world = MadeUp(database, tmp_path / "media", users=USERS, posts=USERS).make()
    world.trace("c0000-p0000")
    exit_code, out, err = generia.call("trace", world.world_id, "c0000-p0000")
    assert exit_code == 0, err
    for line in ("t: 0", "after: 1", "wish: tortoise", "heard: @person2: a bath", "without a call of the model"):
        assert line in out
    database["tasks"].update_many({"world_id": world.world_id}, {"$unset": {"result.briefs.0.t": 1, "result.briefs.0.wish": 1}})
    _, out, _ = generia.call("trace", world.world_id, "c0000-p0000")
    assert "t: 0" not in out and "wish:" not in out and "without a call of the model" not in out
