"""One trace from the order's message to the published post, by W3C's trace context and OpenTelemetry.

Spans are recorded and sent only where OpenTelemetry's own variables name a receiver (``is_on``). Else nothing of OpenTelemetry is
imported, and a trace context that came with a message is passed on unchanged.

Attributes hold ids, names of models and counts; never a text of a user or a model, an error's message, or a secret.
"""

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import TYPE_CHECKING, Self, TypeAlias

from resources.explanation import shortened

if TYPE_CHECKING:
    from opentelemetry.trace import Span as RecordedSpan

logger = logging.getLogger(__name__)

TRACEPARENT = "traceparent"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
FLUSH_SECONDS = 2.0
"""What the end of a run, of a command or of a process waits at most for its last spans to be sent."""

_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

_present: ContextVar[str] = ContextVar(TRACEPARENT, default="")

Attributes: TypeAlias = Mapping[str, str | int | float | bool]


class SpanKind(StrEnum):
    """What a span is to its trace, by OpenTelemetry's names."""

    INTERNAL = "INTERNAL"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


def is_on() -> bool:
    given = os.environ.get
    off = given("OTEL_SDK_DISABLED", "").strip().lower() == "true" or given("OTEL_TRACES_EXPORTER", "").strip() == "none"
    return any(given(name) for name in ENDPOINTS) and not off


def traceparent() -> str:
    """The trace context of the present work as the header has it; '' outside of every trace."""
    return _present.get()


def headers(traceparent: str | None = None) -> tuple[tuple[str, str], ...]:
    """The trace context (None: the present one) as headers of a message, or metadata of a call; none outside of every trace."""
    context = _present.get() if traceparent is None else traceparent
    return ((TRACEPARENT, context),) if context else ()


def received(headers: Iterable[tuple[str, bytes | None]]) -> str:
    """The trace context that came with a message; '' for none, or for one that W3C's rules call invalid."""
    value = next((value for name, value in headers if name.lower() == TRACEPARENT), None)
    return "" if value is None else checked(value.decode("latin-1"))


def checked(traceparent: object) -> str:
    """A trace context from elsewhere, in the form of W3C's version 00; '' for what is none, which is logged at DEBUG."""
    found = _FORM.fullmatch(traceparent) if isinstance(traceparent, str) else None
    if found is not None and not (found[1] == "00" and found[5]):
        return f"00-{found[2]}-{found[3]}-{found[4]}"
    if traceparent not in (None, ""):
        logger.debug("traceparent=%s is ignored: it has not the form of W3C's trace context", shortened(traceparent))
    return ""


@contextmanager
def within(traceparent: str) -> Iterator[None]:
    """Work within this block, and in the tasks that it starts, belongs to this trace context."""
    before = _present.get()
    _present.set(traceparent)
    try:
        yield
    finally:
        _present.set(before)  # no reset by token: see log_context


class Span:
    """One piece of work in its trace, from when it is made to ``end``; as a context it is the present one and ends itself.

    Attributes:
        traceparent: Its trace context. Where nothing is recorded: its parent's.
    """

    __slots__ = ("_before", "_failed", "_recorded", "traceparent")

    def __init__(self, name: str, attributes: Attributes, *, kind: SpanKind = SpanKind.INTERNAL, parent: str | None = None) -> None:
        """``parent``: a trace context from another process, '' to begin a trace; None: the present one."""
        self.traceparent = _present.get() if parent is None else parent
        self._recorded: RecordedSpan | None = None
        self._failed = False
        if is_on():
            from resources.span_export import start

            self._recorded, self.traceparent = start(name, attributes, kind, self.traceparent, is_remote=parent is not None)

    def set(self, attributes: Attributes) -> None:
        if self._recorded is not None:
            self._recorded.set_attributes(attributes)

    def fail(self, error_type: str) -> None:
        """Mark it as failed. The first mark counts."""
        if self._recorded is not None and not self._failed:
            from opentelemetry.trace import StatusCode

            self._failed = True
            self._recorded.set_attribute("error.type", error_type)
            self._recorded.set_status(StatusCode.ERROR)

    def end(self) -> None:
        if self._recorded is not None:
            self._recorded.end()

    def __enter__(self) -> Self:
        self._before = _present.get()
        _present.set(self.traceparent)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _present.set(self._before)
        if kind is not None:
            self.fail(kind.__name__)
        self.end()


def prepare() -> None:
    """Import and set up what spans need now, which takes a third of a second, and not when the first one begins."""
    if is_on():
        from resources.span_export import exporting

        exporting()


def flush(seconds: float = FLUSH_SECONDS) -> None:
    """Send the spans that have ended, for so long at most. Call it when a run ends: its process may end with it."""
    if is_on():
        from resources.span_export import exporting

        exporting().flush(seconds)
