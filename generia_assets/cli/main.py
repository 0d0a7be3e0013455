"""The command ``generia``: its commands by name, each with what it is for in one line, and how help texts are laid out.

A command's module is imported when the command is run or asked for its own help, so that ``generia --help`` and the shell's
completion answer at once. Not here: what the commands do (commands/), and how each ends when something is wrong (guard.py).
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from importlib import import_module
from inspect import getdoc
from typing import Annotated, Any

import typer
from typer._click.core import Command, Context
from typer._click.exceptions import UsageError
from typer._click.formatting import HelpFormatter, wrap_text
from typer.core import TyperArgument, TyperCommand, TyperGroup

from generia_assets.cli.console import escape_unencodable, is_interactive
from generia_assets.cli.guard import ENDS, EXIT_STATUSES, guarded

WIDEST, NARROW = 100, 60
"""Columns of help texts at most, and below how many the meaning of an option stands under its name."""
PLAIN: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": None}


def _write_parameters(command: TyperCommand | TyperGroup, ctx: Context, formatter: HelpFormatter) -> None:
    """Arguments, then options: each with its meaning."""
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for parameter in command.get_params(ctx):
        if (record := parameter.get_help_record(ctx)) is None:
            continue
        if isinstance(parameter, TyperArgument):
            sections["Arguments"].append((parameter.display_name_raw, record[1]))
        else:
            sections["Options"].append(record)
    for title, records in sections.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records, col_max=4 if formatter.width < NARROW else 30)


class Documented(TyperCommand):
    """A command whose arguments are called WORLD in its help, where typer writes {WORLD} in the usage and WORLD <str> below."""

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        _write_parameters(self, ctx, formatter)


class DocumentedGroup(TyperGroup):
    """A group of commands; its help is laid out like that of a command."""

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        _write_parameters(self, ctx, formatter)
        self.format_commands(ctx, formatter)


@dataclass(frozen=True)
class Entry:
    """A command: its module (one without a dot is in commands/), its short help, its own exit statuses beside 2 and 130.

    ``function``: its name there, if it is not the command's. The help goes on with the function's docstring.
    ``takes_negative``: an argument may be a negative number.
    """

    module: str
    about: str
    ends: str = ENDS
    function: str = ""
    takes_negative: bool = False


GROUPS: dict[str, dict[str, Entry]] = {
    "Make a world": {
        "demo": Entry("local_services.demo", "Start a whole generator, make one world, show it, and end."),
        "dev": Entry("local_services.dev", "Start the generator and Dagster's pages, and stay until Ctrl-C."),
        "quote": Entry("quotes", "Say what a world takes before it is ordered."),
        "send": Entry("orders", "Order a world by Kafka message, and print the world's id."),
        "watch": Entry(
            "orders",
            "Show a world's progress until it is finished.",
            "0 it is completed, 1 it failed or was stopped, or no generator read the order within --wait",
        ),
    },
    "Look at worlds": {
        "list": Entry("worlds", "List worlds, those that changed last first.", function="list_worlds"),
        "status": Entry("worlds", "Show one world's state: stages, counters, costs, what it waits for, what failed."),
        "view": Entry("view", "Serve the worlds' pages, those in the making too, until Ctrl-C."),
        "show": Entry("show", "Show every object that MongoDB keeps of a world, by section, type and id."),
        "trace": Entry("trace", "Follow a post, or a person, back to the prompts and answers that made it."),
        "history": Entry("history", "List a world's requests and answers, filtered."),
        "stats": Entry("stats", "Count what a world took: tasks, calls, times, tokens, dollars, and where its time went."),
        "logs": Entry("logs", "Show a world's own log, or a log of the services that demo and dev start."),
        "export": Entry("export", "Write a whole world into a folder: JSON Lines by section, and a book in Markdown."),
    },
    "Change worlds": {
        "stop": Entry("control", "Stop worlds; what exists stays."),
        "resume": Entry("control", "Let stopped or failed worlds go on where they stand."),
        "prioritise": Entry("control", "Change a world's priority among all worlds.", takes_negative=True),
        "extend": Entry("rerun", "Add people and posts to a completed world, by Kafka message."),
        "rerun": Entry("rerun", "Make a part of a world, one person or one post again, by Kafka message."),
        "retire": Entry("removal", "Remove worlds that are over from Dagster; their documents and pictures stay."),
        "delete": Entry("removal", "Delete worlds: documents, pictures, pages, partitions and runs in Dagster."),
    },
    "Keep the generator running": {
        "check": Entry(
            "doctor",
            "Look for mistakes in settings, templates and data files, without a server.",
            "0 there is no mistake, 1 there is one",
        ),
        "doctor": Entry(
            "doctor",
            "Say what is reachable, what is misconfigured, and what to do about it.",
            "0 nothing is wrong (notes may be there), 1 something is",
        ),
        "prompts": Entry(
            "prompts",
            "Write every request of a small world into files, without a call.",
            "0 done, 1 an answer is missing or does not fit",
        ),
        "dead-letters": Entry(
            "dead_letters",
            "Messages that were no orders: see them with their reasons, and send corrected ones again.",
            function="dead_letters",
        ),
    },
}
COMMANDS = {name: entry for group in GROUPS.values() for name, entry in group.items()}


def load(name: str) -> Command:
    """The command itself: a function, or a Typer with commands of its own."""
    entry = COMMANDS[name]
    path = entry.module if "." in entry.module else f"generia_assets.cli.commands.{entry.module}"
    try:
        found = getattr(import_module(path), entry.function or name)
    except ModuleNotFoundError as error:
        if error.name is None or not path.startswith(error.name):
            raise
        typer.echo(f"`generia {name}` needs the package {error.name}, which is not installed here: use a checkout", err=True)
        raise typer.Exit(1) from None
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    alone = typer.Typer(**PLAIN)
    context = {"ignore_unknown_options": entry.takes_negative}
    about, ends = f"{entry.about}\n\n{getdoc(found)}", EXIT_STATUSES.replace(ENDS, entry.ends)
    alone.command(name, cls=Documented, context_settings=context, help=about, epilog=ends)(guarded(found))
    return typer.main.get_command(alone)


class Commands(DocumentedGroup):
    """The group of all commands. Those that are only listed are placeholders; the one that is called is loaded."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  typer's own signature is handed on
        """Everything begins here: a command, a help text, the shell's completion."""
        escape_unencodable()
        if (columns := shutil.get_terminal_size().columns) < NARROW:  # click itself writes 50 at least
            self.context_settings["terminal_width"] = columns - 2
        return super().main(*args, **kwargs)

    def invoke(self, ctx: Context) -> Any:  # noqa: ANN401  typer's own signature
        """Run a command. What is wrong with its options is wrapped for the window."""
        try:
            return super().invoke(ctx)
        except UsageError as error:
            if not is_interactive(sys.stderr):
                raise
            columns = shutil.get_terminal_size().columns
            wrapped = wrap_text(f"Error: {error.format_message()}", min(columns, WIDEST) - 2)
            raise UsageError(wrapped.removeprefix("Error: "), error.ctx) from None

    def list_commands(self, ctx: Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """What stands for a command in lists."""
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name].about) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(command.name) if command is not None and command.name else None, rest

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        for title, entries in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:12}", entry.about) for name, entry in entries.items()])


EPILOG = f"""{EXIT_STATUSES}

Where MongoDB, Kafka and Dagster are: from the environment or .env (MONGODB_URI, KAFKA_BOOTSTRAP_SERVERS, DAGSTER_HOME);
what is not set there is found where a running `generia dev` of this folder has it.

WORLD is a world's id, its name, the beginning of one of both, or last for the newest; `list` shows them. With --json a command's
standard output is JSON alone, and whole unless you set a limit; everything else goes to standard error. Piped output has no
control codes.
"""

app = typer.Typer(
    cls=Commands,
    name="generia",
    help="Worlds of people, pictures and posts, made from one sentence.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": WIDEST},
)


def _say_version(wanted: bool) -> None:
    if wanted:
        from generia_assets import generia_version

        typer.echo(f"generia {generia_version()}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and exit.", show_default=False)
]


@app.callback(help=app.info.help, epilog=EPILOG)
def _options(version: Version = False) -> None:
    del version
