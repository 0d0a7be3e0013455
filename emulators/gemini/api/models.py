"""The models that exist, and in what they differ: thinking, caching, prefill. Facts measured against the real API.

Not here: prices (they are the product's business) and the rules that use these facts (rules.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue

INPUT_TOKEN_LIMIT = 1_048_576
OUTPUT_TOKEN_LIMIT = 65_536


@dataclass(frozen=True)
class Model:
    """One model as the API shows it. Token counts throughout."""

    name: str
    display_name: str
    version: str
    cache_minimum: int
    """Shortest prefix that the implicit cache keeps."""
    thinking_levels: frozenset[str] = frozenset()
    """Accepted ``thinking_level``s; empty: the parameter is refused altogether."""
    zero_budget: bool = True
    """Whether ``thinking_budget: 0`` is accepted."""
    default_thoughts: int = 0
    """Thinking tokens an ordinary call spends when nothing is asked for."""
    prefill: bool = True
    """Whether the last turn may be of role ``model``."""
    explains_states: bool = False
    """Whether a schema with too many states is refused with a reason, or with a bare "invalid argument"."""
    signs_thoughts: bool = False
    """Whether parts carry a ``thoughtSignature``."""

    def description(self) -> dict[str, JsonValue]:
        """The body of ``GET /models/{model}``."""
        return {
            "name": f"models/{self.name}",
            "version": self.version,
            "displayName": self.display_name,
            "description": self.display_name,
            "inputTokenLimit": INPUT_TOKEN_LIMIT,
            "outputTokenLimit": OUTPUT_TOKEN_LIMIT,
            "supportedGenerationMethods": ["generateContent", "countTokens", "createCachedContent", "batchGenerateContent"],
            "temperature": 1,
            "topP": 0.95,
            "topK": 64,
            "maxTemperature": 2,
            "thinking": True,
        }


_ALL_LEVELS = frozenset({"MINIMAL", "LOW", "MEDIUM", "HIGH"})

MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model("gemini-2.5-flash", "Gemini 2.5 Flash", "001", cache_minimum=2048, default_thoughts=160, explains_states=True),
        Model(
            "gemini-3.1-flash-lite",
            "Gemini 3.1 Flash-Lite",
            "001",
            cache_minimum=4096,
            thinking_levels=_ALL_LEVELS,
            prefill=False,
        ),
        Model(
            "gemini-3.5-flash-lite",
            "Gemini 3.5 Flash-Lite",
            "001",
            cache_minimum=4096,
            thinking_levels=_ALL_LEVELS,
            zero_budget=False,
            prefill=False,
            signs_thoughts=True,
        ),
        Model(
            "gemini-3.8-flash",
            "Gemini 3.8 Flash",
            "3.0",
            cache_minimum=4096,
            thinking_levels=_ALL_LEVELS - {"MINIMAL"},
            zero_budget=False,
            default_thoughts=240,
            prefill=False,
            signs_thoughts=True,
        ),
    )
}
