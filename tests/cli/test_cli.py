"""The command line without a server: refusals, orders, results, and texts that do not control a terminal."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer import BadParameter
from typer.testing import CliRunner

from generia_assets.catalog import TaskType
from generia_assets.cli.console import safe_block, safe_line
from generia_assets.cli.guard import EXIT_STATUSES
from generia_assets.cli.main import COMMANDS, GROUPS, app, load
from generia_assets.cli.options import moment as parsed
from generia_assets.cli.order import new_order, world_parameters
from generia_assets.cli.rendering import formats
from generia_assets.cli.rendering.book import escaped, paragraphs
from generia_assets.cli.rendering.displays import Display, world_panel
from generia_assets.cli.rendering.formats import as_json, clock
from generia_assets.cli.rendering.lines import print_log
from generia_assets.cli.texts import Text
from generia_assets.cli.watching import Snapshot, WorldResult
from generia_assets.content.documents import Quality
from generia_assets.durable.orders.order import Order, PartParameters
from generia_assets.durable.status import Stage, WorldStatus, new_status
from generia_assets.queries.in_flight import InFlightCalls
from generia_assets.queries.log import LogLine
from generia_assets.queries.statistics import percentile
from generia_assets.settings import settings
from sensors.messages import read_message

WORLD = "0b6f9a52-6a7c-4f0e-9d39-5a9a3f2f6c10"
HOSTILE = "\x1b[2J[bold]not bold[/bold]\x07 \u202eturned\nnext\x9b31m"


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout, result.stderr


def moment(**changes: Any) -> Snapshot:
    """A snapshot of ``watch``, with these values of the status record."""
    return Snapshot(
        a_status(**changes),
        [],
        seconds=12.3,
        in_flight=InFlightCalls(llm=12, llm_ceiling=15, images=3, image_ceiling=10),
        left=42.0,
    )


def a_status(**changes: Any) -> WorldStatus:
    record = new_status("w", {"user_prompt": HOSTILE}, users=2, posts=4) | {"_id": "w"} | changes
    return WorldStatus.model_validate(record)


def sub_commands() -> Sequence[tuple[str, ...]]:
    """Every command and every command within one, as it is typed."""
    groups: list[tuple[str, Any]] = [("dead-letters", load("dead-letters"))]
    return [*((name,) for name in COMMANDS), *((name, inner) for name, group in groups for inner in group.commands)]


@pytest.mark.parametrize("command", sub_commands(), ids=" ".join)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    """`--help` of every command and sub-command has its purpose, an example, the meaning of each argument and option, and once the
    exit status. Arguments have plain names, and every command that shows something has `--json`."""
    exit_code, out, _ = run(*command, "--help")
    flat, usage = " ".join(out.split()), out.splitlines()[0]
    assert exit_code == 0
    options = re.findall(r"^  (--[a-z-]+)( [^ ]+)?  +(.+)$", out, flags=re.MULTILINE)
    assert len(options) == len(re.findall(r"^  --", out, flags=re.MULTILINE))
    assert all(len(meaning) > 10 for _, _, meaning in options)
    assert not re.search(r"[{}<>]|\[\[", usage)
    assert not re.search(r"^  \S+ <", out, flags=re.MULTILINE)
    assert flat.count("Exit status: 0 ") == 1
    assert EXIT_STATUSES.partition(", 2 ")[2] in flat
    assert re.search(rf"^  .*generia {' '.join(command)}\b", out, flags=re.MULTILINE)
    assert command == ("dev",) or "--json" in out
    if len(command) == 1:
        assert COMMANDS[command[0]].about in flat


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
@pytest.mark.slow
def test_every_help_text_can_be_printed_on_a_console_without_cyrillic(encoding: str) -> None:
    """A help text with Cyrillic letters can be printed on a console that has none."""
    environment = os.environ | {"PYTHONIOENCODING": f"{encoding}:strict", "COLUMNS": "200"}
    command = [sys.executable, "-m", "generia_assets.cli", "send", "--help"]
    ended = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"--max-cost-usd" in ended.stdout


def test_version_prints_the_installed_version() -> None:
    """`generia --version` names the version that is installed."""
    assert run("--version")[:2] == (0, f"generia {version('generia')}\n")


def test_the_list_of_commands_imports_none_of_them() -> None:
    """`generia --help` and the shell's completion import no database client, no Kafka and no Dagster."""
    code = (
        "import sys; from typer.testing import CliRunner; from generia_assets.cli.main import app; "
        "out = CliRunner().invoke(app, ['--help']).stdout; "
        "print([name for name in ('dagster', 'pymongo', 'kafka', 'google', 'pydantic') if name in sys.modules], out)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.startswith("[] ")
    assert all(f"  {name} " in out for name in COMMANDS)


WITHOUT_A_SERVER = [*([name, "--help"] for name in COMMANDS), ["send", "--users", "0"], ["quote"], ["check"], ["logs"]]
IMPORTS = """
import json, sys
from typer.testing import CliRunner
from generia_assets.cli.main import app
libraries, found = {"dagster", "pymongo", "kafka", "google.genai", "tenacity", "requests"}, {}
for arguments in json.loads(sys.argv[1]):
    CliRunner().invoke(app, arguments)
    found[" ".join(arguments)] = sorted(libraries & sys.modules.keys())
    libraries -= sys.modules.keys()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The libraries that each of these commands imports, one after the other in an interpreter of their own."""
    data = {"GENERIA_DATA_DIR": str(tmp_path_factory.mktemp("imports")), "MONGODB_URI": "mongodb://127.0.0.1:9/"}
    command = [sys.executable, "-c", IMPORTS, json.dumps(WITHOUT_A_SERVER)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | data)
    found: dict[str, list[str]] = json.loads(ended.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("arguments", WITHOUT_A_SERVER, ids=" ".join)
def test_commands_without_a_server_import_no_client_of_one(arguments: list[str], imported: dict[str, list[str]]) -> None:
    """Help, a refusal, a quote and a check take 0.3 s: they import neither Dagster nor the client of a server."""
    assert imported[" ".join(arguments)] == []


@pytest.mark.parametrize("command", [(), *sub_commands()], ids=" ".join)
def test_help_fits_a_narrow_window(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """In 40 columns a help text is wrapped between words, except examples, which people copy. Commands have four groups."""
    monkeypatch.setenv("COLUMNS", "40")
    exit_code, out, _ = run(*command, "--help")
    assert exit_code == 0
    assert [line for line in out.splitlines() if len(line) > 40 and "generia " not in line and not line.endswith("\\")] == []
    assert command or re.findall(r"^\S.*:$", out, flags=re.MULTILINE) == ["Options:", *(f"{title}:" for title in GROUPS)]
    assert len(GROUPS) == 4


def test_a_shell_completes_commands() -> None:
    """After `generia st`, Tab offers the commands that begin with it."""
    asked = {"_GENERIA_COMPLETE": "complete_bash", "COMP_WORDS": "generia st", "COMP_CWORD": "1"}
    result = CliRunner().invoke(app, [], env=asked, prog_name="generia")
    assert set(result.stdout.split()) == {"status", "stats", "stop"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--users", "0"], ["--users", "'0'", "at least 1"]),
        (["--users", "many"], ["--users", "'many'", "at least 1"]),
        (["--users", "1000000000"], ["--users", "1000000000", "100000", "MAX_USERS"]),
        (["--posts", "-1"], ["--posts", "'-1'", "at least 0"]),
        (["--prompt", "12 34"], ["--prompt", "'12 34'", "words"]),
        (["--prompt", "long " * 1000], ["--prompt", "4,999", "4,000"]),
        (["--quality", "best"], ["--quality", "'best'", "standard or high"]),
        (["--world-id", "harbour"], ["--world-id", "'harbour'", "UUID"]),
        (["--max-cost-usd", "0"], ["--max-cost-usd", "0", "above 0"]),
    ],
)
def test_bad_input_is_refused_without_a_server(arguments: list[str], named: list[str]) -> None:
    """Exit status 2, and a message with the option, the value and what is allowed."""
    exit_code, out, err = run("send", "--prompt", "a lake", *arguments)
    assert exit_code == 2
    assert out == ""
    assert [part for part in named if part not in err] == []


def test_send_without_a_prompt_is_refused() -> None:
    """`send` without options could spend money by mistake: it is refused, and the message names the missing option."""
    exit_code, out, err = run("send", "--users", "3")
    assert (exit_code, out) == (2, "")
    assert "--prompt" in err


def test_an_order_of_the_command_line_is_the_platforms_message() -> None:
    """The sensor reads the message of `send` as the order that was typed."""
    order = new_order(
        world_parameters(settings(), users=3, posts=7, prompt="город", quality=Quality.HIGH, max_cost_usd=1.5, seed=0)
    )
    assert read_message(order.message()) == order
    expected = {"user_prompt": "город", "users_count": 3, "posts_count": 7, "quality": "high", "max_cost_usd": 1.5, "seed": 0}
    expected["priority"] = 0
    assert json.loads(order.message())["parameters"] == expected


def test_the_result_has_exactly_the_documented_fields() -> None:
    """`--json` prints exactly these fields, in this order."""
    promised = "world_id status characters posts images llm_calls image_calls cost_usd seconds seconds_to_first_post gallery"
    assert list(WorldResult.model_fields) == promised.split()


def test_a_quote_is_the_plan_at_the_models_price() -> None:
    """The quote of 25 people and 150 posts has the plan's 205 calls and 177 pictures, and limits a quarter above them."""
    exit_code, out, _ = run("quote", "--users", "25", "--posts", "150", "--json")
    assert exit_code == 0
    quote = json.loads(out)
    assert quote["image_calls"] == 177
    assert quote["image_call_limit"] == 222
    assert 200 <= quote["llm_calls"] <= 210
    price = (quote["input_tokens"] * 0.30 + quote["output_tokens"] * 2.50) / 1e6
    assert quote["cost_usd"] == pytest.approx(price, abs=1e-5)
    assert 0 < quote["minutes"] < 10


def test_texts_do_not_control_a_terminal() -> None:
    """Only the readable part of a hostile text is printed."""
    assert safe_line(HOSTILE) == "[2J[bold]not bold[/bold] turned next31m"
    assert safe_block("a\r\nb\tc\ud800") == "a\nb    c\ufffd"
    assert safe_line("word " * 50, 20) == "word word word word…"


@pytest.mark.parametrize("watched", [True, False])
def test_texts_of_a_world_are_shown_as_text(watched: bool) -> None:
    """Markup in names, prompts and messages is printed unchanged, and only our own escape sequences are printed."""
    waiting = {"api": "llm", "reason": HOSTILE, "since": datetime.now(UTC)}
    seen = moment(name=HOSTILE, message=HOSTILE, waiting_for=waiting, generation="g")
    text = Text("post", safe_line(HOSTILE), safe_block(HOSTILE))
    line = LogLine(id="1", at=datetime.now(UTC), level="error", kind="task", task_type="generate_post", key=HOSTILE, text=HOSTILE)
    out = io.StringIO()
    console = Console(file=out, width=100, markup=False, highlight=False, emoji=False, soft_wrap=not watched)
    if watched:
        console.print(world_panel(seen, [text], prompt=HOSTILE))
        print_log(console, [line])
    else:
        display = Display(console)
        display.begin("ordered", HOSTILE)
        display.show(replace(seen, texts=[text], log=(line,)))
    assert "[bold]not bold[/bold]" in out.getvalue()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out.getvalue())


def test_json_output_has_no_control_characters_and_the_same_content() -> None:
    """In `--json` control characters are escaped, and a reader of the JSON gets the original text."""
    dumped = as_json({"text": HOSTILE, "word": "город"})
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", dumped)
    assert "город" in dumped
    assert json.loads(dumped)["text"] == HOSTILE


def test_texts_in_a_book_are_escaped_for_markdown() -> None:
    """Texts of users and models are shown as text: none of them makes a heading, link, picture, list or HTML."""
    assert escaped("# <b>[x](javascript:1)</b> ![i](u) https://a.b") == (
        "\\# &lt;b&gt;\\[x\\](javascript:1)&lt;/b&gt; !\\[i\\](u) https\\://a.b"
    )
    assert paragraphs("1. one\n\n- two\n\n\x1b[2J<script>") == "1\\. one\n\n\\- two\n\n\\[2J&lt;script&gt;"


def test_the_display_of_watch_has_stages_calls_and_time_left() -> None:
    """It has a bar and a number for each counted stage, calls in flight and their limit, dollars, and the time left."""
    out = io.StringIO()
    stages = [{"name": stage.value, "status": "completed" if place < 3 else "in_progress"} for place, stage in enumerate(Stage)]
    seen = moment(stages=stages, generation="g", users_created=1, posts_created=1, llm_cost_total=0.5, task_predicted=9)
    Console(file=out, width=100).print(world_panel(seen, [], prompt="a lake"))
    shown = out.getvalue()
    assert all(
        word in shown for word in ("people", "1/2", "posts", "1/4", "12 of 15 calls in flight", "$0.5000", "about 40 s left")
    )
    full, half = (line.count("━") for line in shown.splitlines() if "description" in line or "people" in line)
    assert half == full / 2


def test_a_time_of_another_day_has_its_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment of today has its time of day; an earlier moment also has its date."""
    midnight = datetime(2026, 12, 1, tzinfo=UTC)
    monkeypatch.setattr(formats, "datetime", SimpleNamespace(now=lambda zone: midnight))
    assert clock(midnight) == "00:00:00.000"
    assert clock(midnight - timedelta(seconds=1)) == "2026-11-30 23:59:59.000"


def test_moments_are_read_as_people_write_them() -> None:
    """A duration, a moment without a zone (UTC), and one with a zone are accepted; anything else is refused with an example."""
    assert abs((datetime.now(UTC) - parsed("10min")).total_seconds() - 600) < 5
    assert parsed("2026-11-23T14:30:00") == datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    assert parsed("2026-11-23T14:30:00+03:00") == datetime(2026, 11, 23, 11, 30, tzinfo=UTC)
    with pytest.raises(BadParameter, match="10min"):
        parsed("yesterday")


def test_an_order_of_a_part_is_the_platforms_message() -> None:
    """The sensor reads the message of `rerun` as the order of that part, with its keys, with or without downstream assets."""
    for parameters, sent in (
        (PartParameters(keys=("c0000-p0001",)), {"keys": ["c0000-p0001"]}),
        (PartParameters(with_what_follows=False), {"with_what_follows": False}),
    ):
        order = Order(WORLD, parameters, TaskType.GENERATE_POST, WORLD)
        assert read_message(order.message()) == order
        assert json.loads(order.message())["parameters"] == sent


def test_percentiles_are_values_that_occurred() -> None:
    """The p50 of an even number of values is the lower middle one, the p95 of twenty the nineteenth; of none it is 0."""
    assert percentile([4, 1, 3, 2], 0.5) == 2
    assert percentile(list(range(1, 21)), 0.95) == 19
    assert percentile([7], 0.95) == 7
    assert percentile([], 0.5) == 0
