"""``generia check``: the templates and data files, before a world is paid for with a mistake in them.

Here: the command. Not here: what is looked at (content/check.py).
"""

from __future__ import annotations

import typer
from rich.text import Text as Line

from generia_assets.cli import inert
from generia_assets.cli.console import results
from generia_assets.cli.formats import as_json
from generia_assets.cli.order_options import JsonLines
from generia_assets.content.check import files, mistakes


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
            results().print(Line(inert.block(str(one))))
    if found:
        raise typer.Exit(1)
    if not json:
        results().print(f"{len(files())} templates and data files have no mistake.")
