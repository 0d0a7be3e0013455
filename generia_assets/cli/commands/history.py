"""``generia history``: a world's requests and answers, filtered (R5, R14)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from generia_assets.cli.connections import open_world
from generia_assets.cli.console import CommandError, results
from generia_assets.cli.options import JsonLines, World, choice, flag, limit_option, moment, option
from generia_assets.cli.rendering.formats import as_json, print_limit
from resources.gateway import outcomes
from resources.gateway.calls import CUT_OFF, OK, Api

_ERRORS = (
    *(outcomes.InvalidAnswerError, outcomes.RefusedError, outcomes.RateLimitedError, outcomes.ShedError, outcomes.TransientError),
    *(outcomes.ModelMissingError, outcomes.RequestRejectedError, outcomes.ParameterRefusedError, outcomes.FatalCallError),
    outcomes.CallError,
)
OUTCOMES = (OK, *(error.outcome for error in _ERRORS), CUT_OFF)
"""How an attempt ends."""

Type = Annotated[str | None, option("--type", "NAME", "Only this kind of request: world_description, post, avatar, …")]
ApiOption = Annotated[str | None, option("--api", "API", "Only calls of llm, image_generation or platform.", choice(Api))]
Outcome = Annotated[str | None, option("--outcome", "NAME", f"Only what ended so: {', '.join(OUTCOMES)}.", choice(OUTCOMES))]
Failed = Annotated[bool, flag("--failed", "Only what did not end well.")]
Task = Annotated[
    str | None, option("--task", "TASK", "Only calls of this task: its id, its type (generate_post), or an item's key (c0007).")
]
Since = Annotated[
    datetime | None, option("--since", "WHEN", "Only calls begun since then: 2026-11-23T14:30:00 (UTC), or 10min ago.", moment)
]
Until = Annotated[datetime | None, option("--until", "WHEN", "Only calls begun before then; as --since.", moment)]
Texts = Annotated[bool, flag("--texts", "With the beginnings of what was asked and answered.")]
Full = Annotated[bool, flag("--full", "With whole texts: system instruction, every part, schema, answer.")]
SHOWN = 50
Limit = Annotated[int | None, limit_option(SHOWN, what="The newest so many")]


def history(
    world: World,
    of_type: Type = None,
    api: ApiOption = None,
    outcome: Outcome = None,
    failed: Failed = False,
    task: Task = None,
    since: Since = None,
    until: Until = None,
    texts: Texts = False,
    full: Full = False,
    limit: Limit = None,
    json: JsonLines = False,
) -> None:
    """Every attempt of every call to the model, the image API and the platform is kept for HISTORY_TTL_DAYS days, whole. Shown are
    its time (UTC), kind, task, model, outcome, milliseconds, waiting, tokens and dollars. With --json also all texts.

    \b
    generia history WORLD --failed --since 10min
    generia history WORLD --task c0007-p0003 --full
    generia history WORLD --type post --json > posts.jsonl
    """
    from generia_assets.cli.rendering.lines import print_request
    from generia_assets.queries.records import RequestFilter, count_requests, find_requests
    from generia_assets.queries.sections import types_of

    wanted = RequestFilter(of_type, api, outcome, failed, task, since, until)
    most, console, shown = limit if json else limit or SHOWN, results(), 0
    with open_world(world) as (database, status):
        world = status.world_id
        if of_type and of_type not in (there := types_of(database, world, "history")):  # more likely misspelt than absent
            among = ", ".join(there) or "none"
            raise CommandError(f"--type {of_type[:60]!r}: not among this world's requests; there are {among}", 2)
        for request in find_requests(database, world, wanted, most):
            if json:
                typer.echo(as_json(request))
            else:
                print_request(console, request, "all" if full else "texts" if texts else "figures", task=True)
            shown += 1
        if shown == most and count_requests(database, world, wanted) > most:
            print_limit(most, json=json)
    if not shown and not json:
        console.print("No such requests.")
