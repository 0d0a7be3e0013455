"""The commands of ``generia`` by name: where each is, and what it is for in one line.

A command's module is imported when the command is run or asked for its own help, so that ``generia --help`` and the shell's
completion answer at once. Not here: what the commands do (one file for each group beside this one).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from generia_assets.cli.console import escape_what_has_no_sign
from generia_assets.cli.guard import EXIT_STATUSES, guarded
from generia_assets.cli.helps import CONTEXT, Documented

if TYPE_CHECKING:  # typer carries its own click, and names it only there
    from typer._click.core import Command, Context
    from typer._click.formatting import HelpFormatter

HERE = "generia_assets.cli"


@dataclass(frozen=True)
class Entry:
    """A command: its module and function, and its short help (the first line of the function's docstring)."""

    module: str
    function: str
    about: str
    is_group: bool = False
    exit_statuses: str = EXIT_STATUSES

    @property
    def path(self) -> str:
        """The module's full name. One without a dot stands beside this one."""
        return self.module if "." in self.module else f"{HERE}.{self.module}"


GROUPS: dict[str, dict[str, Entry]] = {
    "Try it": {
        "demo": Entry("local_services.demo", "demo", "Start a whole generator, make one world, show it, and end."),
        "dev": Entry("local_services.dev", "dev", "Start the generator and Dagster's pages, and stay until Ctrl-C."),
    },
    "Order a world": {
        "quote": Entry("orders", "quote", "Say what a world takes before it is ordered."),
        "send": Entry("orders", "send", "Order a world by Kafka message, and print the world's id."),
        "watch": Entry(
            "orders",
            "watch",
            "Show a world's progress until it is finished.",
            exit_statuses=EXIT_STATUSES.replace(
                "0 done, 1 failed", "0 it is completed, 1 it failed or was stopped, or nobody read the order within --wait"
            ),
        ),
    },
    "Steer it": {
        "stop": Entry("steer", "stop", "Stop a world; what exists stays."),
        "resume": Entry("steer", "resume", "Let a stopped or failed world go on where it stands."),
        "rerun": Entry("rerun", "rerun", "Make a part of a world, one person or one post again, by Kafka message."),
    },
    "Look at it": {
        "list": Entry("worlds", "list_worlds", "List worlds, those that changed last first: state, people, posts, dollars."),
        "status": Entry("worlds", "status", "Show one world's state: stages, counters, costs, what it waits for, what failed."),
        "view": Entry("view", "view", "Serve the worlds' pages, those in the making too, until Ctrl-C."),
        "show": Entry("show", "show", "Show every object that MongoDB keeps of a world, by section, type and id."),
        "trace": Entry("trace", "trace", "Follow a post, or a person, back to the prompts and answers that made it."),
        "history": Entry("history", "history", "List a world's requests and answers, filtered."),
        "stats": Entry("stats", "stats", "Count what a world took: tasks, calls, times, tokens, dollars, and where its time went."),
        "logs": Entry("logs", "logs", "Show a world's own log, or a log of the parts that demo and dev start."),
        "export": Entry("export", "export", "Write a whole world into a folder: JSON Lines by section, and a book in Markdown."),
    },
    "Change what it writes": {
        "prompts": Entry(
            "prompts",
            "prompts",
            "Write every request of a small world into files, without a call.",
            exit_statuses=EXIT_STATUSES.replace("0 done, 1 failed", "0 done, 1 an answer is missing or does not fit"),
        ),
        "check": Entry(
            "check",
            "check",
            "Look for mistakes in the templates and data files, without a server.",
            exit_statuses=EXIT_STATUSES.replace("0 done, 1 failed", "0 there is no mistake, 1 there is one"),
        ),
    },
    "Keep it running": {
        "retire": Entry("removal", "retire", "Take worlds that are over out of Dagster; their documents and pictures stay."),
        "delete": Entry("removal", "delete", "Delete a world: documents, pictures, pages, partition and runs in Dagster."),
        "doctor": Entry(
            "doctor",
            "doctor",
            "Say what is reachable, what is misconfigured, and what to do about it.",
            exit_statuses=EXIT_STATUSES.replace("0 done, 1 failed", "0 nothing is wrong (notes may be there), 1 something is"),
        ),
        "dead-letters": Entry(
            "dead_letters",
            "dead_letters",
            "Messages that were no orders: see them with their reasons, and send mended ones again.",
            is_group=True,
        ),
    },
}
COMMANDS = {name: entry for group in GROUPS.values() for name, entry in group.items()}


def load(name: str) -> Command:
    """The command itself."""
    entry = COMMANDS[name]
    try:
        function = getattr(import_module(entry.path), entry.function)
    except ModuleNotFoundError as error:
        if error.name is None or not entry.path.startswith(error.name):
            raise
        typer.echo(f"`generia {name}` needs the package {error.name}, which is not installed here: use a checkout", err=True)
        raise typer.Exit(1) from None
    if entry.is_group:
        return typer.main.get_command(function(guarded))
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, context_settings=CONTEXT)
    alone.command(name, cls=Documented, epilog=COMMANDS[name].exit_statuses)(guarded(function))
    return typer.main.get_command(alone)


class Commands(TyperGroup):
    """The group of all commands. Its members are placeholders, good for lists; the one that is called is loaded."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  typer's own signature is handed on
        """Everything begins here: a command, a help text, the shell's completion."""
        escape_what_has_no_sign()
        return super().main(*args, **kwargs)

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """Find the command that was called, and load it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(command.name) if command is not None and command.name else None, rest

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """The commands by what people come for."""
        del ctx
        for title, entries in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:12}", entry.about) for name, entry in entries.items()])


def placeholder(about: str) -> Callable[[], None]:
    """What stands in the group for a command that is not loaded."""

    def stand_in() -> None:
        raise AssertionError("the group loads the command that is called")  # pragma: no cover

    stand_in.__doc__ = about
    return stand_in
