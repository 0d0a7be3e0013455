"""Logging of our own packages, in every process: one format, one level (LOG_LEVEL), to stderr.

Here: ``levelled_lines``, the context in which a run, the code server (with the sensors), each command and the pages' server work,
and ``log_context``, which adds the world, run or task to all lines that are logged within it:

    2026-11-28 15:12:00,123 INFO world=… run=… task=generate_post:c0007-p0003 generate_post c0007-p0003: done, attempt 1 of 2

DEBUG adds every attempt of a call, every lock, every message and page. A world of 10,000 posts has tens of thousands of such lines:
few for a run's compute log (stderr on its page), and far too many for the events that Dagster keeps (assets/run_log.py logs one
message there, with a line a character). Not here: a world's log, which is read from MongoDB (queries/log.py).

Lines may quote texts of users and models: each record is one line without control characters, and lines of a traceback are
indented, so that a quoted text cannot imitate a log line. Secrets are masked in every message.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from urllib.parse import unquote_plus

from pydantic import SecretStr

from generia_assets.content.text import clean, one_line
from generia_assets.settings import URLS, Settings, settings
from resources.redaction import hide, redacted

OURS = ("generia_assets", "resources", "sensors")
LONGEST_LINE = 4_000

_about: ContextVar[Mapping[str, str]] = ContextVar("about", default=MappingProxyType({}))


@contextmanager
def log_context(**names: str) -> Iterator[None]:
    """Log lines within this block, in this task and in those that it starts, begin with ``name=value`` of each."""
    before = _about.get()
    _about.set({**before, **names})
    try:
        yield
    finally:
        _about.set(before)  # no reset by token: Dagster may close a resource in another context than the one in which it opened it


@contextmanager
def levelled_lines() -> Iterator[None]:
    """Write our log lines of LOG_LEVEL and above to stderr. Inside another such block nothing changes."""
    loggers = [logging.getLogger(name) for name in OURS]
    if any(isinstance(handler.formatter, LineFormatter) for logger in loggers for handler in logger.handlers):
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    hide(*_secrets(settings()))
    handler.setFormatter(LineFormatter())
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(settings().log_level)
        logger.propagate = False  # else a handler of the root logger (Dagster's code server has one) writes each line a second time
    try:
        yield
    finally:
        for logger, level, propagate in before:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


class LineFormatter(logging.Formatter):
    """One line a record: time, level, what it is about, message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback follows it, indented."""
        about = "".join(f"{name}={value} " for name, value in _about.get().items())
        message = one_line(f"{about}{record.getMessage()}")
        shown = message if len(message) <= LONGEST_LINE else message[: LONGEST_LINE - 1] + "…"
        text = f"{self.formatTime(record)} {record.levelname} {shown}"
        if record.exc_info:
            text += "".join(f"\n  {line}" for line in clean(self.formatException(record.exc_info)).split("\n"))
        return redacted(text)


def _secrets(chosen: Settings) -> set[str]:
    values = {name.upper(): value.get_secret_value() for name, value in chosen if isinstance(value, SecretStr)}
    passwords = {_password(values.pop(name)) for name in URLS}
    return {*values.values(), *passwords, *map(unquote_plus, passwords)}


def _password(url: str) -> str:
    user, at, _ = url.partition("://")[2].rpartition("@")
    return user.partition(":")[2] if at else ""
