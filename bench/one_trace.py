"""``python -m bench.one_trace``: a world's spans, from the message in Kafka to the published posts, at a receiver of OTLP.

Two worlds in one stack with the platform's services: the run of the second one is killed in the middle. Every span, every call of
the platform and every live event of a world must belong to the one trace that its order came with. Prints the first world's tree.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition
from rich.console import Console

from bench.killing import Kill, frozen, run_processes, send
from bench.otlp import ReceivedSpan, Receiver, tree
from bench.report import Options, Report, run
from bench.stack import SHORT_LEASES, TestStack, await_end, wait_for
from generia_assets.durable.collections import HISTORY
from resources import tracing

USERS, POSTS = 3, 6
PROMPT = "a lighthouse for ships that sail under the sand"
LATENCY_SECONDS = 0.15
SLOW_SECONDS = 0.4
"""A call of the language model takes so long in the world whose run is killed."""
CALLS_BEFORE_DEATH = 9
SENT_SECONDS = 0.2
"""What has ended so long before is sent."""
SETTINGS = {"OTEL_BSP_SCHEDULE_DELAY": "50", **SHORT_LEASES, "IMAGE_STUB_LATENCY_SECONDS": "0.05"}
LONGEST_VALUE = 200
"""Characters of an attribute: ids and names are shorter, texts of prompts are longer."""
SENDER = "00f067aa0ba902b7"
"""The span under which the platform sent the orders."""


@dataclass(frozen=True)
class SentEvent:
    """A live event as stored in the topic."""

    kind: str
    traceparent: str


def events_of(stack: TestStack, world_id: str) -> list[SentEvent]:
    with closing(KafkaConsumer(**stack.kafka, enable_auto_commit=False)) as consumer:
        place = TopicPartition("generia-progress", 0)
        consumer.assign([place])
        consumer.seek_to_beginning()
        end, found = consumer.end_offsets([place])[place], []
        while consumer.position(place) < end:
            for record in consumer.poll(500).get(place, []):
                if record.key == world_id.encode():
                    kind = record.value.decode().partition('"event_type": "')[2].partition('"')[0]
                    found.append(SentEvent(kind, tracing.received(record.headers)))
        return found


def wrong_with(
    spans: list[ReceivedSpan], events: list[SentEvent], platform: dict[str, int], requests: int, cost_usd: float, *, killed: bool
) -> Iterator[str]:
    """The faults of a completed world's trace; a killed run loses some of its spans."""
    known = {span.span_id: span for span in spans}
    taken = [span for span in spans if span.kind == "CONSUMER"]
    runs = [span for span in spans if span.name == "run"]
    calls = [span for span in spans if span.kind == "CLIENT"]
    tasks = [span for span in spans if span not in (*taken, *runs, *calls)]
    if [span.parent_id for span in taken] != [SENDER]:
        yield f"the sensor has the parents {[span.parent_id for span in taken]}"
    if [known.get(span.parent_id) for span in runs] != taken or runs[-1].attributes.get("generia.outcome") != "completed":
        yield f"{len(runs)} runs: {[(span.parent_id, span.attributes) for span in runs]}"
    if killed is not runs[-1].attributes["generia.generation.continued"]:
        yield f"the run continues its generation: {runs[-1].attributes}"
    for parents, children in ((runs, tasks), (tasks, calls)):
        lost = {span.parent_id for span in children} - {span.span_id for span in parents}
        if not killed and lost:
            yield f"{len(lost)} parents of {children[0].name} and others did not arrive"
    if len({span.parent_id for span in tasks}) != (2 if killed else 1):
        yield f"tasks of {len({span.parent_id for span in tasks})} runs"
    for span in spans:
        if any(len(str(value)) > LONGEST_VALUE or PROMPT in str(value) for value in span.attributes.values()):
            yield f"{span.name} holds a text: {span.attributes}"
    asked = [span for span in calls if span.attributes.get("gen_ai.provider.name") == "gcp.gemini" and not span.failed]
    if not asked or any(not span.attributes["gen_ai.usage.input_tokens"] for span in asked):
        yield "a call of the language model without tokens"
    if any(name not in span.attributes for span in calls for name in ("generia.cost_usd", "generia.wait_ms", "generia.outcome")):
        yield "a call without cost, wait or outcome"
    sent = {span.span_id for span in calls if span.attributes["generia.api"] == "platform"}
    got = {one.split("-")[2] for one in platform if one.split("-")[1] == spans[0].trace_id}
    if not sent or not (sent <= got if killed else sent == got):
        yield f"the platform got {len(got)} trace contexts of {len(sent)} calls"
    if not killed and (requests != len(calls) or abs(sum(span.attributes["generia.cost_usd"] for span in calls) - cost_usd) > 1e-9):
        yield f"{len(calls)} calls in the trace, {requests} in the record of requests; or their costs differ"
    contexts = [event.traceparent.split("-") for event in events]
    if not events or any(len(context) != 4 or context[1] != spans[0].trace_id for context in contexts):
        yield f"events outside of the trace: {[event for event in events if spans[0].trace_id not in event.traceparent]}"
    published = [known.get(event.traceparent.split("-")[2]) for event in events if event.kind == "post_published"]
    names = {span.name for span in published if span is not None}
    if len(published) < POSTS or names != {"generate_post_image"} or (not killed and None in published):
        yield f"{len(published)} events post_published, from spans {names}"


