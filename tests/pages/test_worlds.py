"""The pages of a world that the generator made: the origin of a post, and the live feed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from html import escape

import pytest
import requests

from resources.gemini.models import asked_at, now
from tests.support.pages_site import serving
from tests.support.pages_world import SCRIPT
from tests.support.worlds_in_process import Worlds

USERS, POSTS = 2, 3


@pytest.fixture(scope="module")
def world(the_worlds: Worlds) -> str:
    world_id, made = the_worlds.make(users=USERS, posts=POSTS, prompt=f"A town that reads {SCRIPT} aloud every evening")
    assert made.success, made.failure
    return world_id


@pytest.fixture(scope="module")
def site(the_worlds: Worlds, mongodb_uri: str) -> Iterator[str]:
    with serving(mongodb_uri, the_worlds.settings.mongodb_database, the_worlds.settings.media_dir) as address:
        yield f"{address}/worlds"


def test_a_posts_page_shows_its_origin(worlds: Worlds, world: str, site: str) -> None:
    """It shows the order, the idea, the exact prompts and answers, model, tokens and price; a script in the user's sentence is
    shown as text."""
    brief, post = worlds.documents("post_briefs", world)[0], worlds.documents("posts", world)[0]
    html = requests.get(f"{site}/{world}/posts/{post.key}", timeout=60).text
    for said in (SCRIPT, brief.idea, post.content.split("\n")[0], asked_at(worlds.settings.gemini_model, now()).id):
        assert str(escape(said)).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in html
    for step in (
        "The order",
        "The world",
        "The idea of the person",
        "The person",
        "The idea of the post",
        "The post",
        "The picture",
    ):
        assert f"<h3>{step}</h3>" in html
    assert SCRIPT not in html
    assert html.count("<h4>Asked</h4>") >= 6
    assert worlds.status(world).cost_usd > 0
    assert "tokens</li>" in html and "$0.0" in html


def test_the_pages_of_a_finished_world_are_complete(worlds: Worlds, world: str, site: str) -> None:
    """They have every person and post, under the ids of the platform, with existing pictures."""
    html = requests.get(f"{site}/{world}", timeout=60).text
    assert html.count("<li data-character=") == USERS
    for image in worlds.documents("post_images", world):
        assert f'data-post-id="{image.post_id}"' in html
        assert requests.get(f"{site[:-7]}/{image.image.url}", timeout=60).headers["content-type"].startswith("image/")


def test_the_live_feed_has_the_events_of_the_generator(world: str, site: str) -> None:
    """From the first event on it has every person and post once, numbered, and the end; from the last event on it has only the
    end."""
    seen: Counter[str] = Counter()
    numbers, keys = [], []
    with requests.get(f"{site}/{world}/live?after=0", stream=True, timeout=60) as live:
        assert live.headers["content-type"].startswith("text/event-stream")
        for line in live.iter_lines(decode_unicode=True):
            name, _, value = line.partition(": ")
            if name == "event":
                seen[value] += 1
            elif name == "id":
                numbers.append(int(value))
            elif name == "data" and "key" in (data := json.loads(value)):
                keys.append(data["key"])
    assert (seen["person"], seen["post"], seen["end"]) == (USERS, POSTS, 1)
    assert len(keys) == len(set(keys)) + seen["portrait"] + seen["replied"] + seen["commented"]
    assert numbers == list(range(1, len(numbers) + 1))
    again = requests.get(f"{site}/{world}/live", headers={"Last-Event-ID": str(numbers[-1])}, timeout=60)
    assert again.status_code == 204
