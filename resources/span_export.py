"""Recording and sending spans with OpenTelemetry's SDK, over OTLP by HTTP. Imported only where a receiver is named (tracing.py).

The SDK reads its own variables: endpoint, headers, certificates, time-out, sampler, limits of the queue. A receiver that is away
holds nobody up: spans wait in a queue of bounded length, which drops the oldest, and one warning says so.
"""

import atexit
import logging
import os
import threading
from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, set_span_in_context

from resources import tracing
from resources.redaction import HIDDEN

logger = logging.getLogger(__name__)

SERVICE = "generia"
DELAY_MS = 1_000
"""From a span's end to its sending at most, where OTEL_BSP_SCHEDULE_DELAY says nothing: a process that is killed loses so much."""
_SDK_LOGGERS = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")
"""They write a line for each try and each dropped span."""


def _hide_values(record: logging.LogRecord) -> bool:
    """Hide the values that a line quotes: of a malformed OTEL_EXPORTER_OTLP_HEADERS, which may be a key."""
    record.args = (HIDDEN,) * len(record.args or ())
    return True


class OneWarningExporter(SpanExporter):
    """OTLP by HTTP, which logs one line when the receiver goes away, and one when it answers again."""

    def __init__(self) -> None:
        logging.getLogger("opentelemetry.util.re").addFilter(_hide_values)
        self._exporter = OTLPSpanExporter()
        self._first_line = ""
        for name in _SDK_LOGGERS:
            logging.getLogger(name).addFilter(self._keep_first_line)
        self.is_away = False

    def _keep_first_line(self, record: logging.LogRecord) -> bool:
        self._first_line = self._first_line or record.getMessage()
        return False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send these spans. A failure loses them."""
        self._first_line = ""
        result = self._exporter.export(spans)
        failed = result is SpanExportResult.FAILURE
        if failed and not self.is_away:
            logger.warning("spans are lost until the receiver of traces answers again (%s); the work goes on", self._first_line)
        elif self.is_away and not failed:
            logger.warning("the receiver of traces answers again")
        self.is_away = failed
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


class SpanExport:
    """The SDK of one process: its threads do not survive a fork."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._exporter = OneWarningExporter()
        delay = None if os.environ.get("OTEL_BSP_SCHEDULE_DELAY") else DELAY_MS
        named = SERVICE_NAME in OTELResourceDetector().detect().attributes
        resource = Resource.create({} if named else {SERVICE_NAME: SERVICE})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)  # it may take half a minute
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter, schedule_delay_millis=delay))
        self.tracer = self._provider.get_tracer(SERVICE)

    def flush(self, seconds: float) -> None:
        """Send what waits, for so long at most; not while the receiver is away."""
        if not self._exporter.is_away:
            flushing = threading.Thread(target=self._provider.force_flush, name="flush-spans", daemon=True)  # knows no time-out
            flushing.start()
            flushing.join(seconds)


_exporting: list[SpanExport] = []


def exporting() -> SpanExport:
    if not _exporting or _exporting[0].pid != os.getpid():
        if not _exporting:
            atexit.register(tracing.flush)
        _exporting[:] = [SpanExport()]
    return _exporting[0]


def start(name: str, attributes: tracing.Attributes, kind: tracing.SpanKind, parent: str, *, is_remote: bool) -> tuple[Span, str]:
    """A span that begins now, and its trace context. ``parent``: a trace context, or ''."""
    context = Context()
    if parent:
        _, trace_id, span_id, flags = parent.split("-")
        above = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote, TraceFlags(int(flags, 16)))
        context = set_span_in_context(NonRecordingSpan(above), context)
    span = exporting().tracer.start_span(name, context, SpanKind[kind], attributes)
    made = span.get_span_context()
    return span, f"00-{made.trace_id:032x}-{made.span_id:016x}-{made.trace_flags:02x}"
