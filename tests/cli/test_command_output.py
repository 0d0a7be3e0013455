"""P18-P21, P23: refusals and their time, narrow windows, pipes, and counts, in commands that need no world."""

from __future__ import annotations

import io
import re
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from generia_assets.cli.commands.view import _listening
from generia_assets.cli.console import results
from generia_assets.cli.rendering.displays import Display, world_panel
from generia_assets.cli.rendering.lines import progress_line
from generia_assets.cli.texts import Text
from generia_assets.cli.watching import Snapshot
from generia_assets.content.text import plural
from generia_assets.durable.status import Stage, WorldStatus
from generia_assets.pages.links import ServedLinks
from generia_assets.pages.render import WorldPages
from generia_assets.queries.in_flight import InFlightCalls
from generia_assets.queries.worlds import WorldView
from local_services.services import Ownership, Service, services_panel
from tests.cli.test_people_commands import FIRST, ON_A_WORLD, named, record
from tests.support.command import Command, on_a_terminal

NOWHERE = "mongodb://127.0.0.1:9/"


@pytest.mark.parametrize(
    "command", [["list"], ["trace", FIRST], *(named(one, FIRST) for one in ON_A_WORLD[::3])], ids=lambda one: f"P19 {one[0]}"
)
@pytest.mark.slow
def test_an_unavailable_mongodb_is_reported_within_two_seconds(tmp_path: Path, command: list[str]) -> None:
    """Every command that needs MongoDB reports within two seconds that it does not answer, and what to do: exit status 1."""
    began = time.monotonic()
    exit_code, out, err = Command(tmp_path, {"MONGODB_URI": NOWHERE}).call(*command)
    assert (exit_code, out) == (1, "")
    assert "MongoDB at 127.0.0.1:9 did not answer" in err
    assert time.monotonic() - began < 15  # two, on a busy machine; the driver's default is thirty


@pytest.mark.parametrize("command", [["send", "--prompt", "a lake"], ["dead-letters"]], ids=lambda one: f"P19 {one[0]}")
@pytest.mark.slow
def test_an_unavailable_kafka_is_reported_within_two_seconds(tmp_path: Path, command: list[str]) -> None:
    """The same as for MongoDB."""
    began = time.monotonic()
    exit_code, out, err = Command(tmp_path, {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}).call(*command)
    assert (exit_code, out) == (1, "")
    assert "Kafka at 127.0.0.1:9 did not answer" in err
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param(["watch", "last", "--task", "nope"], "'nope' is no task's id", id="P19 a task that is none"),
        pytest.param(["logs", " "], "' ' is no world's id", id="P19 neither world nor part"),
        pytest.param(["logs", "--part", "nonsense"], "'nonsense': no such service", id="P19 no part"),
        pytest.param(["show", "last", "people"], "'people' is not request,", id="P19 no section"),
    ],
)
def test_impossible_input_is_refused_without_a_server(tmp_path: Path, command: list[str], said: str) -> None:
    """Input that is recognizably wrong is refused at once with exit status 2, whether a server answers or not; a missing server
    gives 1."""
    exit_code, out, err = Command(tmp_path, {"MONGODB_URI": NOWHERE}).call(*command)
    assert (exit_code, out) == (2, "")
    assert said in err


@pytest.mark.case("P19")
@pytest.mark.slow
def test_logs_of_an_unknown_part_without_mongodb_names_both_problems(tmp_path: Path) -> None:
    """`logs nonsense` without MongoDB reports that there is no such part, and that worlds cannot be looked up."""
    exit_code, out, err = Command(tmp_path, {"MONGODB_URI": NOWHERE}).call("logs", "nonsense")
    assert (exit_code, out) == (1, "")
    assert "'nonsense': no such service" in err and "MongoDB at 127.0.0.1:9 did not answer" in err


