"""Damaged answers in a whole world: which requests are repeated, and how (A4, A9), and what is stored of them (A13, A14, S15)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from generia_assets.content.ask_world import _OUTPUT_WORLD
from generia_assets.content.keys import character_index
from generia_assets.content.storyline import storyline
from generia_assets.durable.calls.clients import MOST_OUTPUT
from generia_assets.durable.collections import HISTORY
from generia_assets.tasks.generate_world_description import generate_world_description
from tests.support.worlds_in_process import Worlds


@pytest.fixture
def worlds(the_worlds: Worlds) -> Iterator[Worlds]:
    with the_worlds.undamaged():
        yield the_worlds


def asked(worlds: Worlds) -> list[dict[str, Any]]:
    """The bodies that the emulator received, oldest first."""
    assert worlds.gemini is not None
    return [dict(request.body) for request in worlds.gemini.requests(500) if isinstance(request.body, dict)]


def max_output_tokens(request: dict[str, Any]) -> int:
    return int(request["generationConfig"]["maxOutputTokens"])


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("looped", id="A4 an answer that repeats itself"),
        pytest.param("stopped", id="A9 RECITATION or OTHER by chance"),
        pytest.param("continued", id="A3 an answer that may be continued"),
        pytest.param("odd_shape", id="A7 a body that cannot be read"),
    ],
)
def test_a_randomly_damaged_answer_is_requested_again_unchanged(worlds: Worlds, fault: str) -> None:
    """The repeated request is the same, byte for byte, with the same limit of tokens; each damaged answer is one call, and the
    world completes."""
    assert worlds.gemini is not None
    worlds.gemini.set_faults(**{fault: 1, "for_calls": 3})
    _, made = worlds.make()
    assert made.success, made.failure
    first, *again = asked(worlds)[:4]
    assert again == [first] * 3
    assert worlds.gemini.stats().by_outcome[fault] == 3


@pytest.mark.case("A4")
def test_a_cut_answer_is_requested_again_with_more_tokens_up_to_a_limit(worlds: Worlds) -> None:
    """Each attempt doubles the limit of tokens up to the maximum of its task, and then fails."""
    assert worlds.gemini is not None
    worlds.gemini.set_faults(truncated_json=1)
    _, made = worlds.make()
    assert not made.success
    attempt = [_OUTPUT_WORLD, 2 * _OUTPUT_WORLD, MOST_OUTPUT * _OUTPUT_WORLD]
    assert [max_output_tokens(request) for request in asked(worlds)] == attempt * generate_world_description.attempts


@pytest.mark.case("A8")
def test_a_code_fence_costs_no_call(worlds: Worlds) -> None:
    """If a model puts every answer into a code fence, the world takes the same number of calls."""
    assert worlds.gemini is not None
    worlds.make(users=1, posts=1)
    calls = worlds.calls
    worlds.gemini.reset()
    worlds.gemini.set_faults(fenced_json=1)
    _, made = worlds.make(users=1, posts=1)
    assert made.success, made.failure
    assert worlds.calls == calls
    assert worlds.gemini.stats().by_outcome == {"fenced_json": calls}


@pytest.mark.case("A27")
def test_bad_comments_damage_no_post(worlds: Worlds) -> None:
    """Whatever comments a model writes, the world completes: no post has more comments than planned, and each comment is short, in
    the world's language, and names only existing people."""
    assert worlds.gemini is not None
    worlds.gemini.set_faults(bad_comments=1)
    world_id, made = worlds.make(users=4, posts=16)
    assert made.success, made.failure
    posts = worlds.documents("posts", world_id)
    assert len(posts) == 16
    request, world = worlds.documents("world_request", world_id)[0], worlds.documents("world_description", world_id)[0]
    for post in posts:
        slot = storyline(request, world, character_index(post.character)).slots[post.order]
        assert len(post.comments) <= len(slot.comments)
        for comment in post.comments:
            assert 0 < len(comment.content) <= 200
            assert not re.search("^nobody|@nobody|[ა-ჰ]", comment.content)


@pytest.mark.case("A14")
@pytest.mark.case("S15")
def test_hostile_errors_do_not_stop_the_world(worlds: Worlds) -> None:
    """Lone surrogates, keys, endless waits, bytes that are not UTF-8: each error is recorded and readable, and the world
    completes."""
    assert worlds.gemini is not None
    worlds.gemini.set_faults(hostile_error=1, for_calls=2)
    world_id, made = worlds.make(users=1, posts=1)
    assert made.success, made.failure
    wrong = {"world_id": world_id, "outcome": {"$in": ["transient", "rate_limited"]}}
    errors = [entry["error"] for entry in worlds.database[HISTORY].find(wrong)]
    assert len(errors) == 2
    for error in errors:
        assert len(error) <= 2_000
        assert "AIza" not in error
        assert "\x00" not in error
