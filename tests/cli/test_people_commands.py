"""P7, P17-P21, P23: how worlds are named, what is refused and how soon, what a narrow window and a pipe get, and counts."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from rich.console import Console
from rich.text import Text

from emulators.lifecycle import free_port
from generia_assets.cli.commands.view import _listening
from generia_assets.cli.console import results
from generia_assets.cli.main import COMMANDS, load
from generia_assets.cli.rendering.displays import world_panel
from generia_assets.cli.rendering.formats import FittedTable, progress_line
from generia_assets.cli.watching import Snapshot
from generia_assets.content.text import plural
from generia_assets.durable.collections import STATUS
from generia_assets.durable.orders.order import Order, parse_world
from generia_assets.durable.orders.records import record_order
from generia_assets.durable.status import Stage, WorldStatus, new_status
from generia_assets.pages.links import ServedLinks
from generia_assets.pages.render import WorldPages
from generia_assets.queries.in_flight import InFlightCalls
from generia_assets.queries.worlds import WorldView
from local_services.services import Ownership, Service, services_panel
from resources.kafka.address import KafkaAddress
from resources.kafka.dead_letters import last_letters
from sensors.messages import read_message
from tests.support.command import Command, interrupt, on_a_terminal

FIRST, SECOND = "0b6f9a52-6a7c-4f0e-9d39-5a9a3f2f6c10", "0b6f9a53-6a7c-4f0e-9d39-5a9a3f2f6c10"
NAMED, NEWEST = "harbour", "c1d2e3f4-6a7c-4f0e-9d39-5a9a3f2f6c10"
NOWHERE = "mongodb://127.0.0.1:9/"


def record(world_id: str, **changes: Any) -> dict[str, Any]:
    order = {"user_prompt": "a lake", "users_count": 1, "posts_count": 1, "quality": "standard"}
    now = datetime.now(UTC)
    done = {"status": "completed", "finished_at": now, "users_created": 1, "posts_created": 1, "name": "Lake", "generation": "g"}
    return new_status(world_id, order, users=1, posts=1) | done | changes


@pytest.fixture(scope="module")
def generia(
    mongodb_uri: str, mongo_client: MongoClient[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Command]:
    """The command on four finished worlds: two that begin alike, one from the launch form, and the newest."""
    name = f"test_{uuid.uuid4().hex}"
    now = datetime.now(UTC)
    worlds = [record(one, created_at=now - timedelta(days=1)) for one in (FIRST, SECOND, NAMED)] + [record(NEWEST, created_at=now)]
    mongo_client[name][STATUS].insert_many(worlds)
    yield Command(tmp_path_factory.mktemp("commands"), {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": name})
    mongo_client.drop_database(name)


NAMING = [
    pytest.param(FIRST, FIRST, id="P7 id"),
    pytest.param("0b6f9a52", FIRST, id="P7 beginning of an id"),
    pytest.param("0B6F9A53", SECOND, id="P7 beginning in capitals"),
    pytest.param(NAMED, NAMED, id="P7 partition's name"),
    pytest.param("har", NAMED, id="P7 beginning of a partition's name"),
    pytest.param("last", NEWEST, id="P7 last"),
]
ON_A_WORLD = [
    ("status",),
    ("watch",),
    ("stop",),
    ("resume",),
    ("rerun", "--part", "posts", "--dry-run", "--json"),
    ("show", "status"),
    ("history", "--json"),
    ("stats",),
    ("logs",),
    ("export", "--format", "jsonl", "--json"),
    ("trace", "c0000"),
    ("delete",),
    ("retire",),
    ("view", "--port", str(free_port())),  # the usual one may be another generator's
]
"""Every command that takes a world: its name, and what comes after the world."""


def named(command: tuple[str, ...], world: str) -> list[str]:
    return [command[0], world, *command[1:]]


@pytest.mark.parametrize(("given", "meant"), NAMING)
@pytest.mark.parametrize(
    "command", [one for one in ON_A_WORLD if one[0] not in ("view", "logs", "history")], ids=lambda one: one[0]
)
def test_every_command_takes_a_world_by_any_of_its_names(
    generia: Command, tmp_path: Path, command: tuple[str, ...], given: str, meant: str
) -> None:
    """Whichever name is given, the command is about that very world: its id stands in what is said of it."""
    arguments = [*named(command, given), *(("--folder", str(tmp_path / "x")) if command[0] == "export" else ())]
    exit_code, out, err = generia.call(*arguments)
    assert exit_code in (0, 1) or command[0] in ("trace", "delete"), err  # delete asks first, and nobody is there
    assert meant in out + err or (command[0] == "watch" and exit_code == 0) or command[0] == "retire"  # retire wants Dagster
    assert "nobody ordered" not in err


@pytest.mark.case("P7")
def test_pages_are_served_of_the_world_that_is_meant(generia: Command) -> None:
    """`view` takes a world by the beginning of its id, and says its whole address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = generia.start("view", "0b6f9a52", "--port", str(port), "--json")
    assert process.stdout is not None
    try:
        assert json.loads(process.stdout.readline())["url"] == f"http://127.0.0.1:{port}/worlds/{FIRST}"
    finally:
        interrupt(process, signal.SIGINT, 20)


