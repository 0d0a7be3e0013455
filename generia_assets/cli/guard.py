"""How every command ends when something is wrong: one line, never a traceback, and an exit status that scripts can rely on.

Here: 0 done, 1 failed, 2 bad input or settings, 130 interrupted. Not here: the messages (the errors have them).
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import NoReturn, ParamSpec

import typer

from generia_assets.cli.console import CommandError, remarks, safe_block
from generia_assets.interrupts import EXIT_STATUS, restore_interrupts

Options = ParamSpec("Options")

STARTERS = ("demo", "dev")
"""Commands that start a generator, in the folder that they are called in."""
ENDS = "0 done, 1 failed"
EXIT_STATUSES = f"Exit status: {ENDS}, 2 bad input or a wrong setting, 130 stopped by Ctrl-C."
"""Ends every help text."""


def guarded(command: Callable[Options, None]) -> Callable[Options, None]:
    """The command, with its errors turned into a line and an exit status."""

    @functools.wraps(command)
    def run(*args: Options.args, **kwargs: Options.kwargs) -> None:
        # Not inherited: with bytecode every process that is started here begins a second or two sooner.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        restore_interrupts()
        try:
            if command.__name__ not in STARTERS:
                from generia_assets.cli.data_dir import use_running_data_dir

                use_running_data_dir()
            from generia_assets.logging_setup import levelled_lines
            from resources.settings import spare_loopback

            spare_loopback()
            with levelled_lines():  # what our packages log meanwhile goes to standard error, from LOG_LEVEL on
                command(*args, **kwargs)
        except CommandError as error:
            _exit(str(error), error.exit_code)
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_STATUS) from None
        except BrokenPipeError:  # the reader of our output has closed it: `generia history WORLD | head`
            # Python flushes standard output once more at its end, which would complain about the closed pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except Exception as error:
            if (found := _message_and_status(error)) is None:
                raise
            _exit(*found)

    return run


def _message_and_status(error: Exception) -> tuple[str, int] | None:
    """The line and the exit status for an error that a person can do something about; None: it is a fault of ours.

    The classes are imported only now: a command that does without Kafka or MongoDB need not wait for their libraries.
    """
    from pymongo.errors import ConnectionFailure

    from generia_assets.cli.connections import is_set
    from generia_assets.cli.data_dir import explain_none_running
    from generia_assets.content.yaml_files import ContentError
    from generia_assets.durable.orders.order import OrderError
    from generia_assets.durable.orders.removal import BeingMadeError
    from generia_assets.durable.status import HistoryWorldError
    from generia_assets.durable.tasks.control import GiveUpError, ResumeError
    from generia_assets.processes import ProcessError
    from generia_assets.queries.names import UnknownItemError
    from generia_assets.settings import SettingsError, settings
    from resources.gateway.outcomes import FatalCallError
    from resources.kafka.address import KafkaUnavailableError
    from resources.kafka.producer import EventTooLargeError
    from resources.mongodb.connection import MongoUnavailableError, as_forbidden
    from resources.mongodb.stored import UnreadableRecordError

    if isinstance(error, (SettingsError, ContentError, OrderError, UnknownItemError)):
        return str(error), 2
    refusals = (GiveUpError, ResumeError, BeingMadeError, HistoryWorldError, ProcessError)
    if isinstance(error, (*refusals, FatalCallError, UnreadableRecordError, EventTooLargeError)):
        return str(error), 1
    if isinstance(error, (KafkaUnavailableError, MongoUnavailableError)):
        chosen, field = settings(), "mongodb_uri" if isinstance(error, MongoUnavailableError) else "kafka_bootstrap_servers"
        return f"{error}{'' if is_set(chosen, field) else explain_none_running(chosen.generia_data_dir)}", 1
    if (forbidden := as_forbidden(error)) is not None:
        return str(forbidden), 1
    if isinstance(error, ConnectionFailure):
        return f"MongoDB answered before, and no longer does: {error}", 1
    return None


def _exit(message: str, exit_code: int) -> NoReturn:
    remarks().print(safe_block(message))
    raise typer.Exit(exit_code)
