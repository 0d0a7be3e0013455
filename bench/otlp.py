"""A receiver of traces: OTLP over HTTP on a free loopback port, like that of a collector; it also shows its spans as a tree of
text.

Not here: which spans there must be (one_trace.py).
"""

from __future__ import annotations

import gzip
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

TRACES = "/v1/traces"
SHOWN = {
    "generia.task.key": "{}",
    "generia.request_type": "{}",
    "gen_ai.usage.input_tokens": "{} in",
    "gen_ai.usage.output_tokens": "{} out",
    "generia.cost_usd": "${:.6f}",
    "generia.wait_ms": "waited {} ms",
    "generia.outcome": "{}",
}
"""What the tree shows of a span's attributes, in this order."""


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it arrived. Times are seconds of the epoch."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    started: float
    ended: float
    failed: bool
    attributes: dict[str, Any]
    service: str

    def is_named_by(self, traceparent: str) -> bool:
        """Whether this header names this span as the parent."""
        return traceparent.split("-")[1:3] == [self.trace_id, self.span_id]

    @classmethod
    def of(cls, span: Span, service: str) -> Self:
        return cls(
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.name,
            Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
            span.start_time_unix_nano / 1e9,
            span.end_time_unix_nano / 1e9,
            span.status.code == Status.STATUS_CODE_ERROR,
            {one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value") for one in span.attributes},
            service,
        )


@dataclass
class Receiver:
    """Receives spans while it is open. ``status``: the status that it answers (503: like an overloaded receiver)."""

    status: int = 200
    port: int = 0
    spans: list[ReceivedSpan] = field(default_factory=list)
    encodings: set[str] = field(default_factory=set)
    requests: int = 0

    def __enter__(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # connections stay open, as a collector's do

            def do_POST(self) -> None:
                body, encoding = self.rfile.read(int(self.headers["Content-Length"])), self.headers.get("Content-Encoding", "")
                right = self.path == TRACES and self.headers["Content-Type"] == "application/x-protobuf"
                receiver.requests += 1
                receiver.encodings.add(encoding)
                if right and receiver.status == 200:
                    receiver.take(ExportTraceServiceRequest.FromString(gzip.decompress(body) if encoding == "gzip" else body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(receiver.status if right else 400)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Nothing: the harness reports what arrived."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="otlp-receiver", daemon=True)
        self._thread.start()
        self.port = self._server.server_port
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            named = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [ReceivedSpan.of(span, named.get("service.name", "")) for span in scope.spans]

    def trace(self, trace_id: str) -> list[ReceivedSpan]:
        return sorted((span for span in self.spans if span.trace_id == trace_id), key=lambda span: span.started)


def tree(spans: Iterable[ReceivedSpan]) -> list[str]:
    """A line for each span, under its parent; spans whose parent did not arrive are not indented."""
    known = {span.span_id: span for span in spans}
    below: defaultdict[str, list[ReceivedSpan]] = defaultdict(list)
    for span in known.values():
        below[span.parent_id if span.parent_id in known else ""].append(span)
    first = min((span.started for span in known.values()), default=0.0)

    def lines(parent: str, indent: str) -> Iterator[str]:
        for number, span in enumerate(siblings := below[parent], 1):
            branch, further = ("└─ ", "   ") if number == len(siblings) else ("├─ ", "│  ")
            said = (form.format(span.attributes[name]) for name, form in SHOWN.items() if name in span.attributes)
            name = f"{indent}{branch if parent else ''}{span.name}"
            yield f"{span.started - first:6.2f} s {(span.ended - span.started) * 1000:7.0f} ms  {name}  {', '.join(said)}".rstrip()
            yield from lines(span.span_id, indent + (further if parent else ""))

    return list(lines("", ""))