@pytest.mark.parametrize("command", ON_A_WORLD, ids=lambda one: f"P7 {one[0]}")
def test_a_beginning_of_two_worlds_is_refused_with_both(generia: Command, command: tuple[str, ...]) -> None:
    """A name that may mean two worlds means none: exit status 2, and the candidates."""
    exit_code, out, err = generia.call(*named(command, "0b6f9a5"))
    assert (exit_code, out) == (2, "")
    assert FIRST in err and SECOND in err


@pytest.mark.parametrize("world", ["nowhere", "a b", "ключ", "../x", "7d5b0c7e", ""])
@pytest.mark.parametrize("command", ON_A_WORLD, ids=lambda one: f"P18 {one[0]}")
def test_an_unknown_world_is_bad_input_everywhere(generia: Command, command: tuple[str, ...], world: str) -> None:
    """What is no world's name ends every command with exit status 2 and a line that says where the worlds are listed."""
    exit_code, out, err = generia.call(*named(command, world))
    assert (exit_code, out) == (2, "")
    assert "list" in err


@pytest.mark.case("P18")
def test_no_command_that_takes_a_world_is_forgotten() -> None:
    """The commands above are all that have an argument WORLD."""
    with_world = {name for name in COMMANDS if any("WORLD" in str(one.metavar) for one in load(name).params)}
    assert with_world == {command[0] for command in ON_A_WORLD}


@pytest.mark.case("P7")
def test_a_world_that_is_called_last_comes_before_the_last(generia: Command, mongo_client: MongoClient[dict[str, Any]]) -> None:
    """An exact name counts more than what `last` or a beginning could mean."""
    statuses = mongo_client[generia.settings["MONGODB_DATABASE"]][STATUS]
    statuses.insert_one(record("last", created_at=datetime.now(UTC) - timedelta(days=9)))
    try:
        assert json.loads(generia.call("status", "last", "--json")[1])["world_id"] == "last"
    finally:
        statuses.delete_one({"_id": "last"})


@pytest.mark.parametrize(
    "command", [["list"], ["trace", FIRST], *(named(one, FIRST) for one in ON_A_WORLD[::3])], ids=lambda one: f"P19 {one[0]}"
)
def test_a_mongodb_that_is_away_is_named_soon(tmp_path: Path, command: list[str]) -> None:
    """Every command that needs MongoDB says within two seconds that it does not answer, and what to do: exit status 1."""
    began = time.monotonic()
    exit_code, out, err = Command(tmp_path, {"MONGODB_URI": NOWHERE}).call(*command)
    assert (exit_code, out) == (1, "")
    assert "MongoDB at 127.0.0.1:9 did not answer" in err
    assert time.monotonic() - began < 3.0  # two, and a busy machine


