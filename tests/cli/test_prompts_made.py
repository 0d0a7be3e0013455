"""``generia prompts`` compared with made worlds: its requests are those of a run, byte for byte."""

from __future__ import annotations

import asyncio

import pytest

from generia_assets.content.documents import WorldRequest
from generia_assets.content.prompt import Prompt
from generia_assets.dry_run import DryRun
from generia_assets.durable.collections import HISTORY
from generia_assets.tasks.clients import DraftT
from tests.support.worlds_in_process import Worlds


class Answered:
    """The recorded answers of a world, found by the whole request."""

    def __init__(self, worlds: Worlds, world_id: str) -> None:
        calls = list(worlds.database[HISTORY].find({"world_id": world_id, "api_type": "llm", "outcome": "ok"}))
        self.texts = {
            (asked["system"], *asked["parts"], asked["max_output_tokens"]): call["response_data"]["text"]
            for call in calls
            for asked in (call["request_data"],)
        }
        assert len(self.texts) == len(calls) > 0

    def to(self, name: str, prompt: Prompt, draft: type[DraftT]) -> DraftT | None:
        text = self.texts.pop((prompt.system, *prompt.parts, prompt.max_output_tokens), None)
        return None if text is None else draft.model_validate_json(text)


@pytest.mark.parametrize(("seed", "quality"), [(7, "standard"), (12, "high")])
def test_a_dry_run_makes_the_requests_of_a_run(worlds: Worlds, seed: int, quality: str) -> None:
    """With the answers of a made world, the dry run makes exactly the requests of that world."""
    world_id, made = worlds.make(users=5, posts=12, seed=seed, quality=quality)
    assert made.success, made.failure
    (request,) = worlds.documents("world_request", world_id)
    assert isinstance(request, WorldRequest)
    assert request.seed == seed
    answers = Answered(worlds, world_id)
    asked = asyncio.run(DryRun(request, answers).run())
    assert [one.name for one in asked if one.answer is None] == []
    assert answers.texts == {}
    assert any("Replies to @" in one.prompt.item for one in asked)
    assert any("<heard-" in one.prompt.item for one in asked)
