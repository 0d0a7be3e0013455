"""``generia doctor``: what is reachable, what is misconfigured, what to do about it.

Here: the command. Not here: the checks (health.py, health_servers.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import typer
from rich.text import Text as Line

from generia_assets.cli import health
from generia_assets.cli import health_servers as servers
from generia_assets.cli.connections import Addresses, addresses
from generia_assets.cli.console import indented, results, safe_block, safe_line
from generia_assets.cli.health import Health, HealthFinding, ok, wrong
from generia_assets.cli.options import JsonLines
from generia_assets.cli.rendering.formats import as_json
from generia_assets.settings import Settings, SettingsError, settings

Check = Callable[[Settings, Addresses], Iterator[HealthFinding]]

CHECKS: tuple[Check, ...] = (
    health.environment_found,
    health.templates_found,
    health.generator_found,
    servers.mongodb_found,
    servers.worlds_found,
    servers.kafka_found,
    health.models_by_date,
    health.gemini_found,
    health.image_api_found,
    health.platform_found,
    health.media_found,
    servers.dagster_found,
    servers.code_server_found,
    servers.workers_found,
)
MARKS = {Health.OK: ("ok   ", "green"), Health.NOTE: ("note ", "yellow"), Health.WRONG: ("WRONG", "bold red")}


def doctor(json: JsonLines = False) -> None:
    """Say what is reachable, what is misconfigured, and what to do about it.

    Looks at the settings, MongoDB (a replica set, its indexes), Kafka and its topics, Gemini (whether it knows the model and takes
    the key: a question that costs nothing), the platform's services (with PLATFORM=grpc), the pictures' folder and its disk,
    Dagster's daemons by their heartbeats, and the workers of a fleet. Shows no secret.

    \b
    generia doctor
    generia doctor --json | jq 'select(.health == "wrong")'
    """
    try:
        chosen = settings()
    except SettingsError as error:
        _print(wrong("settings", str(error), "correct them; nothing else was checked"), json=json)
        raise typer.Exit(2) from None
    _print(ok("settings", "all are allowed values"), json=json)
    count, where = 0, addresses(chosen)
    for finding in (found for check in CHECKS for found in check(chosen, where)):
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
    line = Line(f"{mark}  ", style)
    line.append(f"{safe_line(finding.part)}: ", "bold")
    line.append(safe_block(finding.found), "not bold default")
    console.print(line)
    if finding.advice:
        indented(console, Line(f"→ {safe_line(finding.advice)}", "dim"), 7)