@pytest.mark.parametrize("command", [["send", "--prompt", "a lake"], ["dead-letters"]], ids=lambda one: f"P19 {one[0]}")
def test_a_kafka_that_is_away_is_named_soon(tmp_path: Path, command: list[str]) -> None:
    """The same for Kafka."""
    began = time.monotonic()
    exit_code, out, err = Command(tmp_path, {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}).call(*command)
    assert (exit_code, out) == (1, "")
    assert "Kafka at 127.0.0.1:9 did not answer" in err
    assert time.monotonic() - began < 3.0


@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param(["watch", "last", "--task", "nope"], "'nope' is no task's id", id="P19 a task that is none"),
        pytest.param(["logs", "no such thing"], "'no such thing' is no world's id", id="P19 neither world nor part"),
        pytest.param(["logs", "--part", "nonsense"], "'nonsense': no such service", id="P19 no part"),
        pytest.param(["show", "last", "people"], "'people' is not request,", id="P19 no section"),
    ],
)
def test_what_cannot_exist_is_refused_without_a_server(tmp_path: Path, command: list[str], said: str) -> None:
    """What can be seen to be wrong is refused at once, exit status 2, whether a server answers or not."""
    began = time.monotonic()
    exit_code, out, err = Command(tmp_path, {"MONGODB_URI": NOWHERE}).call(*command)
    assert (exit_code, out) == (2, "")
    assert said in err
    assert time.monotonic() - began < 1.0


@pytest.mark.case("P19")
def test_a_part_without_a_log_is_told_with_mongodbs_silence(tmp_path: Path) -> None:
    """`logs nonsense` without MongoDB: there is no such part, and worlds cannot be looked up."""
    exit_code, out, err = Command(tmp_path, {"MONGODB_URI": NOWHERE}).call("logs", "nonsense")
    assert (exit_code, out) == (1, "")
    assert "'nonsense': no such service" in err and "MongoDB at 127.0.0.1:9 did not answer" in err


@pytest.mark.parametrize("how", [[], ["--json"]], ids=["P17 text", "P17 json"])
def test_a_parts_log_is_piped_without_its_colours(tmp_path: Path, how: list[str]) -> None:
    """Dagster's processes write colours into their logs; whoever reads them with `logs` gets the words alone."""
    coloured = "\x1b[32m2026-11-28 23:44:39\x1b[0m - \x1b[34mINFO\x1b[0m - \x1b[38;5;12mlooks\x1b[1;31m for orders\n"
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "daemon.log").write_text(coloured)
    exit_code, out, _ = Command(tmp_path).call("logs", "daemon", *how)
    assert exit_code == 0
    assert "2026-11-28 23:44:39 - INFO - looks for orders" in out
    assert "\x1b" not in out and "[3" not in out and "u001b" not in out


@pytest.mark.case("P17")
def test_a_parts_log_on_a_terminal_has_no_colours_either(tmp_path: Path) -> None:
    """NO_COLOR is honoured on a terminal: not one colour code of the log gets there."""
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
def test_counts_and_marks_of_a_world_stay_whole(columns: int) -> None:
    """However narrow the window, each stage has its mark, its name and its count; it is the bar that gives way."""
    out = io.StringIO()
    Console(file=out, width=columns, color_system=None).print(world_panel(a_moment(), [], prompt="a lake"))
    shown = out.getvalue()
    assert max(map(len, shown.splitlines())) <= columns
    for line in ("● description ━", "◐ people", "◐ posts", "◐ finishing"):
        assert line in shown
    assert re.search(r"people +[━╌]+ 999/1000", shown)
    assert re.search(r"posts +[━╌]+ 1/10000", shown)
    assert "79 made of at most 129" in " ".join(shown.replace("│", " ").split())


@pytest.mark.parametrize("columns", [40, 60, 80, 120], ids=lambda columns: f"P20 {columns} columns")
def test_the_start_stays_readable(columns: int) -> None:
    """However narrow the window, each part of a start has one line, with its mark and its name."""
    out = io.StringIO()
    parts = [Service("MongoDB", Ownership.YOURS, address="db.example.org:27017"), Service("code server", Ownership.GENERATOR)]
    Console(file=out, width=columns, color_system=None).print(services_panel(parts))
    lines = out.getvalue().splitlines()
    assert len(lines) == 4 and max(map(len, lines)) <= columns
    assert "● MongoDB" in lines[1] and "○ code server" in lines[2]


