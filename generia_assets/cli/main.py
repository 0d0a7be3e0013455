"""The command ``generia``: its commands put together.

Not here: which commands there are (commands.py), how each of them ends when something is wrong (guard.py), and what they do.
"""

from __future__ import annotations

from typing import Annotated

import typer

from generia_assets.cli.commands import COMMANDS, Commands, placeholder
from generia_assets.cli.guard import EXIT_STATUSES
from generia_assets.cli.helps import CONTEXT

EPILOG = f"""{EXIT_STATUSES}

Where MongoDB, Kafka and Dagster are: from the environment or .env (MONGODB_URI, KAFKA_BOOTSTRAP_SERVERS, DAGSTER_HOME);
what is not set there is found where a running `generia dev` of this folder has it.

WORLD is a world's id, as `send` prints it and `list` lists it. With --json a command's standard output is JSON alone, and
whole unless you set a limit; everything said beside it goes to standard error. Piped output has no control codes.
"""

app = typer.Typer(
    cls=Commands,
    name="generia",
    help="Worlds of people, pictures and posts, made from one sentence.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=CONTEXT,
)


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"generia {version('generia')}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and exit.", show_default=False)
]


@app.callback(help=app.info.help, epilog=EPILOG)
def _options(version: Version = False) -> None:
    del version


for name, entry in COMMANDS.items():
    app.command(name)(placeholder(entry.about))
