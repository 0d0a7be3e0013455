"""P7, P17-P21, P23: names of worlds, refusals and their time, narrow windows, pipes, and counts."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
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
from generia_assets.cli.commands.stats import _tasks
from generia_assets.cli.console import _Console, labels
from generia_assets.cli.main import COMMANDS, load
from generia_assets.cli.options import complete_world
from generia_assets.cli.rendering.formats import FittedTable
from generia_assets.durable.collections import STATUS
from generia_assets.durable.orders.order import Order, parse_world
from generia_assets.durable.orders.records import record_order
from generia_assets.durable.status import new_status
from generia_assets.queries.statistics import TaskFigures
from generia_assets.settings import settings
from resources.kafka.dead_letters import last_letters
from sensors.messages import read_message
from tests.support.command import Command, interrupt, on_a_terminal
from tests.support.kafka_ticks import kafka_address

FIRST, SECOND = "0b6f9a52-6a7c-4f0e-9d39-5a9a3f2f6c10", "0b6f9a53-6a7c-4f0e-9d39-5a9a3f2f6c10"
NAMED, NEWEST = "harbour", "c1d2e3f4-6a7c-4f0e-9d39-5a9a3f2f6c10"
NAMES = {FIRST: "Lake", SECOND: "Озеро (старое)", NAMED: "Lakeside", NEWEST: "Lake"}


def record(world_id: str, **changes: Any) -> dict[str, Any]:
    order = {"user_prompt": "a lake", "users_count": 1, "posts_count": 1, "quality": "standard"}
    now = datetime.now(UTC)
    done = {"status": "completed", "finished_at": now, "users_created": 1, "posts_created": 1, "name": "Lake", "generation": "g"}
    return new_status(world_id, order, users=1, posts=1) | done | changes


@pytest.fixture(scope="module")
def generia(
    mongodb_uri: str, mongo_client: MongoClient[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Command]:
    """The command on four finished worlds: two whose ids begin alike, one from the launch form, and the newest. Two have the same
    name."""
    name = f"test_{uuid.uuid4().hex}"
    now = datetime.now(UTC)
    day = timedelta(days=1)
    worlds = [record(one, name=called, created_at=now - (one != NEWEST) * day) for one, called in NAMES.items()]
    mongo_client[name][STATUS].insert_many(worlds)
    yield Command(tmp_path_factory.mktemp("commands"), {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": name})
    mongo_client.drop_database(name)


NAMING = {
    FIRST: FIRST,
    "0b6f9a52": FIRST,
    "0B6F9A53": SECOND,
    NAMED: NAMED,
    "har": NAMED,
    "last": NEWEST,
    "озеро (СТАРОЕ)": SECOND,
    "Озеро": SECOND,
    "lakes": NAMED,
}
"""What a person may type, in capitals or not: ids, the partition's name, `last`, names, beginnings of all; and what it means."""
ON_A_WORLD = [
    ("status",),
    ("watch",),
    ("stop",),
    ("resume",),
    ("prioritise", "5"),
    ("rerun", "--part", "posts", "--dry-run", "--json"),
    ("extend", "--posts", "+1", "--dry-run", "--json"),
    ("show", "status"),
    ("history", "--json"),
    ("stats",),
    ("logs",),
    ("export", "--format", "jsonl", "--json"),
    ("trace", "c0000"),
    ("delete",),
    ("retire",),
    ("view", "--port", str(free_port())),  # the default port may be used by another generator
]
"""Every command that takes a world: its name, and what comes after the world."""


def named(command: tuple[str, ...], world: str) -> list[str]:
    return [command[0], world, *command[1:]]


def called(one: str | Sequence[str]) -> str:
    """The id of a parameter: a command by its name, because the ports in other parameters differ between processes."""
    return one if isinstance(one, str) else one[0]


