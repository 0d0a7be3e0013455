"""The span of one attempt at a call, from sending it to its outcome.

Here: its name and attributes. Those of models have the names of OpenTelemetry's GenAI conventions (schema gen-ai/1.42.0; none of
these names is stable yet), ours begin with ``generia.``. Ids, names and numbers only: neither a request nor an answer, and no
error's message, which may quote them. Not here: who makes spans (api_gateway.py), and what becomes of them (tracing.py).
"""

from __future__ import annotations

from resources.gateway.calls import Api, Call, CallOutcome
from resources.tracing import Attributes, Span, SpanKind

OUTPUT = {Api.LLM: "json", Api.IMAGE: "image"}
OPERATION = "generate_content"
"""What the conventions call a request for content of several kinds."""
OK = "ok"


def call_span(call: Call[object]) -> Span:
    """A span that begins now: the attempt is sent under it."""
    named = call.labels.get("task_type"), call.labels.get("key"), call.labels.get("service_tier")
    about = dict(zip(("generia.task.type", "generia.task.key", "generia.service_tier"), named, strict=True))
    ours = {name: value for name, value in about.items() if value is not None}
    ours |= {"generia.api": call.api.value, "generia.request_type": call.request_type, "generia.task.id": call.task_id}
    name = f"{OPERATION} {call.model or call.provider}" if call.provider else call.request_type
    return Span(name, {**ours, **_asked(call)}, kind=SpanKind.CLIENT)


def _asked(call: Call[object]) -> Attributes:
    """What is asked of whom, by the conventions."""
    if not call.provider:
        return {}
    asked: dict[str, str | int] = {
        "gen_ai.operation.name": OPERATION,
        "gen_ai.provider.name": call.provider,
        "gen_ai.output.type": OUTPUT[call.api],
    }
    if call.model:
        asked["gen_ai.request.model"] = call.model
    if isinstance(most := call.request_data.get("max_output_tokens"), int):
        asked["gen_ai.request.max_tokens"] = most
    return asked


def describe(span: Span, outcome: CallOutcome) -> None:
    """Add how the attempt ended."""
    ended: dict[str, str | int | float | bool] = {
        "generia.outcome": outcome.outcome,
        "generia.cost_usd": outcome.cost_usd,
        "generia.wait_ms": outcome.waited_ms,
        "generia.carried_out": outcome.carried_out,
    }
    tokens = outcome.tokens
    if tokens.prompt or tokens.output:
        ended |= {
            "gen_ai.usage.input_tokens": tokens.prompt,
            "gen_ai.usage.cache_read.input_tokens": tokens.cached,
            "gen_ai.usage.output_tokens": tokens.output,
            "gen_ai.usage.reasoning.output_tokens": tokens.thinking,
        }
    for name, known in (("gen_ai.response.model", "model"), ("gen_ai.response.id", "response_id")):
        if isinstance(value := outcome.data.get(known), str):
            ended[name] = value
    span.set(ended)
    if outcome.outcome != OK:
        span.fail(outcome.outcome)
