"""The command ``generia``: its commands by name, each with what it is for in one line, and how help texts are laid out.

A command's module is imported when the command is run or asked for its own help, so that ``generia --help`` and the shell's
completion answer at once. Not here: what the commands do (commands/), and how each ends when something is wrong (guard.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from generia_assets.cli.console import escape_what_has_no_sign
from generia_assets.cli.guard import EXIT_STATUSES, guarded

if TYPE_CHECKING:
    from typer._click.core import Command, Context
    from typer._click.formatting import HelpFormatter

CONTEXT = {"max_content_width": 100}
"""Columns of help texts, where the window is as wide."""


class Documented(TyperCommand):
    """A command whose arguments are called WORLD in its help, where typer writes {WORLD} in the usage and WORLD <str> below."""

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        """The usage line's words."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Arguments, then options: each with its meaning."""
        arguments: list[tuple[str, str]] = []
        options: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            if isinstance(parameter, TyperArgument):
                arguments.append((parameter.display_name_raw, record[1]))
            else:
                options.append(record)
        for title, records in (("Arguments", arguments), ("Options", options)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


HERE = "generia_assets.cli.commands"


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
        "stop": Entry("control", "stop", "Stop a world; what exists stays."),
        "resume": Entry("control", "resume", "Let a stopped or failed world go on where it stands."),
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
            "doctor",
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
