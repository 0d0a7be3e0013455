"""Job ``new_world``: its unchanged form makes a world, and an invalid form is refused."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from dagster import DagsterInvalidConfigError, validate_run_config

from generia_assets.assets.new_world import EXAMPLE, world_id_of
from generia_assets.catalog import TaskType
from generia_assets.durable.collections import STATUS
from generia_assets.durable.orders.intake import RefusedOrder, record_refusal
from generia_assets.durable.orders.order import WORLD_ID_PATTERN
from sensors.run_status import abandoned, order_again
from tests.support.dagster_internals import InMemoryJob, execute_run
from tests.support.worlds_in_process import PROMPT, Made, Worlds


def launch(worlds: Worlds, form: dict[str, Any], parent: Made | None = None) -> Made:
    """Launch a form; with ``parent``, as Dagster repeats a run after a crash."""
    job = worlds.defs.resolve_job_def("new_world")
    run = worlds.instance.create_run_for_job(
        job,
        run_config={"ops": {"order_world": {"config": form}}, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        parent_run_id=parent.run_id if parent else None,
        root_run_id=parent.run_id if parent else None,
    )
    execute_run(InMemoryJob(job), run, worlds.instance, raise_on_error=False)
    return worlds.made(run.run_id)


@pytest.mark.case("P41")
def test_the_unchanged_form_orders_a_world_that_the_watchdog_starts_at_once(worlds: Worlds) -> None:
    """Its id contains words of the prompt, it is a partition, and its run has its origin (Dagster's pages) and who ordered it."""
    opened: Any = validate_run_config(worlds.defs.resolve_job_def("new_world"))["ops"]["order_world"]["config"]
    assert (opened["prompt"], opened["users"], opened["posts"], opened["name"]) == (EXAMPLE, 5, 12, "")
    made = launch(worlds, {"users": 1, "posts": 1})
    assert made.success, made.failure
    (world,) = abandoned(worlds.database, 15.0, 60.0)
    assert world.world_id.startswith("a-town-on-the-back-of-a-slow-tortoise-")
    assert worlds.instance.has_dynamic_partition("worlds", world.world_id)
    again = launch(worlds, {"users": 1, "posts": 1}, parent=made)
    assert again.success, "a repetition of a crashed run is the same order"
    assert len(list(abandoned(worlds.database, 15.0, 60.0))) == 1
    request = order_again(world, None)
    run = worlds.run(world.world_id, tags=request.tags)
    assert run.success, run.failure
    status = worlds.status(world.world_id)
    tags = worlds.made(run.run_id).run.tags
    assert (tags["generia/origin"], tags["generia/world_name"]) == ("ui", status.name)
    assert (status.ordered_by, len(worlds.documents("posts", world.world_id))) == ("job new_world", 1)


def test_the_name_in_the_form_is_the_worlds_id_and_an_existing_world_is_not_ordered_twice(worlds: Worlds) -> None:
    """The world replaces the record of a refused order."""
    record_refusal(worlds.database, RefusedOrder("users_count=0", "whale", str(uuid.uuid4()), TaskType.INIT_WORLD_CREATION))
    form = {"name": "whale", "prompt": PROMPT, "users": 1, "posts": 0, "quality": "high", "max_cost_usd": 1.0}
    assert launch(worlds, form).success
    status = worlds.raw_status("whale")
    assert (status["status"], status["refused"], status["parameters"]["quality"]) == ("pending", False, "high")
    twice = launch(worlds, form)
    assert not twice.success
    assert "world_id=whale: this world was already ordered by task" in twice.failure
    assert worlds.raw_status("whale") == status


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"prompt": ""}, "prompt: empty"),
        ({"name": "a/b"}, "name='a/b': name a world by letters"),
        ({"users": 0}, "parameters.users_count=0"),
    ],
)
def test_an_invalid_form_is_refused_with_the_field_and_its_value(worlds: Worlds, form: dict[str, Any], said: str) -> None:
    """Nothing is recorded, and the message has no traceback."""
    before = worlds.database[STATUS].count_documents({})
    made = launch(worlds, form)
    assert not made.success
    assert said in made.failure
    assert "Traceback" not in made.failure
    assert worlds.database[STATUS].count_documents({}) == before


@pytest.mark.parametrize("form", [{"quality": "supreme"}, {"users": "many"}])
def test_a_value_that_the_form_does_not_allow_starts_no_run(worlds: Worlds, form: dict[str, Any]) -> None:
    """Dagster's validation of the form names the wrong value."""
    with pytest.raises(DagsterInvalidConfigError, match=next(iter(form))):
        launch(worlds, form)


@pytest.mark.parametrize(
    ("prompt", "world_id"),
    [
        (EXAMPLE, "a-town-on-the-back-of-a-slow-tortoise-0123"),
        ("Город, который чинит звёзды", "world-0123"),
        ("Žluťoučký kůň", "zlutoucky-kun-0123"),
        ("x" * 100, f"{'x' * 40}-0123"),
        ("…", "world-0123"),
    ],
)
def test_an_id_is_made_of_the_first_words_of_any_prompt(prompt: str, world_id: str) -> None:
    """The id follows the rule for ids, whatever the prompt's script is."""
    assert world_id_of(prompt, "0123-4567") == world_id
    assert re.fullmatch(WORLD_ID_PATTERN, world_id)
