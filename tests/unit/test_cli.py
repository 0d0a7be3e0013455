"""The command line without a server: what it refuses, what it orders, what it promises, and that texts do nothing to a terminal."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime

import pytest
from rich.console import Console
from typer.testing import CliRunner

from generia_assets.cli import inert
from generia_assets.cli.displays import PlainDisplay
from generia_assets.cli.follow import Moment
from generia_assets.cli.main import app
from generia_assets.cli.order import new_order
from generia_assets.cli.panel import world_panel
from generia_assets.cli.result import WorldResult
from generia_assets.cli.texts import Text
from generia_assets.content.documents import Quality
from generia_assets.durable.orders import Order
from generia_assets.durable.status import WorldStatus, new_status
from generia_assets.reading.statistics import percentile
from sensors.messages import read_message

COMMANDS = ("demo", "dev", "send", "watch", "status", "show", "stats", "logs", "quote", "stop", "resume")
HOSTILE = "\x1b[2J[bold]not bold[/bold]\x07 \u202eturned\nnext\x9b31m"


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout, result.stderr


def a_status(**changes: object) -> WorldStatus:
    record = new_status("w", {"user_prompt": HOSTILE}, users=2, posts=4) | {"_id": "w"} | changes
    return WorldStatus.model_validate(record)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    """`--help` of every command says what it does, and of every option what it means."""
    exit_code, out, _ = run(command, "--help")
    assert exit_code == 0
    options = re.findall(r"^  (--[a-z-]+)( [^ ]+)?  +(.+)$", out, flags=re.MULTILINE)
    assert len(options) == len(re.findall(r"^  --", out, flags=re.MULTILINE))
    assert all(len(meaning) > 10 for _, _, meaning in options)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--users", "0"], ["--users", "'0'", "at least 1"]),
        (["--users", "many"], ["--users", "'many'", "at least 1"]),
        (["--users", "1000000000"], ["--users", "1000000000", "100000", "MAX_USERS"]),
        (["--posts", "-1"], ["--posts", "'-1'", "at least 0"]),
        (["--prompt", "12 34"], ["--prompt", "'12 34'", "words"]),
        (["--prompt", "long " * 1000], ["--prompt", "5000", "4000"]),
        (["--quality", "best"], ["--quality", "'best'", "standard or high"]),
        (["--world-id", "harbour"], ["--world-id", "'harbour'", "UUID"]),
        (["--max-cost-usd", "0"], ["--max-cost-usd", "0", "above 0"]),
    ],
)
def test_bad_input_is_refused_before_anything_is_asked_of_a_server(arguments: list[str], named: list[str]) -> None:
    """Exit status 2, and a message with the option, the value and what is allowed; no server is needed for that."""
    exit_code, out, err = run("send", *arguments)
    assert exit_code == 2
    assert out == ""
    assert [part for part in named if part not in err] == []


def test_an_order_is_the_platforms_own_message() -> None:
    """What `send` puts into Kafka is read by the sensor as the order that was typed."""
    order = new_order(users=3, posts=7, prompt="город", quality=Quality.HIGH, max_cost_usd=1.5)
    read = read_message(order.message())
    assert isinstance(read, Order)
    assert (read.world_id, read.task_id) == (order.world_id, order.task_id)
    expected = {"user_prompt": "город", "users_count": 3, "posts_count": 7, "quality": "high", "max_cost_usd": 1.5}
    assert read.parameters == expected


def test_the_result_has_exactly_the_promised_fields() -> None:
    """`--json` gives these fields and no others, in this order."""
    promised = "world_id status characters posts images llm_calls image_calls cost_usd seconds seconds_to_first_post gallery"
    assert list(WorldResult.model_fields) == promised.split()


def test_a_quote_is_the_plan_at_the_models_price() -> None:
    """25 people and 150 posts are quoted with the plan's 205 calls and 177 pictures, limits with a quarter to spare."""
    exit_code, out, _ = run("quote", "--users", "25", "--posts", "150", "--json")
    assert exit_code == 0
    quote = json.loads(out)
    assert quote["image_calls"] == 177
    assert quote["image_call_limit"] == 222
    assert 200 <= quote["llm_calls"] <= 210
    price = (quote["input_tokens"] * 0.30 + quote["output_tokens"] * 2.50) / 1e6
    assert quote["cost_usd"] == pytest.approx(price, abs=1e-5)


def test_a_terminal_obeys_no_text() -> None:
    """Of a hostile text only what can be read is left."""
    assert inert.line(HOSTILE) == "[2J[bold]not bold[/bold] turned next31m"
    assert inert.block("a\r\nb\tc\ud800") == "a\nb    c\ufffd"
    assert inert.line("word " * 50, 20) == "word word word word…"


@pytest.mark.parametrize("watched", [True, False])
def test_what_is_shown_of_a_world_is_read_as_text(watched: bool) -> None:
    """Markup in names, prompts and messages is printed as it stands, and no escape sequence but our own comes out."""
    status = a_status(name=HOSTILE, message=HOSTILE, waiting_for={"api": "llm", "reason": HOSTILE, "since": datetime.now(UTC)})
    text = Text("post", inert.line(HOSTILE), inert.block(HOSTILE))
    out = io.StringIO()
    console = Console(file=out, width=100, markup=False, highlight=False, emoji=False, soft_wrap=not watched)
    if watched:
        console.print(world_panel(status, [text], prompt=HOSTILE, seconds=1.0))
    else:
        display = PlainDisplay(console)
        display.began("ordered", HOSTILE)
        display.moment(Moment(status, [text]))
    assert "[bold]not bold[/bold]" in out.getvalue()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out.getvalue())


def test_percentiles_are_values_that_occurred() -> None:
    """The p50 of an even number of values is the lower middle one, the p95 of twenty the nineteenth; of none it is 0."""
    assert percentile([4, 1, 3, 2], 0.5) == 2
    assert percentile(list(range(1, 21)), 0.95) == 19
    assert percentile([7], 0.95) == 7
    assert percentile([], 0.5) == 0