@pytest.mark.case("P7")
@pytest.mark.parametrize(
    ("command", "given"),
    [(("status",), given) for given in NAMING]
    + [(command, "озеро (СТАРОЕ)") for command in ON_A_WORLD[1:] if command[0] not in ("view", "logs", "history")],
    ids=called,
)
def test_every_command_takes_a_world_by_any_of_its_names(
    generia: Command, tmp_path: Path, command: tuple[str, ...], given: str
) -> None:
    """With each name the command finds that world: the output contains its id."""
    meant = NAMING[given]
    arguments = [*named(command, given), *(("--folder", str(tmp_path / "x")) if command[0] == "export" else ())]
    exit_code, out, err = generia.call(*arguments)
    assert exit_code in (0, 1) or command[0] in ("trace", "delete"), err  # delete asks first, and nobody answers
    assert meant in out + err or (command[0] == "watch" and exit_code == 0) or command[0] == "retire"  # retire needs Dagster
    assert "no world has" not in err


@pytest.mark.case("P7")
def test_view_finds_a_world_by_the_beginning_of_its_id(generia: Command) -> None:
    """`view` accepts the beginning of a world's id, and prints the whole address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = generia.start("view", "0b6f9a52", "--port", str(port), "--json")
    assert process.stdout is not None
    try:
        assert json.loads(process.stdout.readline())["url"] == f"http://127.0.0.1:{port}/worlds/{FIRST}"
    finally:
        interrupt(process, signal.SIGINT, 20)


@pytest.mark.case("P7")
@pytest.mark.parametrize(
    ("command", "given", "candidates"),
    [(("status",), "0b6f9a5", [FIRST, SECOND])] + [(command, "lake", [FIRST, NEWEST]) for command in ON_A_WORLD],
    ids=called,
)
def test_an_ambiguous_name_is_refused_with_all_candidates(
    generia: Command, command: tuple[str, ...], given: str, candidates: list[str]
) -> None:
    """A name or a beginning that two worlds share is refused; the message lists the candidates, each with its name."""
    exit_code, out, err = generia.call(*named(command, given))
    assert (exit_code, out) == (2, "")
    assert [one for one, called in NAMES.items() if f"  {one}  {called}\n" in err] == candidates
    assert NAMED not in err


@pytest.mark.case("P18")
@pytest.mark.parametrize(
    ("command", "world"),
    [(("status",), world) for world in ("a b", "ключ", "../x", "7d5b0c7e", "")] + [(command, "nowhere") for command in ON_A_WORLD],
    ids=called,
)
def test_an_unknown_world_is_bad_input_everywhere(generia: Command, command: tuple[str, ...], world: str) -> None:
    """An unknown name ends every command with exit status 2; the message says how to list worlds, and names the newest."""
    exit_code, out, err = generia.call(*named(command, world))
    assert (exit_code, out) == (2, "")
    assert "list" in err and "Traceback" not in err
    assert len(err) < 800
    assert not world or command[0] in ("trace", "logs") or f"  {NEWEST}  Lake\n" in err


@pytest.mark.case("P18")
def test_no_command_that_takes_a_world_is_forgotten() -> None:
    """The list above has every command with an argument WORLD."""
    with_world = {name for name in COMMANDS if any("WORLD" in str(one.metavar) for one in load(name).params)}
    assert with_world == {command[0] for command in ON_A_WORLD}


@pytest.mark.case("P7")
def test_a_world_named_last_takes_precedence_over_the_word_last(
    generia: Command, mongo_client: MongoClient[dict[str, Any]]
) -> None:
    """An exact name takes precedence over the word `last` and over a beginning."""
    statuses = mongo_client[generia.settings["MONGODB_DATABASE"]][STATUS]
    statuses.insert_one(record("last", created_at=datetime.now(UTC) - timedelta(days=9)))
    try:
        assert json.loads(generia.call("status", "last", "--json")[1])["world_id"] == "last"
    finally:
        statuses.delete_one({"_id": "last"})


@pytest.mark.parametrize("columns", [40, 80, 120], ids=lambda columns: f"P20 {columns} columns")
def test_a_tables_columns_are_whole_or_left_out(generia: Command, columns: int) -> None:
    """In a narrow window no column of a table is cut: it is whole, or named below as left out."""
    shown = re.sub(r"\x1b\[[0-9;]*m", "", on_a_terminal(generia, "list", columns=columns))
    header, *rows = shown.splitlines()
    assert "…" not in shown
    assert [title for title in ("world", "name", "state") if title not in header] == []
    assert ("people" in header and "posts" in header) == (columns >= 80)
    assert any(re.match(rf"{NEWEST[:8]}.* completed" + (r" +1 +1\b" if columns >= 80 else ""), row) for row in rows)
    assert ("no room for" in shown) == (columns < 80)


@pytest.mark.case("P20")
def test_columns_are_left_out_one_after_the_other() -> None:
    """A table shows as many columns as fit; a column with a short form is shown as long as its short form fits."""
    rows: list[Sequence[str | Text]] = [["0b6f9a52-6a7c", "Lake", "12345"]]
    table = FittedTable(("world", "name", "posts"), 2, gives_way=("world", "name"), rows=rows, short={"world": ["0b6f"]})
    headers = []
    for columns in (30, 20, 13):
        out = io.StringIO()
        table.print(Console(file=out, width=columns, color_system=None))
        headers.append(out.getvalue().split()[:6])
    assert headers[0] == ["world", "name", "posts", "0b6f9a52-6a7c", "Lake", "12345"]
    assert headers[1] == ["world", "name", "posts", "0b6f", "Lake", "12345"]
    assert headers[2][:4] == ["world", "posts", "0b6f", "12345"]


@pytest.mark.parametrize(("failed", "shown"), [(0, {"p95", "calls"}), (2, {"failed", "calls"})], ids=["P20 none", "P20 two"])
def test_a_narrow_window_leaves_out_dollars_before_calls_and_failures(failed: int, shown: set[str]) -> None:
    """In 40 columns `stats` shows the calls of each type, and failures if there are any, and leaves out the dollars."""
    numbers = dict.fromkeys(TaskFigures.model_fields, 12) | {"failed": failed, "calls_failed": 0, "cost_usd": 0}
    figures = TaskFigures.model_validate(numbers | {"task_type": "generate_world_description"})
    out = io.StringIO()
    _tasks([figures]).print(Console(file=out, width=40, color_system=None))
    header = out.getvalue().splitlines()[0].split()
    assert shown <= set(header) and "dollars" not in header


@pytest.mark.case("P20")
def test_wrapped_text_stays_beside_its_label() -> None:
    """In 40 columns a text is wrapped between words, beside its label; a word that does not fit is below it, whole."""
    out = io.StringIO()
    labels(Console(file=out, width=40, force_terminal=True, color_system=None), [("prompt", "a lake " * 6), ("owner", FIRST)])
    shown = [line.rstrip() for line in out.getvalue().splitlines()]
    assert shown == ["  prompt      a lake a lake a lake a", "              lake a lake a lake", "  owner", f"    {FIRST}"]


@pytest.mark.case("P20")
def test_a_path_or_an_id_is_never_broken() -> None:
    """In 40 columns an id with its comma, or a path wider than the window, has its own line, so that it can be copied."""
    path, out = "/var/lib/generia/data/services/logs/broker.log", io.StringIO()
    console = _Console(file=out, width=40, force_terminal=True, color_system=None)
    labels(console, [("generation", f"{FIRST}, resumed 0 times"), ("broker", path)])
    console.print(f"Its log is {path}, look there")
    shown = [line.rstrip() for line in out.getvalue().splitlines()]
    labelled = ["  generation", f"{FIRST},", "    resumed 0 times", "  broker", path]
    assert shown == [*labelled, "Its log is", f"{path},", "look there"]


@pytest.mark.case("P7")
def test_a_shell_completes_a_name_to_the_worlds_id(generia: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the beginning of a name or id, Tab offers the world's id, with its name beside it; without a server, nothing."""
    for name, value in (generia.settings | {"GENERIA_DATA_DIR": str(generia.folder)}).items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    try:
        (found,) = complete_world("lakes")
        assert (found[0], found[1].split(", ")[0]) == (NAMED, "Lakeside")
        assert [one for one, _ in complete_world("0b6f9a53")] == [SECOND]
        assert complete_world("la")[0][0] == "last"
        monkeypatch.setenv("MONGODB_URI", "mongodb://127.0.0.1:9/")
        settings.cache_clear()
        assert complete_world("la") == []
    finally:
        settings.cache_clear()


