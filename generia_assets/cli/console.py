"""Where the command line writes: one console for results, one for remarks.

Here: whether a person is watching (colours, a live display) or a program is reading (plain lines, no control codes), text of users
and models made harmless for a terminal, what becomes of text that the console's encoding has no signs for, and the error that ends
a command with one line. Consoles read no markup.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

import typer
from rich.console import Console
from rich.text import Text

WIDE = 200
"""Columns where no window limits them: tables need not cut ids."""


class CommandError(Exception):
    """Ends a command with this message on standard error and this exit status; never shown as a traceback."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def escape_unencodable() -> None:
    """Write characters that the console's encoding (latin-1, ascii) lacks as escapes, instead of raising."""
    codecs.register_error(_ESCAPES, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPES)


_ESCAPES = "generia.escapes"


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """The escapes are those of JSON, so that output of --json stays the same JSON; Python's own (\\xe9, \\U0001f98b) are not."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def is_interactive(stream: TextIO) -> bool:
    """Whether a person looks at this stream: a terminal that can show drawings, outside of CI."""
    draws = os.environ.get("TERM") not in ("dumb", "unknown", "") and (stream.encoding or "").lower().startswith("utf")
    return stream.isatty() and os.environ.get("CI", "").lower() not in ("1", "true") and draws


class _Console(Console):
    """Leaves a closed pipe to guard.py (rich itself would end the process with 1), and breaks no path."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError

    def print(self, *objects: Any, **options: Any) -> None:  # noqa: ANN401  as rich has it
        """Print. A path or an id in a sentence is not broken."""
        if self.is_terminal and len(objects) == 1 and isinstance(objects[0], str):
            indented(self, Text(objects[0]), 0)
        else:
            super().print(*objects, **options)


def console_on(stream: TextIO) -> Console:
    """A console without markup, since it prints texts of users and models. For programs: no control codes, no cut lines."""
    people = is_interactive(stream)
    return _Console(
        file=stream,
        markup=False,
        highlight=False,
        emoji=False,
        force_terminal=people,
        no_color=True if not people else None,
        soft_wrap=not people,
        width=None if people else WIDE,
    )


def results() -> Console:
    """Standard output: what the command was asked for."""
    return console_on(sys.stdout)


def remarks() -> Console:
    """Standard error: everything beside the result."""
    return console_on(sys.stderr)


def _wrapped(console: Console, text: Text, room: int) -> Iterator[Text]:
    """The text's lines. A path or an id that does not fit has a line of its own, unbroken, so that it can be copied."""
    long = [end for found in re.finditer(f"[!-~]{{{room + 1},}}", text.plain) for end in found.span()]
    for place, piece in enumerate(text.divide(long)):
        if place % 2:
            yield piece
            continue
        if long:
            piece.rstrip()
            piece = piece[len(piece.plain) - len(piece.plain.lstrip()) :]
        if piece.plain or not long:
            yield from piece.wrap(console, room)


def indented(console: Console, text: Text, by: int) -> None:
    """Print the text with all its lines moved to the right, also those that the window's edge wraps."""
    if console.is_terminal:
        room = console.width - by
        for line in _wrapped(console, text, room):
            fits = line.cell_len <= room
            console.print(Text(" " * by if fits else "").append_text(line), soft_wrap=not fits)
    else:
        for line in text.split("\n", allow_blank=True):
            console.print(Text(" " * by).append_text(line))


def labelled(console: Console, label: str | Text, text: str | Text) -> None:
    """Print a text beside its label. What the window wraps stays beside it; where that is too narrow, all of it stands below."""
    head, body = (Text(one) if isinstance(one, str) else one for one in (label, text))
    room = console.width - head.cell_len
    if not console.is_terminal or body.cell_len <= room:
        console.print(head.copy().append_text(body))
    elif room < max(head.cell_len, console.measure(body).minimum):
        console.print(head)
        indented(console, body, 4)
    else:
        for number, line in enumerate(body.wrap(console, room)):
            console.print((Text(" " * head.cell_len) if number else head.copy()).append_text(line))


def labels(console: Console, rows: Iterable[tuple[str, str]]) -> None:
    """Print texts beside their labels."""
    for label, text in rows:
        labelled(console, Text(f"  {label:12}", "dim"), Text(text))


def command_name() -> str:
    """How this command is called from here: by its name if that is found, else by its path."""
    if shutil.which("generia"):
        return "generia"
    return str(short_path(Path(sys.argv[0]).absolute()))


def short_path(path: Path) -> Path:
    """The path, relative to the current folder if it is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


_CONTROLS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029"
    "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"  # what turns the writing direction round
    "\ud800-\udfff]"  # halves of pairs, which no terminal's encoding can take
)


def safe_block(text: str) -> str:
    """The text with its line breaks; tabs become spaces, everything else that controls a terminal is left out."""
    return _CONTROLS.sub(_harmless, text.replace("\r\n", "\n"))


def _harmless(found: re.Match[str]) -> str:
    if found[0] == "\t":
        return "    "
    return "\ufffd" if "\ud800" <= found[0] <= "\udfff" else ""


def safe_line(text: str, limit: int | None = None) -> str:
    """The text on one line, cut with an ellipsis after ``limit`` characters."""
    flat = " ".join(safe_block(text).split())
    return flat if limit is None or len(flat) <= limit else flat[: limit - 1].rstrip() + "…"


def safe_json(text: str) -> str:
    """The same JSON, with everything that controls a terminal written as an escape."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def ask(question: str, *, yes: bool) -> None:
    """Return when a person says yes, or has said it before. Raises ``CommandError``, too, where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question} This is not a terminal: give --yes", 2)
    if not typer.confirm(question, err=True):
        raise CommandError("nothing was done")