@pytest.mark.parametrize("columns", [40, 80, 120], ids=lambda columns: f"P20 {columns} columns")
def test_a_tables_columns_are_whole_or_left_out(generia: Command, columns: int) -> None:
    """In a narrow window nothing of a table is cut: a column is there whole, or it is named below as left out."""
    shown = re.sub(r"\x1b\[[0-9;]*m", "", on_a_terminal(generia, "list", columns=columns))
    header, *rows = shown.splitlines()
    assert "…" not in shown
    assert [title for title in ("world", "state", "people", "posts") if title not in header] == []
    assert any(re.match(rf"{NEWEST[:8]}.* completed +1 +1\b", row) for row in rows)
    assert ("no room for" in shown) == (columns < 80)


@pytest.mark.case("P20")
def test_columns_give_way_one_after_the_other() -> None:
    """As many columns as there is room for; a column with something short in its place stays as long as that."""
    rows: list[Sequence[str | Text]] = [["0b6f9a52-6a7c", "Lake", "12345"]]
    table = FittedTable(("world", "name", "posts"), 2, gives_way=("world", "name"), rows=rows, short={"world": ["0b6f"]})
    told = []
    for columns in (30, 20, 13):
        out = io.StringIO()
        table.print(Console(file=out, width=columns, color_system=None))
        told.append(out.getvalue().split()[:6])
    assert told[0] == ["world", "name", "posts", "0b6f9a52-6a7c", "Lake", "12345"]
    assert told[1] == ["world", "name", "posts", "0b6f", "Lake", "12345"]
    assert told[2][:4] == ["world", "posts", "0b6f", "12345"]


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
def test_a_wrong_value_is_told_with_what_is_wrong_about_it(tmp_path: Path, command: list[str], said: str) -> None:
    """The message names the option, the value and what is allowed; exit status 2, before any server is asked."""
    exit_code, out, err = Command(tmp_path, {"MONGODB_URI": NOWHERE}).call(*command)
    assert (exit_code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("host", "warned"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)], ids=lambda one: f"P21 {one}"
)
def test_pages_without_a_password_are_warned_of(capsys: pytest.CaptureFixture[str], host: str, warned: bool) -> None:
    """Served on more than loopback, the pages can be read by everybody who reaches the machine: that is said."""
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
    """A count agrees with what is counted."""
    assert plural(number, what) == said


@pytest.mark.parametrize(
    "command",
    [["status", "last"], ["list"], ["stats", "last"], ["quote", "--users", "1", "--posts", "1"]],
    ids=lambda one: f"P23 {one[0]}",
)
def test_nothing_says_1_calls(generia: Command, command: list[str]) -> None:
    """What commands say of a world of one person, one post, one call and one picture is English."""
    exit_code, out, err = generia.call(*command)
    assert exit_code == 0, err
    assert not re.search(r"\b1 (calls|pictures|people|posts|documents|tasks|times|worlds|partitions|messages)\b", out + err)


@pytest.mark.case("P23")
def test_a_progress_line_counts_one_call_as_one() -> None:
    """The line that is shown everywhere says 1 call, 1 picture."""
    assert "1 call, 1 picture, $" in progress_line(
        WorldStatus.model_validate(record("w", api_calls_made_LLM=1, api_calls_made_images=1))
    )


@pytest.mark.case("P23")
def test_an_export_of_one_document_says_so(generia: Command, tmp_path: Path) -> None:
    """`export` counts one document as one."""
    exit_code, _, err = generia.call("export", "last", "--folder", str(tmp_path / "x"), "--format", "jsonl")
    assert exit_code == 0
    assert re.search(r"status\.jsonl: 1 document\n", err)
    assert "1 documents" not in err