@pytest.mark.parametrize(
    "command",
    [["status", "last"], ["list"], ["stats", "last"], ["quote", "--users", "1", "--posts", "1"]],
    ids=lambda one: f"P23 {one[0]}",
)
def test_counts_of_one_are_singular_in_all_commands(generia: Command, command: list[str]) -> None:
    """Commands use the singular for a world of one person, one post, one call and one picture."""
    exit_code, out, err = generia.call(*command)
    assert exit_code == 0, err
    assert not re.search(r"\b1 (calls|pictures|people|posts|documents|tasks|times|worlds|partitions|messages)\b", out + err)


@pytest.mark.case("P23")
def test_an_export_of_one_document_counts_one(generia: Command, tmp_path: Path) -> None:
    """`export` reports one document in the singular."""
    exit_code, _, err = generia.call("export", "last", "--folder", str(tmp_path / "x"), "--format", "jsonl")
    assert exit_code == 0
    assert re.search(r"status\.jsonl: 1 document\n", err)
    assert "1 documents" not in err


@pytest.mark.case("P23")
def test_watch_names_the_worlds_page(generia: Command) -> None:
    """`watch --json` names the world's page: the file that demo wrote, or its address on the pages' server."""
    result = json.loads(generia.call("watch", "last", "--json")[1])
    assert result["gallery"] == f"http://127.0.0.1:3001/worlds/{NEWEST}"
    page = generia.folder / "gallery" / FIRST / "index.html"
    page.parent.mkdir(parents=True)
    page.touch()
    assert json.loads(generia.call("watch", FIRST, "--json")[1])["gallery"] == str(page)


