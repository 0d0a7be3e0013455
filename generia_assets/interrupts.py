"""Ctrl-C and SIGTERM: both raise ``KeyboardInterrupt`` once, and are ignored during the shutdown that follows."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import NoReturn

EXIT_STATUS = 130
"""The exit code that a shell expects of an interrupted command."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def restore_interrupts() -> None:
    """React to Ctrl-C even if the parent process ignored it (``nohup make test &``), and let child processes react, too.

    Dagster treats SIGTERM like SIGINT: a Dagster process that ignores SIGINT can only be killed.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def interruptible() -> AbstractContextManager[None]:
    """Within this block each of the signals raises ``KeyboardInterrupt``, the first time; further ones are ignored."""
    return _handled_by(_interrupt)


def uninterrupted() -> AbstractContextManager[None]:
    """Within this block the signals are ignored, so that a shutdown is not interrupted itself."""
    return _handled_by(signal.SIG_IGN)


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], NoReturn] | signal.Handlers) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
