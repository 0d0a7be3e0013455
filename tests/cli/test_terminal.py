"""The output of the command on each kind of console: a terminal, a dumb one, one without colours, a pipe, one without Unicode."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from rich.cells import cell_len

from generia_assets.durable.collections import STATUS
from generia_assets.durable.status import new_status
from tests.support.command import AND, Command, on_a_terminal

WORLD = "0b6f9a52-6a7c-4f0e-9d39-5a9a3f2f6c10"
PROMPT = "[bold]\x1b[2J\x9b31m город 🦋"
CODE = re.compile(r"\x1b")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7]|38;[25];[\d;]+)(?:;\d+)*m")
MOVES = "\x1b[1A"
"""One line up: something is drawn over itself."""
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")


@pytest.fixture
def generia(mongodb_uri: str, mongo_client: MongoClient[dict[str, Any]], mongo_database_name: str, tmp_path: Path) -> Command:
    """The command on a database with a finished world of a hostile name and prompt."""
    now = datetime.now(UTC)
    done = {"status": "completed", "finished_at": now, "updated_at": now, "name": PROMPT, "users_created": 1, "posts_created": 1}
    record = new_status("w", {"user_prompt": PROMPT}, users=1, posts=1) | {"_id": WORLD} | done
    mongo_client[mongo_database_name][STATUS].insert_one(record)
    return Command(tmp_path, {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": mongo_database_name})


def test_a_terminal_gets_one_updated_display_in_colours(generia: Command) -> None:
    """On a terminal `watch` updates its display in place, restores the cursor, and prints no control code of the world's texts."""
    text = on_a_terminal(generia, "watch", WORLD)
    assert COLOUR.search(text)
    assert MOVES in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert "\x1b[2J" not in text
    assert "\x9b" not in text
    assert "people" in text
    assert "completed: people 1/1" in text


def test_no_color_removes_the_colours(generia: Command) -> None:
    """With NO_COLOR the display is the same without colours."""
    text = on_a_terminal(generia, "watch", WORLD, NO_COLOR="1")
    assert MOVES in text
    assert not COLOUR.search(text)


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"CI": "true"}, {"PYTHONIOENCODING": "latin-1:strict"}], ids=str)
def test_a_simple_terminal_gets_plain_lines(generia: Command, environment: dict[str, Any]) -> None:
    """A dumb terminal, that of a CI, or one that lacks the drawing characters, gets the lines of a pipe, without control codes."""
    text = on_a_terminal(generia, "watch", WORLD, **environment)
    assert not OBEYED.search(text)
    assert "0.0 s  watching: " in text
    assert "completed: people 1/1" in text


NARROW = ("watch", WORLD, AND, "list", AND, "status", WORLD, AND, "stats", WORLD, AND, "show", WORLD, AND, "show", WORLD, "status")
QUOTES = ("quote", AND, "quote", "--compare", AND, "check")


def test_everything_fits_a_narrow_window(generia: Command) -> None:
    """In a window of 40 columns no line is longer, so that the terminal breaks no word."""
    text = on_a_terminal(generia, *NARROW, AND, *QUOTES, columns=40, NO_COLOR="1")
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n").splitlines()
    assert [line for line in lines if cell_len(line) > 40] == []


def test_a_pipe_gets_no_control_codes(generia: Command) -> None:
    """A pipe gets only the text, even if the environment describes a terminal with colours."""
    generia.settings |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "CI": ""}
    exit_code, out, err = generia.run("watch", WORLD, AND, "list", AND, "status", WORLD, AND, "show", WORLD, "status")
    assert exit_code == 0, err
    assert not OBEYED.search(out + err)
    assert ["[bold]" in text for text in out.split(AND)] == [True] * 4


def test_characters_that_a_console_lacks_are_escaped(generia: Command) -> None:
    """A console without Cyrillic letters gets escapes for them; the JSON result is the same as everywhere."""
    generia.settings["PYTHONIOENCODING"] = "latin-1:strict"
    exit_code, out, err = generia.run("status", WORLD, AND, "status", WORLD, "--json")
    assert (exit_code, err) == (0, "")
    text, as_json = out.split(AND)
    assert "\\u0433\\u043e\\u0440\\u043e\\u0434" in text
    assert json.loads(as_json)["name"] == PROMPT