@pytest.mark.case("P23")
def test_send_names_the_ordered_world(generia: Command, broker: str) -> None:
    """`send` prints how to watch this world by its id."""
    kafka = {"KAFKA_BOOTSTRAP_SERVERS": broker, "KAFKA_API_VERSION": "2.3", "KAFKA_TASKS_TOPIC": f"orders-{uuid.uuid4().hex[:8]}"}
    exit_code, out, err = Command(generia.folder, generia.settings | kafka).call("send", "--prompt", "a lake")
    assert exit_code == 0, err
    assert f"watch {out.strip()}" in err


@pytest.mark.case("P23")
def test_a_dry_run_prints_its_result_on_standard_output(generia: Command) -> None:
    """`rerun --dry-run` prints what would be made and its cost on standard output, and nothing on standard error."""
    exit_code, out, err = generia.call("rerun", "last", "--part", "posts", "--dry-run")
    assert (exit_code, err) == (0, "")
    assert "Makes again" in out and "Takes 1 call of" in out and "Nothing was ordered" in out


@pytest.mark.case("P7")
def test_a_world_from_the_launch_form_is_made_again_by_message(
    generia: Command, mongo_client: MongoClient[dict[str, Any]], broker: str
) -> None:
    """`rerun` can order a part of a world with a name instead of a UUID: the message is valid, and is recorded for that world."""
    topic = f"orders-{uuid.uuid4().hex[:8]}"
    kafka = {"KAFKA_BOOTSTRAP_SERVERS": broker, "KAFKA_API_VERSION": "2.3", "KAFKA_TASKS_TOPIC": topic}
    exit_code, out, err = Command(generia.folder, generia.settings | kafka).call("rerun", "har", "--part", "posts")
    assert exit_code == 0, err
    (letter,) = last_letters(kafka_address(broker), topic, 10)
    order = read_message(letter.value)
    assert isinstance(order, Order)
    recorded = record_order(mongo_client[generia.settings["MONGODB_DATABASE"]], order, max_users=10, max_posts=10)
    assert (recorded.order.world_id, recorded.order.task_id, recorded.new) == (NAMED, out.strip(), True)


@pytest.mark.case("P7")
def test_a_new_world_has_a_uuid() -> None:
    """Only an existing world may have another name: a message that orders a new world without a UUID is invalid."""
    message = Order(NAMED, parse_world({"user_prompt": "a lake", "users_count": 1, "posts_count": 1})).message()
    try:
        said = str(read_message(message))
    except ValueError as error:
        said = str(error)
    assert "world_id='harbour': must be a UUID" in said