@pytest.mark.parametrize("how", [[], ["--json"]], ids=["P17 text", "P17 json"])
def test_a_parts_log_is_piped_without_its_colours(tmp_path: Path, how: list[str]) -> None:
    """Dagster's processes write colour codes into their logs; `logs` prints only the text."""
    coloured = "\x1b[32m2026-11-28 23:44:39\x1b[0m - \x1b[34mINFO\x1b[0m - \x1b[38;5;12mlooks\x1b[1;31m for orders\n"
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "daemon.log").write_text(coloured)
    exit_code, out, _ = Command(tmp_path).call("logs", "daemon", *how)
    assert exit_code == 0
    assert "2026-11-28 23:44:39 - INFO - looks for orders" in out
    assert "\x1b" not in out and "[3" not in out and "u001b" not in out


@pytest.mark.case("P17")
@pytest.mark.servers
def test_a_parts_log_on_a_terminal_has_no_colours_with_no_color(tmp_path: Path) -> None:
    """With NO_COLOR no colour code of the log reaches a terminal."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "daemon.log").write_text("\x1b[32mgreen\x1b[0m\n")
    assert on_a_terminal(Command(tmp_path), "logs", "daemon", NO_COLOR="1").strip() == "green"


def a_moment(**changes: Any) -> Snapshot:
    stages = [{"name": stage.value, "status": "completed" if place < 3 else "in_progress"} for place, stage in enumerate(Stage)]
    growing = {"status": "in_progress", "stages": stages, "users_predicted": 1000, "users_created": 999, "posts_predicted": 10_000}
    made = {"api_calls_made_LLM": 79, "api_call_limits_LLM": 129}
    status = WorldStatus.model_validate(record(FIRST) | growing | made | changes)
    return Snapshot(status, [], 12.3, InFlightCalls(llm=12, llm_ceiling=15, images=3, image_ceiling=10), 42.0)


@pytest.mark.parametrize("columns", [40, 60, 80, 120], ids=lambda columns: f"P20 {columns} columns")
def test_the_start_stays_readable(columns: int) -> None:
    """In a window of any width each part of a start has one line, with its mark and its name."""
    out = io.StringIO()
    parts = [Service("MongoDB", Ownership.YOURS, address="db.example.org:27017"), Service("code server", Ownership.GENERATOR)]
    Console(file=out, width=columns, color_system=None).print(services_panel(parts))
    lines = out.getvalue().splitlines()
    assert len(lines) == 4 and max(map(len, lines)) <= columns
    assert "● MongoDB" in lines[1] and "○ code server" in lines[2]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param(
            ["send", "--prompt", "x", "--users", "9" * 20], f"--users {'9' * 20}: at most 100000 (MAX_USERS)", id="P21 users"
        ),
        pytest.param(["quote", "--posts", "9" * 20], f"--posts {'9' * 20}: at most 1000000 (MAX_POSTS)", id="P21 posts"),
        pytest.param(["history", "x", "--limit", "9" * 20], f"{'9' * 20} is too much: at most 1000000000", id="P21 limit"),
        pytest.param(["dev", "--port", "99999"], "99999 is too much: at most 65535", id="P21 port"),
        pytest.param(["history", "x", "--since", "999999d"], "'999999d' is neither", id="P21 before all time"),
        pytest.param(["rerun", "x", "--post", "A", "--character", "B"], "--character and --post: one thing", id="P21 two at once"),
        pytest.param(["rerun", "x"], "one of --part PART, --character PERSON, --post POST", id="P21 none"),
        pytest.param(["view", "--host", "300.1.1.1"], "--host 300.1.1.1: neither an address nor the name", id="P21 no address"),
        pytest.param(["view", "--host", "192.0.2.1"], "--host 192.0.2.1: no address of this machine", id="P21 others' address"),
    ],
)
def test_a_wrong_value_is_reported_with_what_is_allowed(tmp_path: Path, command: list[str], said: str) -> None:
    """The message names the option, the value and what is allowed; exit status 2, before any server is asked."""
    exit_code, out, err = Command(tmp_path, {"MONGODB_URI": NOWHERE}).call(*command)
    assert (exit_code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("host", "warned"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)], ids=lambda one: f"P21 {one}"
)
def test_pages_without_a_password_give_a_warning(capsys: pytest.CaptureFixture[str], host: str, warned: bool) -> None:
    """A warning says that pages outside loopback can be read by everybody who reaches the machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with _listening(host, port):
        pass
    assert ("no password" in capsys.readouterr().err) is warned


