"""The documentation of messages: schemas, examples, bounds."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from generia_assets.catalog import TaskType
from generia_assets.content.documents import Media, Post, PostImage
from generia_assets.durable.events.events import (
    EVENTS,
    LONGEST_TEXT,
    Failed,
    LiveEvent,
    PostPublished,
    character_created,
    post_published,
)
from generia_assets.durable.events.outbox import in_its_place
from generia_assets.durable.orders.order import Order
from generia_assets.durable.status import new_status
from generia_assets.schemas import DIRECTORY, schemas, text
from sensors.messages import read_message
from tests.support.worlds import a_character, a_request

RECORD = new_status("w1", {}, users=1, posts=1) | {"generation": "g1", "owner": {"run_id": "r1"}, "name": "not in the event"}
DOCUMENTED = Path(__file__).parents[2] / "docs" / "events.md"
EXAMPLES: list[dict[str, Any]] = [
    json.loads(block) for block in re.findall(r"```json\n(.*?)```", DOCUMENTED.read_text(encoding="utf-8"), re.DOTALL)
]
PROGRESS: Any = schemas()["generia-progress.v1.json"]


@pytest.mark.parametrize("name", schemas())
def test_the_schemas_in_docs_are_those_of_the_models(name: str) -> None:
    """After a change of a message, `make schemas` writes its schema."""
    assert (DIRECTORY / name).read_text(encoding="utf-8") == text(schemas()[name])


def test_every_kind_of_message_is_documented_by_a_valid_example() -> None:
    """Each event reads back to itself, each order is accepted, and no kind is missing."""
    orders = [example for example in EXAMPLES if example["event_type"] == "task_created"]
    events = [example for example in EXAMPLES if example["event_type"] != "task_created"]
    assert {example["event_type"] for example in events} == set(PROGRESS["discriminator"]["mapping"])
    for example in events:
        event = EVENTS.validate_python(example)
        assert set(event.model_dump()) == set(example)
    for example in orders:
        assert isinstance(read_message(json.dumps(example).encode()), Order)


def test_the_orders_schema_names_every_task_type() -> None:
    """The type that makes a world, and the eight that make a part of it again."""
    definitions: Any = schemas()["generia-tasks.json"]["$defs"]
    new, again = (definitions[name]["properties"]["task_type"] for name in ("NewWorld", "PartAgain"))
    assert [new["const"], *again["enum"]] == [task_type.value for task_type in TaskType]


def test_every_field_of_an_event_is_required() -> None:
    """All fields are always sent: none has a default."""
    for definition in PROGRESS["$defs"].values():
        if definition["type"] == "object":
            assert set(definition["required"]) == set(definition["properties"])
    assert '"default"' not in text(PROGRESS)


AUTHOR = a_character(0, a_request())
POST = Post(
    key="c0000-p0000",
    character="c0000",
    username=AUTHOR.username,
    character_id=AUTHOR.character_id,
    order=0,
    moment="dawn",
    content="It walks.",
    image_prompt="",
    image_style="",
    hashtags=("walk",),
    mood="wry",
    context="",
    mentions=(),
    location="terminus",
    time_of_day="dawn",
)


def published(**changes: Any) -> PostPublished:
    """The event of the post with these changes."""
    media = Media(media_id="m", url="media/1.jpg", prompt="p", width=1, height=1)
    image = PostImage(
        key=POST.key, character="c0000", character_id="c", post_id="id", image=media, published_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    return post_published(AUTHOR, POST.model_copy(update=changes), image, None)


def sent(event: LiveEvent) -> str:
    return json.dumps(in_its_place(event, RECORD, 1).model_dump(mode="json"), ensure_ascii=False)


def test_texts_of_events_are_escaped_and_bounded() -> None:
    """Control characters and bidirectional marks are never sent; a text that is too long is cut, with a mark."""
    failed = Failed(message="\x1b[2J\u202egone\ud800 " + "x" * 10_000)
    assert failed.message.startswith("[2Jgone ")
    assert (len(failed.message), failed.message[-1]) == (2_000, "…")
    runaway = dict.fromkeys(("content", "mood", "location", "moment", "time_of_day"), "ы" * 1000000)
    event = published(**runaway, hashtags=("🐝" * 5_000,) * 1_000, mentions=("🐝" * 5_000,) * 1_000)
    assert (len(event.content), event.content[-1]) == (LONGEST_TEXT, "…")
    assert len(sent(event).encode()) < 250_000


def test_a_placeholder_says_that_its_content_was_deleted() -> None:
    """A feed can show it as deleted."""
    assert published(deleted_reason="refused twice").deleted
    assert not published().deleted


def test_numbering_an_event_changes_only_its_header_fields() -> None:
    """The other fields stay the same."""
    event = character_created(AUTHOR)
    placed = in_its_place(event, RECORD, 7)
    assert (placed.world_id, placed.generation, placed.run_id, placed.seq) == ("w1", "g1", "r1", 7)
    head = {"world_id", "generation", "run_id", "seq"}
    assert placed.model_dump(exclude=head) == event.model_dump(exclude=head)
