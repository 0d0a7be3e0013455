"""``generia doctor`` and ``generia check``: what is wrong, with the servers or without one, and what to do about it.

Here: the commands. Not here: the checks (health.py, health_servers.py, content/check.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import typer
from rich.text import Text as Line

from generia_assets.cli.connections import Addresses, addresses
from generia_assets.cli.console import indented, labelled, results, safe_block, safe_line
from generia_assets.cli.options import JsonLines
from generia_assets.cli.rendering.formats import as_json
from generia_assets.settings import Settings, SettingsError, settings

if TYPE_CHECKING:
    from generia_assets.cli.health import HealthFinding

    Check = Callable[[Settings, Addresses], Iterator[HealthFinding]]

MARKS = {"ok": ("ok   ", "green"), "note": ("note ", "yellow"), "wrong": ("WRONG", "bold red")}
"""How each state of a finding is shown."""


def _checks() -> dict[Check, bool]:
    """In the order in which they are shown, and whether they only wait for a server. The others import libraries, one by one."""
    from generia_assets.cli import health
    from generia_assets.cli import health_servers as servers

    return {
        health.environment_found: False,
        health.templates_found: False,
        health.generator_found: False,
        servers.mongodb_found: True,
        servers.worlds_found: True,
        servers.kafka_found: True,
        health.models_by_date: False,
        health.gemini_found: True,
        health.image_api_found: False,
        health.platform_found: False,
        health.media_found: False,
        servers.dagster_found: False,
        servers.code_server_found: False,
        servers.workers_found: False,
    }


def doctor(json: JsonLines = False) -> None:
    """Looks at all that `check` does, and at MongoDB (a replica set, its indexes), Kafka and its topics, Gemini (whether it knows
    the model and takes the key: a question that costs nothing), the platform's services (with PLATFORM=grpc), the pictures' folder
    and its disk, Dagster's daemons by their heartbeats, and the workers of a fleet. Shows no secret.

    \b
    generia doctor
    generia doctor --json | jq 'select(.health == "wrong")'
    """
    from generia_assets.cli.health import Health, ok, wrong

    try:
        chosen = settings()
    except SettingsError as error:
        _print(wrong("settings", str(error), "correct them; nothing else was checked"), json=json)
        raise typer.Exit(2) from None
    _print(ok("settings", "all are allowed values"), json=json)
    checks, where, count = _checks(), addresses(chosen), 0
    with ThreadPoolExecutor() as pool:
        asked = {check: pool.submit(lambda one: list(one(chosen, where)), check) for check, waits in checks.items() if waits}
        for check in checks:
            for finding in asked[check].result() if check in asked else check(chosen, where):
                _print(finding, json=json)
                count += finding.health is Health.WRONG
    if not json:
        results().print()
        results().print(Line("Nothing is wrong.", "green") if not count else Line(f"{count} wrong: see above.", "bold red"))
    if count:
        raise typer.Exit(1)


def _print(finding: HealthFinding, *, json: bool) -> None:
    if json:
        typer.echo(as_json(finding))
        return
    console = results()
    mark, style = MARKS[finding.health]
    found = Line().append(f"{safe_line(finding.part)}: ", "bold").append(safe_block(finding.found))
    labelled(console, Line(f"{mark}  ", style), found)
    if finding.advice:
        indented(console, Line(f"→ {safe_line(finding.advice)}", "dim"), 7)


def check(json: JsonLines = False) -> None:
    """Reads the environment and .env, reads every data file, and renders every template with sample data. Each mistake comes with
    its file, the line, what is wrong and what is allowed. The generator does the same at its start, and begins no world while there
    is one. A wrong setting ends it with 2. `doctor` looks at the servers, too.

    \b
    generia check
    generia check --json | jq -r '"\\(.file):\\(.line)"'
    """
    settings()
    if not json:
        results().print("All settings are allowed values.")
    from generia_assets.content.check import files, mistakes  # with all templates: the first answer need not wait for them

    found = mistakes()
    for one in found:
        if json:
            typer.echo(as_json({"file": one.file, "line": one.line, "wrong": one.wrong}))
        else:
            results().print(Line(safe_block(str(one))))
    if found:
        raise typer.Exit(1)
    if not json:
        results().print(f"{len(files())} templates and data files have no mistake.")
