"""The span of one attempt at a call, from sending it to its outcome.

Here: its name and attributes. Those of models have the names of OpenTelemetry's GenAI conventions (schema gen-ai/1.42.0; none of
these names is stable yet), ours begin with ``generia.``. Ids, names and numbers only: neither a request nor an answer, and no
error's message, which may quote them. Not here: who makes spans (api_gateway.py), and what becomes of them (tracing.py).
"""

from __future__ import annotations

from resources.gateway.calls import Api, Call, CallOutcome
from resources.tracing import Span, SpanKind

OUTPUT = {Api.LLM: "json", Api.IMAGE: "image"}
OPERATION = "generate_content"
"""What the conventions call a request for content of several kinds."""
OK = "ok"


def call_span(call: Call[object]) -> Span:
    """A span that begins now, under that of its task: the attempt is sent under it."""
    asked = {"generia.api": call.api.value, "generia.request_type": call.request_type}
    if tier := call.labels.get("service_tier"):
        asked["generia.service_tier"] = tier
    if not call.provider:
        return Span(call.request_type, asked, kind=SpanKind.CLIENT)
    asked["gen_ai.operation.name"] = OPERATION
    asked["gen_ai.provider.name"] = call.provider
    asked["gen_ai.output.type"] = OUTPUT[call.api]
    if call.model:
        asked["gen_ai.request.model"] = call.model
    return Span(f"{OPERATION} {call.model or call.provider}", asked, kind=SpanKind.CLIENT)


def describe(span: Span, outcome: CallOutcome) -> None:
    """Add how the attempt ended."""
    ended: dict[str, str | int | float | bool] = {
        "generia.outcome": outcome.outcome,
        "generia.cost_usd": outcome.cost_usd,
        "generia.wait_ms": outcome.waited_ms,
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
