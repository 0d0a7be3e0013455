"""``make bench``: the arithmetic of its bounds, the file of earlier results, and its smallest form."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from bench.content import the_request
from bench.speed import bounds
from bench.speed.__main__ import main
from bench.speed.cases import CASES, Case, Line, Measured
from bench.speed.results import Entry, earlier, entry, keep, summary, tables
from bench.speed.session import Costs
from generia_assets.catalog import TaskType
from generia_assets.content.plan import plan
from generia_assets.queries.records import RequestRecord
from resources.gateway.calls import Api

WORLD = "6f2b1c86-2f57-4a56-9c39-6d3f2f1f7a11"
HALF = {Api.LLM: 0.5, Api.IMAGE: 0.5}
SLOTS = {Api.LLM: 15, Api.IMAGE: 10}


def chain(*calls: Sequence[Api], after: Sequence[int] = ()) -> bounds.Graph:
    """Tasks with these calls; task ``n`` waits for the task ``after[n]``, unless that is -1."""
    nodes = [(WORLD, TaskType.GENERATE_POST, str(number)) for number in range(len(calls))]
    waits = [(nodes[other],) if other >= 0 else () for other in after or (-1,) * len(calls)]
    return {
        node: bounds.Work(wait, tuple((api, 0.5) for api in made)) for node, wait, made in zip(nodes, waits, calls, strict=True)
    }


def call(sent: float, seconds: float, waited: float) -> RequestRecord:
    """A recorded call: sent this number of seconds after a fixed moment."""
    return RequestRecord.model_validate(
        {
            "_id": f"{sent}/{seconds}/{waited}",
            "task_id": "task",
            "api_type": "llm",
            "request_type": "post",
            "created_at": datetime(2026, 11, 29, tzinfo=UTC) + timedelta(seconds=sent),
            "duration_ms": int(seconds * 1000),
            "waited_ms": int(waited * 1000),
        }
    )


@pytest.mark.parametrize(
    ("graph", "slots", "seconds"),
    [
        (chain(*[[Api.LLM]] * 7), 3, 1.5),  # seven calls of half a second on three slots
        (chain([Api.LLM], [Api.LLM], [Api.LLM], after=(-1, 0, 1)), 3, 1.5),  # one after the other
        (chain([Api.LLM], [Api.LLM], [Api.LLM], after=(-1, -1, 1)), 1, 1.5),  # in any order
        (chain([Api.LLM], [Api.LLM], [Api.LLM, Api.LLM], after=(-1, -1, 1)), 2, 1.5),  # the longest path first
        (chain([Api.LLM, Api.IMAGE], [Api.LLM, Api.IMAGE]), 1, 1.5),  # a picture at the same time as a text
    ],
)
def test_a_schedule_leaves_no_slot_idle(graph: bounds.Graph, slots: int, seconds: float) -> None:
    """The schedule of a small graph takes the seconds that were computed by hand."""
    assert bounds.schedule(graph, {Api.LLM: slots, Api.IMAGE: slots}) == pytest.approx(seconds)


def test_the_graph_has_the_calls_of_the_plan() -> None:
    """The graph of a world has as many calls as its plan, and its schedule is between its bounds and their sum."""
    users, posts = 25, 150
    graph = bounds.world_graph(WORLD, users, posts, HALF)
    planned = plan(the_request(WORLD, users, posts))
    calls = [api for work in graph.values() for api, _ in work.calls]
    assert (calls.count(Api.LLM), calls.count(Api.IMAGE)) == (planned.llm_total, planned.images_total)
    assert len(graph) == sum(planned.tasks.values()) - 1  # without the order
    path, scheduled = max(bounds.ends(graph).values()), bounds.schedule(graph, SLOTS)
    pictures = planned.images_total * 0.5 / 10
    assert max(path, pictures) <= scheduled <= path + pictures
    assert bounds.schedule(graph, dict.fromkeys(SLOTS, 1000)) == pytest.approx(path)


def test_the_path_to_the_first_post_has_six_calls() -> None:
    """World, concepts, person, ideas, text, picture: the path is the same for a world of any size whose first person knows nobody
    of a later batch."""
    paths = [bounds.first_post(bounds.world_graph(WORLD, users, users * 2, HALF)) for users in (10, 100, 500)]
    assert set(paths) <= {2.5, 3.0, 3.5}
    assert len(set(paths)) == 1


def test_idle_slots_are_counted_while_calls_wait() -> None:
    """Of two slots one is idle for a second while a call waits; nothing is idle when nothing waits."""
    waited = [call(0.0, 2.0, 0.0), call(1.0, 1.0, 1.0)]
    assert bounds.slot_seconds(waited, 2) == pytest.approx((3.0, 1.0))
    assert bounds.slot_seconds([call(0.0, 2.0, 0.0), call(1.0, 1.0, 0.0)], 2) == pytest.approx((3.0, 0.0))
    assert bounds.slot_seconds(waited, 1) == pytest.approx((3.0, 0.0))
    assert bounds.span(waited) == pytest.approx(2.0)


def measured(seconds: float, cpu: float) -> Measured:
    """One run of a case, with a bound of ten seconds and a fixed loop of 50 ms."""
    costs = Costs(calls=100, loop_ms=50.0, cpu_ms={"run": cpu, "mongod": 2.0}, commands={"find": 1.5}, peak_mb=200.0)
    return Measured([Line("took", "s", seconds, 10.0), Line("pace", "/s", 100 / seconds, 10.0, rate=True)], costs)


def test_a_slowdown_is_seen(tmp_path: Path) -> None:
    """Medians are compared with the latest earlier result of the case, and a worse ratio is a positive change."""
    case, file = Case("B0", "a case", lambda session: measured(1.0, 1.0), 1.0), tmp_path / "results" / "speed.jsonl"

    def made(*seconds: float) -> Entry:
        return entry({"B0": summary(case, [measured(one, one) for one in seconds])}, loop_ms=50.0, commit="abc")

    keep(made(40.0), file)
    keep(made(12.0, 11.0, 30.0), file)
    (took, pace) = earlier(file)[-1].cases["B0"].values
    assert (took.median, took.minimum, took.maximum, took.ratio) == (12.0, 11.0, 30.0, 1.2)
    assert pace.ratio == 1.2
    console = Console(width=200, file=io.StringIO(), record=True)
    for table in tables(made(15.0), earlier(file)):
        console.print(table)
    shown = console.export_text()
    assert shown.count("+25 %") == 2
    assert "0.30" in shown  # the run's share of the fixed loop


def test_each_case_has_its_own_name() -> None:
    """All cases of the issue exist, B4 with B1."""
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert {part[:2] for name in names for part in name.split("+")} == {f"B{number}" for number in range(1, 10)}


@pytest.mark.timeout(1250)
@pytest.mark.dagster_process
@pytest.mark.usefixtures("alone")
def test_the_smallest_form_measures_everything(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A small world is made with Kafka and the code server, and the tables have every figure."""
    monkeypatch.setattr(sys, "argv", ["bench.speed", "--quick", "--json"])
    with pytest.raises(SystemExit, match="0"):
        main()
    (case,) = json.loads(capsys.readouterr().out.splitlines()[-1])["cases"].values()
    assert all(value["median"] > 0 and value["bound"] > 0 for value in case["values"])
    costs = case["costs"]
    assert set(costs["cpu_ms"]) == {"run", "mongod", "broker", "gemini", "code server", "daemon"}
    assert costs["cpu_ms"]["run"] > 1
    assert costs["commands"]["find"] > 0
    assert costs["peak_mb"] > 50
