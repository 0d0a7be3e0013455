"""The command ``generia``: its commands put together, and how each of them ends when something is wrong.

Here: one line for every outage and every wrong setting, never a traceback; exit status 1 for what failed, 2 for bad input, 130 for
an interruption. Not here: what the commands do (one file for each group beside this one).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import NoReturn, ParamSpec

import typer
from pymongo.errors import ConnectionFailure

from generia_assets.cli import inert
from generia_assets.cli.console import CommandError
from generia_assets.cli.dead_letters import dead_letters
from generia_assets.cli.demo import demo
from generia_assets.cli.dev import dev
from generia_assets.cli.interrupts import EXIT_STATUS
from generia_assets.cli.look import logs, show, stats, status
from generia_assets.cli.orders import quote, send, watch
from generia_assets.cli.processes import ChildFailedError
from generia_assets.cli.steer import resume, stop
from generia_assets.settings import SettingsError
from resources.kafka_client import KafkaUnavailableError
from resources.mongo import MongoUnavailableError

Options = ParamSpec("Options")


def guarded(command: Callable[Options, None]) -> Callable[Options, None]:
    """The command, with its errors turned into a line and an exit status."""

    @functools.wraps(command)
    def run(*args: Options.args, **kwargs: Options.kwargs) -> None:
        # Not handed down: bytecode lets every process that is started here begin a second or two sooner.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        try:
            command(*args, **kwargs)
        except CommandError as error:
            _end(str(error), error.exit_code)
        except SettingsError as error:
            _end(str(error), 2)
        except (ChildFailedError, KafkaUnavailableError, MongoUnavailableError) as error:
            _end(str(error), 1)
        except ConnectionFailure as error:
            _end(f"MongoDB answered before, and no longer does: {error}", 1)
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_STATUS) from None

    return run


def _end(message: str, exit_code: int) -> NoReturn:
    typer.echo(inert.block(message), err=True)
    raise typer.Exit(exit_code)


app = typer.Typer(
    name="generia",
    help="Worlds of people, pictures and posts, made from one sentence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for one in (demo, dev, send, watch, quote, status, show, stats, logs, stop, resume):
    app.command()(guarded(one))
app.add_typer(dead_letters(guarded))