@pytest.mark.parametrize("status", ["in_progress", "failed"], ids=lambda one: f"P23 {one}")
def test_a_world_without_a_name_is_promised_none(status: str) -> None:
    """Of a world that failed before it had a name nobody says that it has none yet."""
    out = io.StringIO()
    Console(file=out, width=100).print(world_panel(a_moment(name="", status=status), [], prompt="a lake"))
    assert "a world without a name" in out.getvalue()
    assert "yet" not in out.getvalue()


@pytest.mark.case("P23")
def test_watch_says_where_the_page_is(generia: Command) -> None:
    """`watch --json` names the world's page: the file that demo wrote, or its address on the pages' server."""
    told = json.loads(generia.call("watch", "last", "--json")[1])
    assert told["gallery"] == f"http://127.0.0.1:3001/worlds/{NEWEST}"
    page = generia.folder / "gallery" / FIRST / "index.html"
    page.parent.mkdir(parents=True)
    page.touch()
    assert json.loads(generia.call("watch", FIRST, "--json")[1])["gallery"] == str(page)


@pytest.mark.case("P23")
def test_what_is_sent_is_named(generia: Command, broker: str) -> None:
    """`send` says how to watch this very world, by its id."""
    kafka = {"KAFKA_BOOTSTRAP_SERVERS": broker, "KAFKA_API_VERSION": "2.3", "KAFKA_TASKS_TOPIC": f"orders-{uuid.uuid4().hex[:8]}"}
    exit_code, out, err = Command(generia.folder, generia.settings | kafka).call("send", "--prompt", "a lake")
    assert exit_code == 0, err
    assert f"watch {out.strip()}" in err


@pytest.mark.case("P23")
def test_what_a_dry_run_says_is_its_result(generia: Command) -> None:
    """`rerun --dry-run` prints what would be made and cost on standard output, and nothing beside it."""
    exit_code, out, err = generia.call("rerun", "last", "--part", "posts", "--dry-run")
    assert (exit_code, err) == (0, "")
    assert "Makes again" in out and "Takes 1 call of" in out and "Nothing was ordered" in out


@pytest.mark.case("P18")
def test_a_reader_that_has_seen_enough_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_page_tells_a_limit_as_a_limit(prompt: str, said: str) -> None:
    """On a world's page the calls made are a number, and their limit stands apart: nobody takes it for what is still to come."""
    status = a_moment(parameters={"user_prompt": prompt}).status
    assert status is not None
    html = WorldPages(WorldView(status=status, description=None, images=None), ServedLinks(FIRST)).progress()
    assert said in " ".join(re.sub(r"<[^>]+>", "", html).split())


@pytest.mark.case("P7")
def test_a_world_from_the_launch_form_is_made_again_by_message(
    generia: Command, mongo_client: MongoClient[dict[str, Any]], broker: str
) -> None:
    """`rerun` orders a part of a world that has a name and no UUID: the message is an order, and it is recorded for that world."""
    topic = f"orders-{uuid.uuid4().hex[:8]}"
    kafka = {"KAFKA_BOOTSTRAP_SERVERS": broker, "KAFKA_API_VERSION": "2.3", "KAFKA_TASKS_TOPIC": topic}
    exit_code, out, err = Command(generia.folder, generia.settings | kafka).call("rerun", "har", "--part", "posts")
    assert exit_code == 0, err
    (letter,) = last_letters(KafkaAddress(broker, "2.3"), topic, 10)
    order = read_message(letter.value)
    assert isinstance(order, Order)
    recorded = record_order(mongo_client[generia.settings["MONGODB_DATABASE"]], order, max_users=10, max_posts=10)
    assert (recorded.order.world_id, recorded.order.task_id, recorded.new) == (NAMED, out.strip(), True)


@pytest.mark.case("P7")
def test_a_new_world_has_a_uuid() -> None:
    """Only what exists may be named otherwise: a message that orders a new world under another name is no order."""
    message = Order(NAMED, parse_world({"user_prompt": "a lake", "users_count": 1, "posts_count": 1})).message()
    try:
        said = str(read_message(message))
    except ValueError as error:
        said = str(error)
    assert "world_id='harbour': must be a UUID" in said
