"""The cost of a call's span: CPU of the thread that makes it, with a receiver on loopback, compared with a bare span of the SDK,
and with traces off.

Another thread sends spans. Its cost is the CPU of the whole process; the receiver is another process. Not here: which spans a world
has (one_trace.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from resources import tracing
from resources.gateway.calls import GEMINI_PROVIDER, Answer, Api, Call, CallOutcome, TokenUsage

SPANS, ROUNDS = 400, 10
"""A round's spans fit into the queue, and the best round counts: others ran beside other processes."""
RECEIVER = "import sys; from bench.otlp import Receiver\nwith Receiver() as one: print(one.endpoint, flush=True); sys.stdin.read()"


async def _never() -> Answer[None]:
    raise RuntimeError("only its span is measured: nobody sends this call")


CALL: Call[None] = Call(
    Api.LLM, "post", "task", 1, {}, _never, labels={"service_tier": "standard"}, provider=GEMINI_PROVIDER, model="gemini-2.5-flash"
)
OUTCOME = CallOutcome("ok", 0.001, TokenUsage(5000, 1000, 200, 50), {"model": "gemini-2.5-flash", "response_id": "r"}, waited_ms=9)


@dataclass(frozen=True)
class SpanCost:
    """Microseconds of CPU for a call. ``bare``: a span of the SDK without attributes; ``sent``: with its sending."""

    on: float
    bare: float
    sent: float
    off: float


def measure() -> SpanCost:
    with (
        tracing.within(f"00-{1:032x}-{1:016x}-01"),
        subprocess.Popen([sys.executable, "-c", RECEIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as receiver,
    ):
        if receiver.stdout is None:
            raise RuntimeError("the receiver has no standard output")
        os.environ[tracing.ENDPOINTS[1]] = receiver.stdout.readline().strip()
        try:
            from resources.span_export import exporting

            tracer = exporting().tracer
            on, sent = _best(_whole)
            bare, _ = _best(lambda: tracer.start_span("bare").end())
        finally:
            del os.environ[tracing.ENDPOINTS[1]]
        off, _ = _best(_whole)
    return SpanCost(on, bare, sent, off)


def _whole() -> None:
    with CALL.span() as span:
        OUTCOME.describe(span)


def _best(make: Callable[[], object]) -> tuple[float, float]:
    """Microseconds of this thread, and of the process until all are sent, for one."""
    best, sent = float("inf"), float("inf")
    for _ in range(ROUNDS):
        thread, process = time.thread_time(), time.process_time()
        for _ in range(SPANS):
            make()
        best = min(best, time.thread_time() - thread)
        tracing.flush(10.0)
        sent = min(sent, time.process_time() - process)
    return best / SPANS * 1e6, sent / SPANS * 1e6