def make(stack: TestStack, receiver: Receiver, trace_id: str, *, kill: bool) -> tuple[list[ReceivedSpan], list[str]]:
    """Order a world in this trace and, if requested, kill its run; return its spans, and their faults."""
    stack.gemini.reset()
    stack.gemini.set_faults(latency=SLOW_SECONDS if kill else LATENCY_SECONDS)
    world_id = stack.order(users=USERS, posts=POSTS, prompt=PROMPT, traceparent=f"00-{trace_id}-{SENDER}-01")
    with stack.database() as database:
        if kill:
            wait_for("the middle of the work", lambda: stack.gemini.stats().calls >= CALLS_BEFORE_DEATH or None, seconds=300)
            time.sleep(SENT_SECONDS)
            runs = run_processes(stack)
            with frozen(runs):
                send(Kill.RUN, stack, runs)
        status = await_end(database, world_id, seconds=300)
        wait_for("the run's span", lambda: any(one.name == "run" for one in receiver.trace(trace_id)) or None, seconds=300)
        requests = database[HISTORY].count_documents({"world_id": world_id})
    spans = receiver.trace(trace_id)
    assert stack.platform is not None
    with stack.platform as control:
        traceparents = control.stats().traceparents
    cost_usd = status.llm_cost_total + status.image_cost_total
    return spans, list(wrong_with(spans, events_of(stack, world_id), traceparents, requests, cost_usd, killed=kill))


def harness(options: Options, console: Console) -> Report:
    with Receiver() as receiver:
        settings = {**SETTINGS, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
        with TestStack(seed=options.seed, settings=settings) as stack:
            stack.start_servers()
            stack.start_platform(latency=0.02)
            stack.start_dagster()
            spans, wrong = make(stack, receiver, f"{options.seed:032x}", kill=False)
            console.print("\n".join(tree(spans)), markup=False, highlight=False, soft_wrap=True)
            after_death, wrong_after = make(stack, receiver, f"{options.seed + 1:032x}", kill=True)
        strays = {span.trace_id for span in receiver.spans} - {spans[0].trace_id, after_death[0].trace_id}
    wrong += [f"killed: {one}" for one in wrong_after] + [f"traces of nobody: {strays}" for _ in range(bool(strays))]
    services = {span.service for span in receiver.spans}
    if services != {"generia"}:
        wrong.append(f"services {services}")
    figures = {"spans": len(spans), "spans_with_a_kill": len(after_death), "requests": receiver.requests}
    return Report(not wrong, figures, remarks=wrong)


if __name__ == "__main__":
    run("one_trace", __doc__.splitlines()[0], harness)
