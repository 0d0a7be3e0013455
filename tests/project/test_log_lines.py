"""The log lines of our packages: one format and level in every process, their context, no forged lines, no secrets."""

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from generia_assets.durable.calls.history import log_attempt
from generia_assets.logging_setup import LONGEST_LINE, levelled_lines, log_context
from generia_assets.settings import settings
from resources.gateway.calls import Answer, Api, Call, CallOutcome, TokenUsage

ROOT = Path(__file__).parents[2]
OUR_LOGGERS = ("generia_assets", "resources", "sensors")


@pytest.fixture(autouse=True)
def debug(monkeypatch):
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("GEMINI_API_KEY", "AIzaSecretSecret")
    monkeypatch.setenv("MONGODB_URI", "mongodb://me:hunter%402hunter@db/")  # pragma: allowlist secret
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.parametrize("room", OUR_LOGGERS)
def test_lines_of_every_package_are_written_once_at_the_configured_level(room, capsys, monkeypatch):
    """This holds for each of our packages, however often the set-up is entered; other libraries are not changed; afterwards the
    set-up is removed."""
    logger = logging.getLogger(f"{room}.somewhere")
    with levelled_lines(), levelled_lines():
        logger.debug("a detail")
        logging.getLogger("kafka.somewhere").debug("not ours")
    logger.debug("too late")
    written = capsys.readouterr().err
    assert written.count("DEBUG a detail\n") == 1
    assert "not ours" not in written
    assert "too late" not in written
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    settings.cache_clear()
    with levelled_lines():
        logger.info("a detail")
        logger.warning("a matter")
    assert capsys.readouterr().err.endswith(" WARNING a matter\n")


async def test_a_line_has_its_world_and_run(capsys):
    """Lines of a task have its world and run; concurrent tasks are not mixed."""
    logger = logging.getLogger("resources.somewhere")

    async def work(key):
        with log_context(task=f"generate_post:{key}"):
            await asyncio.sleep(0)
            logger.info("done")

    with levelled_lines(), log_context(world="w1", run="r1"):
        await asyncio.gather(work("c0001-p0001"), work("c0002-p0001"))
        logger.info("over")
    logged = [line.split(" INFO ")[1] for line in capsys.readouterr().err.splitlines()]
    assert logged == [
        "world=w1 run=r1 task=generate_post:c0001-p0001 done",
        "world=w1 run=r1 task=generate_post:c0002-p0001 done",
        "world=w1 run=r1 over",
    ]


def test_no_text_can_forge_a_log_line(capsys):
    """Line breaks and control codes are removed from messages; the lines of a traceback are indented; every line is bounded."""
    logger = logging.getLogger("generia_assets.somewhere")
    forged = "x\n2026-11-28 15:12:00,123 ERROR forged\r\u2028\x1b[2J" + "long " * LONGEST_LINE
    with levelled_lines():
        logger.warning("said: %s", forged)
        logger.error("broken", exc_info=ValueError(forged))
    written = capsys.readouterr().err
    assert "\x1b" not in written
    first, second, *more = written.rstrip("\n").split("\n")
    assert first.startswith("20") and " WARNING said: x 2026-11-28" in first and len(first) < LONGEST_LINE + 100
    assert second.endswith(" ERROR broken")
    assert all(line.startswith("  ") for line in more)
    assert any("ValueError" in line for line in more)


def test_a_secret_in_a_message_is_masked(capsys):
    """Neither the key nor MongoDB's password, encoded or decoded, reaches a log."""
    with levelled_lines():
        logging.getLogger("resources.somewhere").error("AIzaSecretSecret hunter%%402hunter %s", "hunter@2hunter")
    assert capsys.readouterr().err.endswith(" ERROR *** *** ***\n")


async def never_sent() -> Answer[Any]:
    raise AssertionError


def test_the_line_of_an_attempt_has_what_tracing_needs_and_no_text(capsys):
    """It has API, request, task, attempt, outcome, times, tokens and dollars, and neither prompt nor answer."""
    call = Call(
        api=Api.LLM,
        request_type="post",
        task_id="t1",
        priority=0,
        request_data={"parts": ["the prompt"]},
        send=never_sent,
        labels={"task_type": "generate_post", "key": "c0007-p0003"},
    )
    ended = CallOutcome("ok", 0.00123, TokenUsage(1000, 400, 200, 0), {"text": "the answer"}, None, 812, waited_ms=40)
    with levelled_lines():
        log_attempt("a1b2", call, ended)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "call llm post of generate_post c0007-p0003, attempt a1b2: ok in 812 ms after 40 ms of waiting, "
        "tokens 1000 in (400 cached) 200 out, $0.001230"
    )


@pytest.mark.servers
@pytest.mark.parametrize("level", ["DEBUG", "ERROR"])
def test_the_code_server_logs_by_our_level(level):
    """The process of a code server, in which sensors tick, writes our lines at LOG_LEVEL and above while it serves."""
    code = (
        "import logging\n"
        "from generia_assets.dagster_internals import code_server_classes\n"
        "from generia_assets.warm_start import extend_code_server\n"
        "extend_code_server()\n"
        "class Served:\n"
        "    _health_servicer = None\n"
        "    class server:\n"
        "        @staticmethod\n"
        "        def start(): logging.getLogger('sensors.somewhere').warning('a tick'); raise SystemExit(7)\n"
        "code_server_classes()[1].serve(Served)\n"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LOG_LEVEL": level, "GENERIA_COLD_START": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 7
    assert ("WARNING a tick" in done.stderr) is (level == "DEBUG")
