"""``generia stats``: what a world's work took, by task type and by request, and where its time went.

Here: how it is printed. Not here: the figures (queries/statistics.py, queries/critical_path.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.text import Text as Line

from generia_assets.cli.connections import open_world, settings
from generia_assets.cli.console import labelled, results, safe_line
from generia_assets.cli.options import Json, World
from generia_assets.cli.rendering.formats import FittedTable, as_json, compact, duration, of_total, share
from resources.gateway.calls import OK

if TYPE_CHECKING:
    from generia_assets.queries.critical_path import CriticalPath, Link
    from generia_assets.queries.statistics import RequestFigures, TaskFigures

_PARTS = {
    "start": "until the run began",
    "model": "answers of the model",
    "waiting": "calls that waited for their turn",
    "pictures": "making pictures",
    "platform": "the platform",
    "before": "tasks that waited to begin",
    "rest": "our own work and MongoDB",
    "end": "writing the documents",
}
_ADVICE = {
    "start": "Most of it was the way to the run: a small world is made faster than Dagster starts. A larger one hardly feels it.",
    "model": "The calls themselves took most of it: faster answers would shorten it, more calls at once would not.",
    "waiting": "More calls at once would shorten it (LLM_CONCURRENCY={slots}, IMAGE_CONCURRENCY), if the API's quota allows.",
    "pictures": "The pictures themselves took most of it: a faster image API would shorten it.",
    "platform": "The platform's answers took most of it: look at its services.",
    "before": "Tasks waited to begin: look at MongoDB's and this machine's load, and in a large world at TASK_CONCURRENCY.",
    "rest": "Most of it was not waiting for answers: look at MongoDB's and this machine's load.",
    "end": "Most of it was writing the documents: look at MongoDB's load.",
}


def stats(world: World, json: Json = False) -> None:
    """Times are from a task's beginning to its end. `waiting` is what its calls waited for their turn (a slot, the budget, a pause
    that the API demanded), `calling` what the answers took: sums over calls, many of which were in flight at once. `cached` is
    the share of the prompts' tokens that the provider had cached. Numbers are of all the world's generations; the path at the end
    is of the present one: the chain of tasks that ended last, each waiting for the one before.

    \b
    generia stats WORLD
    generia stats WORLD --json | jq '.tasks[] | {task_type, waiting_ms, calling_ms}'
    """
    from generia_assets.cli.rendering.lines import progress_line
    from generia_assets.queries.critical_path import critical_path
    from generia_assets.queries.statistics import world_figures

    with open_world(world) as (database, status):
        tasks, requests = world_figures(database, status.world_id)
        path = critical_path(database, status)
    if json:
        seconds = None if path is None else round(path.seconds, 3)
        fields = {"tasks": tasks, "requests": requests, "critical_path": path, "seconds": seconds}
        typer.echo(as_json({"world_id": status.world_id, **fields}))
        return
    console = results()
    console.print(Line(f"{safe_line(status.name) or '(no name)'}  {status.world_id}", "bold"))
    console.print(progress_line(status))
    if tasks:
        console.print()
        _tasks(tasks).print(console)
    if requests:
        console.print()
        _requests(requests).print(console)
    if path is not None:
        console.print()
        _print_path(console, path)


def _tasks(figures: list[TaskFigures]) -> FittedTable:
    unfailed = () if any(one.failed for one in figures) else ("failed",)
    table = FittedTable(
        ("tasks", "done", "failed", "tries", "p50", "p95", "calls", "waiting", "calling", "tokens", "cached", "dollars"),
        texts=1,
        gives_way=("tries", "cached", "p50", "calling", "tokens", "dollars", *unfailed, "waiting", "p95", "calls"),
    )
    for one in figures:
        table.rows.append(
            (
                one.task_type.value.removeprefix("generate_"),
                of_total(one.completed, one.tasks),
                str(one.failed or "-"),
                str(one.attempts),
                duration(one.p50_ms),
                duration(one.p95_ms),
                str(one.calls) if not one.calls_failed else f"{one.calls} ({one.calls_failed} bad)",
                duration(one.waiting_ms),
                duration(one.calling_ms),
                f"{compact(one.prompt_tokens)}+{compact(one.output_tokens)}" if one.prompt_tokens else "-",
                share(one.cached_share) if one.prompt_tokens else "-",
                f"{one.cost_usd:.4f}",
            )
        )
    return table


def _requests(figures: list[RequestFigures]) -> FittedTable:
    table = FittedTable(
        ("requests", "of", "tier", "outcome", "calls", "p50", "p95", "tokens in", "cached", "out", "dollars"),
        texts=4,
        gives_way=("of", "cached", "p50", "out", "tokens in", "dollars", "tier", "p95"),
    )
    for one in figures:
        table.rows.append(
            (
                Line(safe_line(one.request_type)),
                _API_WORDS.get(one.api, one.api),
                safe_line(one.tier) or "-",
                Line(safe_line(one.outcome), "" if one.outcome == OK else "yellow"),
                str(one.calls),
                duration(one.p50_ms),
                duration(one.p95_ms),
                compact(one.prompt_tokens) if one.prompt_tokens else "-",
                compact(one.cached_tokens) if one.prompt_tokens else "-",
                compact(one.output_tokens) if one.prompt_tokens else "-",
                f"{one.cost_usd:.4f}",
            )
        )
    return table


_API_WORDS = {"llm": "model", "image_generation": "pictures", "platform": "platform"}


def _print_path(console: Console, path: CriticalPath) -> None:
    last = path.links[-1]
    console.print(Line("The path that decided how long it took", "bold"))
    console.print(
        f"{_name(last)} ended last, {duration(1000 * (path.seconds - path.finishing))} after the beginning. What led there, each "
        "waiting for the one before:"
    )
    rows = [("the run began", path.run_after, "Kafka, the sensor, Dagster's queue, the run's start")]
    rows += [(_name(link), link.seconds, _spent(link)) for link in path.links]
    if path.finishing:
        rows.append(("documents written", path.finishing, ""))
    for what, seconds, spent in (row for row in rows if row[1] > 0):
        labelled(console, f"  {duration(1000 * seconds):>9}  {what:36}  ", Line(spent, "dim"))
    for sentence in advice(path, settings().llm_concurrency):
        console.print(sentence)


def advice(path: CriticalPath, slots: int) -> list[str]:
    """The path in words: what the time went to, and what would shorten it."""
    parts = {**path.sums(), "start": path.run_after, "end": path.finishing}
    spent = sorted(((part, seconds) for part, seconds in parts.items() if seconds >= 0.01), key=lambda one: -one[1])
    if not spent:
        return []
    whole = max(path.seconds, 0.001)
    words = ", ".join(f"{duration(1000 * seconds)} {_PARTS[part]} ({share(seconds / whole)})" for part, seconds in spent)
    return [f"Of {duration(1000 * path.seconds)} in all: {words}.", _ADVICE[spent[0][0]].format(slots=slots)]


def _name(link: Link) -> str:
    kind = link.task_type.value.removeprefix("generate_").replace("_", " ")
    return f"{kind} {link.key}" if link.key != "world" else kind


def _spent(link: Link) -> str:
    from generia_assets.queries.critical_path import PARTS

    parts = {part.replace("before", "to begin"): getattr(link, part) for part in PARTS}
    tries = f"; {link.attempts} attempts" if link.attempts > 1 else ""
    return ", ".join(f"{word} {duration(1000 * seconds)}" for word, seconds in parts.items() if seconds >= 0.001) + tries
