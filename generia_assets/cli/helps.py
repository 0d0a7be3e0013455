"""How help texts are laid out, the same for every command.

Here: their width, and arguments named as people write them. Not here: what they say (each command's docstring and options).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.core import TyperArgument, TyperCommand

if TYPE_CHECKING:  # typer carries its own click, and names it only there
    from typer._click.core import Context
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
