"""``generia doctor``: what is reachable, what is misconfigured, what to do about it.

Here: the command. Not here: the checks (checkup.py).
"""

from __future__ import annotations

import typer
from rich.text import Text as Line

from generia_assets.cli import inert
from generia_assets.cli.checkup import check_up
from generia_assets.cli.console import indented, results
from generia_assets.cli.findings import Health, HealthFinding
from generia_assets.cli.formats import as_json
from generia_assets.cli.order_options import JsonLines
from generia_assets.settings import SettingsError, settings

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
    for finding in check_up(chosen):
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
    line.append(f"{inert.line(finding.part)}: ", "bold")
    line.append(inert.block(finding.found), "not bold default")
    console.print(line)
    if finding.advice:
        indented(console, Line(f"→ {inert.line(finding.advice)}", "dim"), 7)
