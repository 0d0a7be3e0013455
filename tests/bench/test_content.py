"""The measurement of content: its requests are those of the plan, and its figures are those of the draws."""

from __future__ import annotations

import io

from rich.console import Console

from bench import content
from generia_assets.content.plan import plan


def test_the_requests_measured_are_the_calls_of_the_plan() -> None:
    """Every call of a world of this size is made once, with a prefix, the rest and an answer."""
    shown = io.StringIO()
    figures = content.of_size(5, 12, 2, Console(file=shown, width=120))
    planned = [plan(content.the_request(f"content-{number}", 5, 12)).llm_calls for number in range(2)]
    for kind in ("world_description", "world_images", "character_batch", "character", "post_batch", "post"):
        calls, prefix, own, answer = figures[kind]
        assert calls == sum(one[kind] for one in planned) / 2
        assert min(prefix, own, answer) > 0
    assert figures["wishes per ten posts in requests"] == 10
    assert "5 people, 12 posts" in shown.getvalue()
