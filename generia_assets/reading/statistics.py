"""What a world's requests took: calls, tokens, dollars and times, by what was asked and how it ended (R14, R16)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from math import ceil

from pydantic import BaseModel, ConfigDict

from generia_assets.durable.collections import HISTORY
from resources.mongo import MongoDatabase


class RequestFigures(BaseModel):
    """Requests of one kind that ended in one way. Durations in milliseconds; ``cached_tokens`` are part of ``prompt_tokens``."""

    model_config = ConfigDict(frozen=True)

    api: str
    request_type: str
    outcome: str
    calls: int
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float
    p50_ms: int
    p95_ms: int


@dataclass
class _Sum:
    durations: list[int] = field(default_factory=list)
    prompt: int = 0
    cached: int = 0
    output: int = 0
    cost: float = 0.0


def request_figures(database: MongoDatabase, world_id: str) -> list[RequestFigures]:
    """The figures of a world's recorded requests (those of the last HISTORY_TTL_DAYS days)."""
    sums: defaultdict[tuple[str, str, str], _Sum] = defaultdict(_Sum)
    fields = dict.fromkeys(("api_type", "request_type", "outcome", "duration_ms", "tokens", "cost_usd"), 1)
    for row in database[HISTORY].find({"world_id": world_id}, fields, batch_size=1000):
        one = sums[row["api_type"], row["request_type"], row["outcome"]]
        tokens = row.get("tokens") or {}
        one.durations.append(int(row["duration_ms"]))
        one.prompt += tokens.get("prompt", 0)
        one.cached += tokens.get("cached", 0)
        one.output += tokens.get("output", 0)
        one.cost += row["cost_usd"]
    return [
        RequestFigures(
            api=api,
            request_type=request_type,
            outcome=outcome,
            calls=len(one.durations),
            prompt_tokens=one.prompt,
            cached_tokens=one.cached,
            output_tokens=one.output,
            cost_usd=round(one.cost, 6),
            p50_ms=percentile(one.durations, 0.5),
            p95_ms=percentile(one.durations, 0.95),
        )
        for (api, request_type, outcome), one in sorted(sums.items())
    ]


def percentile(values: list[int], share: float) -> int:
    """The smallest of the values that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else 0
