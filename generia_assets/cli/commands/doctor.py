"""``generia doctor`` and ``generia check``: what is reachable, what is misconfigured, what is wrong in the templates.

Here: the commands. Not here: the checks (health.py, health_servers.py, content/check.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import typer
from rich.text import Text as Line

from generia_assets.cli.connections import Addresses, addresses
from generia_assets.cli.console import indented, results, safe_block, safe_line
from generia_assets.cli.health import (
    Health,
    HealthFinding,
    environment_found,
    fakes_in_use,
    gemini_found,
    generator_found,
    media_found,
    models_by_date,
    templates_found,
)
from generia_assets.cli.health_servers import code_server_found, dagster_found, kafka_found, mongodb_found, worlds_found
from generia_assets.cli.options import JsonLines
from generia_assets.cli.rendering.formats import as_json
from generia_assets.content.check import files, mistakes
from generia_assets.settings import Settings, SettingsError, settings

Check = Callable[[Settings, Addresses], Iterator[HealthFinding]]

CHECKS: tuple[Check, ...] = (
    environment_found,
    templates_found,
    generator_found,
    mongodb_found,
    worlds_found,
    kafka_found,
    models_by_date,
    gemini_found,
    fakes_in_use,
    media_found,
    dagster_found,
    code_server_found,
)
MARKS = {Health.OK: ("ok   ", "green"), Health.NOTE: ("note ", "yellow"), Health.WRONG: ("WRONG", "bold red")}


def doctor(json: JsonLines = False) -> None:
    """Say what is reachable, what is misconfigured, and what to do about it.

    Looks at the settings, MongoDB (a replica set, its indexes), Kafka and its topics, Gemini (whether it knows the model and takes
    the key: a question that costs nothing), the pictures' folder and its disk, and Dagster's daemons by their heartbeats. Shows no
    secret.

    \b
    generia doctor
    generia doctor --json | jq 'select(.health == "wrong")'
    """
    wrong = 0
    console = results()
    try:
        chosen = settings()
    except SettingsError as error:
        finding = HealthFinding(
            part="settings", health=Health.WRONG, found=str(error), advice="mend them; nothing else was looked at"
        )
        _tell(finding, json=json)
        raise typer.Exit(2) from None
    _tell(HealthFinding(part="settings", health=Health.OK, found="all are allowed values"), json=json)
    where = addresses(chosen)
    for finding in (found for look in CHECKS for found in look(chosen, where)):
        _tell(finding, json=json)
        wrong += finding.health is Health.WRONG
    if not json:
        console.print()
        console.print(Line("Nothing is wrong.", "green") if not wrong else Line(f"{wrong} wrong: see above.", "bold red"))
    if wrong:
        raise typer.Exit(1)


def _tell(finding: HealthFinding, *, json: bool) -> None:
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


def check(json: JsonLines = False) -> None:
    """Look for mistakes in the templates and data files, without a server.

    Reads every data file and renders every template with sample data. Each mistake is told with its file, the
    line, what is wrong and what is allowed. The generator does the same at its start, and begins no
    world while there is one.

    \b
    generia check
    generia check --json | jq -r '"\\(.file):\\(.line)"'
    """
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