@pytest.mark.parametrize(
    ("number", "what", "said"),
    [
        (1, "call", "1 call"),
        (0, "call", "0 calls"),
        (2, "person", "2 people"),
        (1, "person", "1 person"),
        (1500, "byte", "1,500 bytes"),
    ],
    ids=lambda one: f"P23 {one}",
)
def test_one_is_singular(number: int, what: str, said: str) -> None:
    """A count of one has a singular noun."""
    assert plural(number, what) == said


@pytest.mark.case("P23")
def test_a_progress_line_has_the_figures_of_the_whole_world() -> None:
    """After a rerun the calls would be those of the rerun: the line has only figures of the whole world."""
    made = WorldStatus.model_validate(record("w", llm_cost_total=0.0574, api_calls_made_LLM=28, api_calls_made_images=14))
    again = made.model_copy(update={"api_calls_made_LLM": 1, "api_calls_made_images": 1})
    assert progress_line(again) == progress_line(made)
    assert progress_line(made).endswith("people 1/1, posts 1/1, $0.0574")


@pytest.mark.parametrize("status", ["in_progress", "completed"], ids=lambda one: f"P23 {one}")
def test_a_line_of_progress_never_counts_less_than_was_printed(status: str) -> None:
    """A snapshot reads the counters before the texts, so that the line of counters comes before the texts; the last line has the
    result."""
    out = io.StringIO()
    moment = a_moment(status=status)
    Display(Console(file=out, width=100)).show(replace(moment, texts=[Text("person", "Mira", "a beekeeper")]))
    counts, person = out.getvalue().index("people 999/1000"), out.getvalue().index("person: Mira")
    assert (counts < person) is (status == "in_progress")


@pytest.mark.parametrize("status", ["in_progress", "failed"], ids=lambda one: f"P23 {one}")
def test_a_failed_world_without_a_name_is_not_said_to_get_one(status: str) -> None:
    """If a world failed before it had a name, no command says that it has no name yet."""
    out = io.StringIO()
    Console(file=out, width=100).print(world_panel(a_moment(name="", status=status), [], prompt="a lake"))
    assert "a world without a name" in out.getvalue()
    assert "yet" not in out.getvalue()


@pytest.mark.case("P18")
def test_a_closed_pipe_is_not_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """`generia show WORLD | head`: the broken pipe reaches guard.py, which ends the command with 0, instead of rich's 1."""
    console = results()

    def gone(_: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(console.file, "write", gone)
    with pytest.raises(BrokenPipeError):
        console.print("a line")


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        pytest.param("a lake in the hills where the bees are", "Model calls 79 (limit 129)", id="P23 English"),
        pytest.param("город, где дождь идёт из книг", "Запросы к модели 79 (предел 129)", id="P23 Russian"),
    ],
)
def test_a_page_shows_the_limit_of_calls_apart_from_the_calls(prompt: str, said: str) -> None:
    """A world's page shows the number of calls apart from their limit, so that the limit does not look like the total."""
    status = a_moment(parameters={"user_prompt": prompt}).status
    assert status is not None
    html = WorldPages(WorldView(status=status, description=None, images=None), ServedLinks(FIRST)).fragment("progress")
    assert said in " ".join(re.sub(r"<[^>]+>", "", html).split())


@pytest.mark.parametrize("columns", [40, 60, 80, 120], ids=lambda columns: f"P20 {columns} columns")
def test_counts_and_marks_of_stages_are_never_cut(columns: int) -> None:
    """In a window of any width each stage has its mark, its name and its count; only the bar becomes shorter."""
    out = io.StringIO()
    Console(file=out, width=columns, color_system=None).print(world_panel(a_moment(), [], prompt="a lake"))
    shown = out.getvalue()
    assert max(map(len, shown.splitlines())) <= columns
    for line in ("● description ━", "◐ people", "◐ posts", "◐ finishing"):
        assert line in shown
    assert re.search(r"people +[━╌]+ 999/1000", shown)
    assert re.search(r"posts +[━╌]+ 1/10000", shown)
    assert "79 made of at most 129" in " ".join(shown.replace("│", " ").split())
