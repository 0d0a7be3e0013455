"""Every action in every state of a world: the table of docs/runs-and-states.md, cell by cell.

The cells are read from the document, so that the tests cover what operators read. Each state is made once, by real runs, and
MongoDB is restored to it for each cell; Dagster's instance is not restored, as in production.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generia_assets.assets.checks import ALL
from generia_assets.assets.checks.finding import World
from generia_assets.catalog import ASSETS
from generia_assets.durable.collections import HISTORY, TASKS
from generia_assets.durable.status import State
from generia_assets.queries.completeness import missing
from resources.mongodb.document_store import DocumentStore, NotMaterializedError
from tests.support.dagster_internals import ReexecutionStrategy
from tests.support.scenes import STATES, WAYS, Scene, Scenes
from tests.support.worlds_in_process import Worlds


def table() -> list[tuple[str, str, str]]:
    """Way, state and word of each cell of the document's table."""
    section = Path("docs/runs-and-states.md").read_text().split("## Every action in every state")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")]
    return [(row[0], state, word) for row in rows[2:] for state, word in zip(rows[0][1:], row[1:], strict=True)]


SETTINGS = {"gemini_max_reasks": 0, "world_lease_seconds": 0.3, "budget_spare": 1.0, "image_stub_cost_usd": 0.001}
"""Pictures have a price: free ones would be made below the cap, too, when the run before did not come to them."""


@pytest.fixture(scope="module")
def scenes(the_worlds: Worlds) -> Iterator[Scenes]:
    with the_worlds.undamaged():
        yield Scenes(the_worlds)


def visible(scene: Scene) -> dict[str, dict[str, Any]]:
    """The documents that readers see, by asset and key."""
    store = DocumentStore(scene.worlds.database)
    return {
        name: {document.key: document for document in store.read(kind, scene.world_id, kind.document)}
        for name, kind in ASSETS.items()
        if store.count(kind, scene.world_id) is not None
    }


def paid(scene: Scene) -> Counter[tuple[str, str]]:
    """The answered questions, and how often each was answered."""
    rows = scene.worlds.database[HISTORY].find({"world_id": scene.world_id, "api_type": {"$ne": "platform"}, "outcome": "ok"})
    return Counter((row["task_id"], row["request_type"]) for row in rows)


def results(scene: Scene) -> set[str]:
    done = {"world_id": scene.world_id, "status": State.COMPLETED.value, "generation": {"$exists": True}}
    return {row["_id"] for row in scene.worlds.database[TASKS].find(done, {"_id": 1})}


CELLS = table()
CHOICE = "|".join(
    (
        r"generia (resume|stop|watch) ",
        "has not been made yet",
        "materialize that asset first",
        "is being (made|generated) by run",
        "nothing to go on with",
    )
)
"""What a refusal says: what to do first, or that there is nothing to do."""


@pytest.mark.case("P1 P2")
def test_the_document_has_every_way_and_every_state() -> None:
    """No row and no column is missing, and each cell has a known word."""
    assert list(dict.fromkeys(way for way, _, _ in CELLS)) == list(WAYS)
    assert list(dict.fromkeys(state for _, state, _ in CELLS)) == list(STATES)
    assert {word for _, _, word in CELLS} <= {
        "starts",
        "goes on",
        "fails again",
        "stored again",
        "**made again**",
        "**extended**",
        "refused",
        "no run",
    }


@pytest.mark.parametrize(("way", "state", "word"), [pytest.param(*cell, id=f"P1 P2 {cell[0]} / {cell[1]}") for cell in CELLS])
def test_a_way_in_a_state_does_what_the_table_says(scenes: Scenes, way: str, state: str, word: str) -> None:
    """No document is lost, no cap is lowered, nothing is paid twice without an order, and no incomplete world is called
    completed."""
    scene, worlds = scenes[state], scenes[state].worlds
    scene.restore()
    before, status, answered, done = visible(scene), worlds.raw_status(scene.world_id), paid(scene), results(scene)
    outcome = WAYS[way](scene)
    after, now = visible(scene), worlds.status(scene.world_id)
    news = paid(scene) - answered
    # in every cell
    assert (now.cost_limit_usd or 1e9) >= (status["cost_limit_usd"] or (0.0 if status["status"] == "pending" else 1e9))
    assert done <= results(scene)
    fewer = way.startswith("launch form") and word == "**made again**"  # as that form orders
    assert all(len(after[name]) >= (len(found) if not fewer else 1) for name, found in before.items())
    if now.status is State.COMPLETED:
        assert missing(worlds.database, now) == []
    if status["status"] == "completed":
        assert now.status is State.COMPLETED
    if word != "**made again**":
        assert set((answered + news).values()) <= {1}
    if word == "**extended**":
        before.pop("world_request")  # whose counts it raises
    if word != "**made again**" and not (
        word == "goes on" and status["unfinished"]
    ):  # the continued generation is a rerun: it replaces them
        assert all(after[name][key] == document for name, found in before.items() for key, document in found.items())
    # in this one
    run = outcome.run
    if word in ("starts", "goes on", "**made again**", "**extended**"):
        assert run is not None
        assert run.success, run.failure
        assert now.status is State.COMPLETED
        assert news
        assert now.unfinished is None
        assert (now.generation == run.run_id) is (word != "goes on")
    elif word == "stored again":
        assert run is not None
        assert run.success, run.failure
    elif word == "no run":
        assert run is None
    else:
        assert outcome.refused or (run is not None and not run.success)
        said = outcome.refused or run.failure  # type: ignore[union-attr]
        assert scene.world_id in said
        assert word == "fails again" or re.search(CHOICE, said)
    if word in ("stored again", "no run", "refused", "fails again"):
        assert not news
        kept = ("status", "generation", "unfinished", "parameters", "users_created", "posts_created", "failures")
        assert {name: worlds.raw_status(scene.world_id).get(name) for name in kept} == {name: status.get(name) for name in kept}
        assert after == before


@pytest.mark.case("P1")
@pytest.mark.parametrize("state", STATES)
def test_every_check_answers_in_every_state(scenes: Scenes, state: str) -> None:
    """A completed world passes ``world_is_whole``, and each check has a result; before that, a check may name what is not made
    yet."""
    scene = scenes.back_to(state)
    world = World(scene.world_id, scene.worlds.database, scene.worlds.settings.media_dir)
    answers, missing_assets = {}, set()
    for check in ALL:
        try:
            answers[check.name] = check.evaluate(world)
        except NotMaterializedError:
            missing_assets.add(check.name)
    if state.startswith("completed"):
        assert missing_assets == set()
        assert answers["world_is_whole"].passed, answers["world_is_whole"].description


@pytest.mark.case("P2")
def test_a_re_execution_of_failed_assets_continues_the_unfinished_generation(scenes: Scenes) -> None:
    """Dagster's re-execution from failure selects only the failed assets: they are made, and the world is complete."""
    scene = scenes["stopped"]
    scene.restore()
    assert scene.parent is not None
    made = scene.worlds.re_execute(scene.parent, ReexecutionStrategy.FROM_ASSET_FAILURE)
    assert made.success, made.failure
    assert "world_description" not in made.metadata
    assert set(paid(scene).values()) == {1}
    assert scene.worlds.status(scene.world_id).status is State.COMPLETED
