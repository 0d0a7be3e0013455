"""The command ``generia``: its commands put together.

Not here: which commands there are (commands.py), how each of them ends when something is wrong (guard.py), and what they do.
"""

from __future__ import annotations

import typer

from generia_assets.cli.commands import COMMANDS, CONTEXT, Commands, placeholder
from generia_assets.cli.guard import EXIT_STATUSES

EPILOG = f"""{EXIT_STATUSES}

Where MongoDB, Kafka and Dagster are: from the environment or .env (MONGODB_URI, KAFKA_BOOTSTRAP_SERVERS, DAGSTER_HOME);
what is not set there is found where a running `generia dev` of this folder has it.

WORLD is a world's id, as `send` prints it and `list` lists it. With --json a command's standard output is JSON alone; everything
said beside it goes to standard error. Piped output has no control codes.
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
for name, entry in COMMANDS.items():
    app.command(name)(placeholder(entry.about))
