"""Traces: W3C's header, received and passed on, and spans at a real receiver of OTLP on loopback."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import pytest

from bench.otlp import Receiver, tree
from emulators.lifecycle import free_port
from generia_assets.cli.order import send
from generia_assets.durable.orders.order import Order, PartParameters
from resources import tracing
from resources.gateway.calls import GEMINI_PROVIDER, Answer, Api, Call, CallOutcome, TokenUsage
from tests.support.kafka_ticks import kafka_resource
from tests.support.waiting import PATIENCE_S, wait_for

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CAME = f"00-{TRACE}-{PARENT}-01"


async def never() -> Answer[None]:
    raise AssertionError("not sent")


CALL: Call[None] = Call(
    Api.LLM, "post", "task", 1, {"parts": ["a secret prompt"]}, never, provider=GEMINI_PROVIDER, model="gemini-2.5-flash"
)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*tracing.ENDPOINTS, "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sending(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The export of this process belongs to this test."""
    from resources import span_export

    monkeypatch.setattr(span_export, "_exporting", made := [])
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    yield
    for export in made:
        export._provider.shutdown()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch, sending: None) -> Iterator[Receiver]:
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        yield receiver


@pytest.mark.case("K11")
@pytest.mark.parametrize(
    ("header", "meant"),
    [
        (CAME, CAME),
        (f"00-{TRACE}-{PARENT}-00", f"00-{TRACE}-{PARENT}-00"),
        (f"cc-{TRACE}-{PARENT}-01-what-is-new", CAME),  # a later version is parsed like this one
        (f"ff-{TRACE}-{PARENT}-01", ""),
        (f"00-{TRACE}-{PARENT}-01-more", ""),
        (f"00-{TRACE.upper()}-{PARENT}-01", ""),
        (f"00-{'0' * 32}-{PARENT}-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (f"00-{TRACE}-{PARENT}", ""),
        ("\xff\x00", ""),
        ("", ""),
    ],
)
def test_a_header_is_parsed_as_w3c_defines(header: str, meant: str, caplog: pytest.LogCaptureFixture) -> None:
    """A valid header is the trace context; a malformed one is ignored, and is logged only at DEBUG."""
    caplog.set_level(logging.DEBUG, "resources.tracing")
    assert tracing.received([("other", b"1"), ("traceparent", header.encode("latin-1"))]) == meant
    assert [record.levelname for record in caplog.records] == ([] if meant or not header else ["DEBUG"])


def test_a_message_without_the_header_has_no_trace_context() -> None:
    """A missing header, and one without a value, are not errors."""
    assert tracing.received([]) == tracing.received([("traceparent", None)]) == tracing.checked(7) == ""


def test_without_an_endpoint_the_sdk_is_not_imported_and_the_header_is_passed_on() -> None:
    """Loading the definitions and making spans imports nothing of OpenTelemetry; the received header is passed on unchanged."""
    program = f"""
import sys
import generia_assets.definitions
from resources import tracing
tracing.prepare()
with tracing.Span("run", {{}}, parent={CAME!r}) as run, tracing.Span("task", {{"a": 1}}) as task:
    task.set({{"b": 2}})
    task.fail("refused")
    assert tracing.headers() == (("traceparent", {CAME!r}),), tracing.headers()
assert tracing.headers() == ()
tracing.flush()
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60)
    assert (ran.stdout, ran.returncode) == ("[]\n", 0), ran.stderr


@pytest.mark.parametrize(("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")])
def test_the_sdks_own_switches_turn_traces_off(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one of these variables the endpoint is ignored."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/v1/traces")
    assert tracing.is_on()
    monkeypatch.setenv(name, value)
    assert not tracing.is_on()


def test_spans_arrive_with_their_parents_and_without_texts(receiver: Receiver) -> None:
    """The receiver gets the tree, the call's figures and its outcome, but not the texts of request, answer and error."""
    outcome = CallOutcome(
        "refused",
        0.25,
        TokenUsage(7, 3, 5, 2),
        {"model": "gemini-2.5-flash", "text": "a secret answer"},
        "a secret error",
        waited_ms=9,
    )
    with tracing.Span("process orders", {}, kind=tracing.SpanKind.CONSUMER, parent=CAME), CALL.span() as call:
        assert tracing.headers() == (("traceparent", call.traceparent),)
        outcome.describe(call)
    tracing.flush(30)
    above, below = receiver.trace(TRACE)
    assert (above.parent_id, above.kind, above.failed, above.service) == (PARENT, "CONSUMER", False, "generia")
    assert (below.parent_id, below.kind, below.failed) == (above.span_id, "CLIENT", True)
    assert below.is_named_by(call.traceparent)
    assert below.name == "generate_content gemini-2.5-flash"
    assert below.attributes == {
        "error.type": "refused",
        "gen_ai.operation.name": "generate_content",
        "gen_ai.output.type": "json",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "gemini-2.5-flash",
        "gen_ai.response.model": "gemini-2.5-flash",
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "generia.api": "llm",
        "generia.cost_usd": 0.25,
        "generia.outcome": "refused",
        "generia.request_type": "post",
        "generia.wait_ms": 9,
    }
    first, second = tree(receiver.spans)
    assert "process orders" in first
    assert "└─ generate_content" in second


def test_an_error_marks_its_span_by_its_class(receiver: Receiver) -> None:
    """The message of an exception can quote a text, so only its class is sent. A span without a parent begins a trace."""
    with pytest.raises(ValueError, match="secret"), tracing.Span("task", {}):
        raise ValueError("a secret")
    tracing.flush(30)
    (span,) = receiver.spans
    assert (span.failed, span.parent_id, span.attributes) == (True, "", {"error.type": "ValueError"})


def test_the_sampler_is_the_sdks_own(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """With always_off nothing is sent, and the header that is passed on is marked as not sampled."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    with tracing.Span("run", {}, parent=CAME) as span:
        assert span.traceparent.startswith(f"00-{TRACE}-")
        assert span.traceparent.endswith("-00")
    monkeypatch.delenv("OTEL_TRACES_SAMPLER")
    with tracing.Span("run", {}, parent=f"00-{TRACE}-{PARENT}-00") as span:  # as decided by the sender
        assert span.traceparent.endswith("-00")
    tracing.flush(30)
    assert receiver.requests == 0


def test_gzip_is_used_if_the_environment_sets_it(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter reads the variables of OpenTelemetry."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with tracing.Span("run", {}, parent=CAME):
        pass
    tracing.flush(30)
    assert (receiver.encodings, len(receiver.spans)) == ({"gzip"}, 1)


def test_a_malformed_variable_of_headers_is_logged_without_its_value(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK's own message would quote a key."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "the-secret-key")
    tracing.prepare()
    assert "Header format invalid" in caplog.text
    assert "secret" not in caplog.text


def test_an_unavailable_receiver_delays_nothing_and_is_logged_once(
    sending: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """There is one warning for any number of lost spans, a flush of bounded length, and spans arrive again when the receiver is
    back."""
    caplog.set_level(logging.DEBUG)
    port = free_port()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
    began = time.monotonic()
    for _ in range(1_000):
        with tracing.Span("lost", {}):
            pass
    tracing.flush(0.5)
    assert time.monotonic() - began < 20
    lines = wait_for(lambda: ours(caplog))
    assert [line.partition(" (")[0] for line in lines] == ["spans are lost until the receiver of traces answers again"]
    with Receiver(port=port) as receiver:
        while len(ours(caplog)) < 2:
            with tracing.Span("sent", {}):
                time.sleep(0.05)
        assert receiver.spans
    assert ours(caplog)[1:] == ["the receiver of traces answers again"]
    assert {record.name for record in caplog.records if record.levelno >= logging.WARNING} <= {"resources.span_export"}


def ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "resources.span_export"]


def test_a_forked_process_sends_its_own_spans(receiver: Receiver) -> None:
    """Threads and connections do not survive a fork: the child has its own export, and sends its spans once."""
    program = f"""
import os, sys
from resources import tracing
from resources.span_export import exporting
with tracing.Span("parent", {{}}, parent={CAME!r}):
    pass
tracing.flush(30)
before = exporting()
child = os.fork()
assert (exporting() is before) == (child != 0)
with tracing.Span("child" if child == 0 else "parent again", {{}}, parent={CAME!r}):
    pass
tracing.flush(30)
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
"""
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60)
    assert (ran.stderr, ran.returncode) == ("", 0)
    assert sorted(span.name for span in receiver.trace(TRACE)) == ["child", "parent", "parent again"]


def test_an_order_that_a_command_sends_begins_a_trace(receiver: Receiver, broker: str) -> None:
    """The record's header has the command's span; if no traces are sent the record has no header."""
    kafka = kafka_resource(broker, f"orders-{uuid.uuid4().hex[:8]}")
    topic = kafka.settings.kafka_tasks_topic
    orders = [Order(str(uuid.uuid4()), PartParameters()) for _ in range(2)]
    send(orders[0], kafka.address, topic)
    with pytest.MonkeyPatch.context() as off:
        off.setenv("OTEL_SDK_DISABLED", "true")
        send(orders[1], kafka.address, topic)
    with kafka.tasks() as reader:
        log = reader.await_topic(time.monotonic() + PATIENCE_S)
        assert log is not None
        messages = reader.read(dict.fromkeys(log.bounds, 0), deadline=time.monotonic() + PATIENCE_S, max_messages=2).messages
    (span,) = receiver.spans
    came = {message.key: tracing.received(message.headers) for message in messages}
    assert came.keys() == {order.world_id.encode() for order in orders}
    assert span.is_named_by(came[orders[0].world_id.encode()])
    assert came[orders[1].world_id.encode()] == ""
    assert (span.kind, span.parent_id, span.attributes["generia.order.id"]) == ("PRODUCER", "", orders[0].task_id)
