"""The asset checks of content: each passes for a good world, and fails for a planted fault or a fault of the emulator."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from rich.console import Console

from bench.content import of_world
from generia_assets.assets.checks import ALL
from generia_assets.assets.checks.finding import World
from tests.support.checked_world import WORLD, asked
from tests.support.content_faults import FAULTS, PEOPLE, POSTS, everywhere, in_order  # noqa: F401  the size of ``checked``
from tests.support.worlds_in_process import Worlds


@pytest.mark.parametrize(
    ("asset", "name", "severity", "plant", "again"), FAULTS, ids=[f"{fault[1]}-{number}" for number, fault in enumerate(FAULTS)]
)
def test_a_planted_fault_of_content_is_found_and_named(
    undamaged: Mapping[str, Any],
    restored: Worlds,
    asset: str,
    name: str,
    severity: str,
    plant: Callable[[Worlds], str],
    again: str,
) -> None:
    """The check passes before; afterwards it fails, names the fault and the items that must be made again."""
    assert undamaged[name].passed, undamaged[name].description
    wrong = plant(restored)
    found = asked(restored, asset, name)
    assert not found.passed
    assert found.severity.value == severity
    assert wrong in found.description
    assert again in found.description


def test_a_post_made_again_later_does_not_count_as_published_out_of_order(restored: Worlds) -> None:
    """Another run published it: it keeps its place, and its time of publication is the latest."""
    made = restored.launch("rerun_post", WORLD, post=in_order(restored)[2].key)
    assert made.success, made.failure
    assert made.checks["timeline_kept"].passed, made.checks["timeline_kept"].description
    assert made.checks["timeline_kept"].metadata["runs"].value == 2


def test_a_world_made_before_these_fields_passes_and_says_so(restored: Worlds) -> None:
    """Its documents have no place in time and no wish; checks that do not need them work as usual."""
    for asset in ("post_briefs", "posts", "post_images"):
        everywhere(restored, asset, {"t": 0, "after": 0, "wish": "", "in_reply_to": ""})
    everywhere(restored, "character_briefs", {"years": 0, "kind": "", "age": "", "facts": {}})
    world = World(WORLD, restored.database, restored.settings.media_dir)
    said = {check.name: check.evaluate(world) for check in ALL if (check.asset, check.name) in {fault[:2] for fault in FAULTS}}
    assert [name for name, answer in said.items() if not answer.passed] == []
    told_so = {name for name, answer in said.items() if "made before" in (answer.description or "")}
    assert told_so == {
        "wishes_dealt",
        "requests_keep_the_plan",
        "timeline_kept",
        "replies_fit",
        "no_later_event",
        "ages_fit",
        "mentions_returned",
        "wishes_show",
    }


def test_a_made_world_is_measured_from_its_documents_and_requests(checked: Worlds) -> None:
    """``bench.content --world``: it shows the figures of the checks, and for each request type the prefix, the rest and the
    answer."""
    figures = of_world(World(WORLD, checked.database, checked.settings.media_dir), Console(file=io.StringIO()))
    assert {check.name for check in ALL if (check.asset, check.name) in {fault[:2] for fault in FAULTS}} <= set(figures)
    calls, prefix, own, answer = figures["post"]
    assert calls >= POSTS
    assert prefix / calls > own / calls / 10 > 10
    assert answer > 0


@pytest.mark.parametrize(
    ("fault", "select", "checks"),
    [
        ("wish_ignored", ("posts",), {"wishes_show"}),
        ("future_told", ("post_briefs", "posts"), {"no_later_event"}),
        ("same_opening", ("characters", "posts"), {"post_openings", "profiles_differ"}),
        ("reply_ignored", ("posts",), {"replies_fit"}),
        ("same_length", ("posts",), {"post_lengths"}),
        ("same_phrases", ("characters",), {"profiles_differ"}),
        ("wrong_kin", ("character_briefs", "characters"), {"ties_agree", "ages_fit"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_checks_find_a_badly_written_world(restored: Worlds, fault: str, select: tuple[str, ...], checks: set[str]) -> None:
    """If the affected parts are made again with a fault of writing, the checks of this fault warn, and no check reports an
    error."""
    assert restored.gemini is not None
    restored.gemini.set_faults(**{fault: 1.0})
    try:
        made = restored.run(WORLD, select=select)
    finally:
        restored.gemini.reset()
    assert made.success, made.failure
    world = World(WORLD, restored.database, restored.settings.media_dir)
    failed = {check.name: found.severity.value for check in ALL if not (found := check.evaluate(world)).passed}
    assert checks <= set(failed)
    assert "ERROR" not in failed.values()
