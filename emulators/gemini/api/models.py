"""The existing models and their differences: thinking, caching, prefill. The facts were measured with the real API.

Not here: prices (they are the product's business) and the rules that use these facts (rules.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import JsonValue

INPUT_TOKEN_LIMIT = 1_048_576
OUTPUT_TOKEN_LIMIT = 65_536

PICTURE_SIZES = {
    "1:1": (1024, 1024),
    "2:3": (848, 1264),
    "3:2": (1264, 848),
    "3:4": (896, 1200),
    "4:3": (1200, 896),
    "4:5": (928, 1152),
    "5:4": (1152, 928),
    "9:16": (768, 1376),
    "16:9": (1376, 768),
    "21:9": (1584, 672),
}
"""Width and height of a picture of 1K by its aspect ratio."""


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
    output_token_limit: int = OUTPUT_TOKEN_LIMIT
    service_tiers: frozenset[str] = frozenset({"flex", "priority"})
    """Accepted ``service_tier``s beside standard; a model of pictures has none."""
    input_token_limit: int = INPUT_TOKEN_LIMIT
    image_sizes: tuple[str, ...] = ()
    """Accepted ``image_size``s; empty: the model makes no pictures."""
    drafts: int = 0
    """Pictures that a model sends as thoughts before the one that was asked for."""

    @property
    def makes_pictures(self) -> bool:
        """Whether the model answers with pictures."""
        return bool(self.image_sizes)

    def description(self) -> dict[str, JsonValue]:
        """The body of ``GET /models/{model}``."""
        return {
            "name": f"models/{self.name}",
            "version": self.version,
            "displayName": self.display_name,
            "description": self.display_name,
            "inputTokenLimit": self.input_token_limit,
            "outputTokenLimit": self.output_token_limit,
            "supportedGenerationMethods": ["generateContent", "countTokens", "createCachedContent", "batchGenerateContent"],
            "temperature": 1,
            "topP": 0.95,
            "topK": 64,
            "maxTemperature": 2,
            "thinking": True,
        }


_ALL_LEVELS = frozenset({"MINIMAL", "LOW", "MEDIUM", "HIGH"})
_2_5 = Model("", "", "001", cache_minimum=2048, explains_states=True)
_3 = Model("", "", "001", cache_minimum=4096, thinking_levels=_ALL_LEVELS, zero_budget=False, prefill=False, signs_thoughts=True)
_IMAGE = replace(
    _3,
    thinking_levels=frozenset({"MINIMAL", "HIGH"}),
    output_token_limit=32_768,
    input_token_limit=65_536,
    image_sizes=("1K",),
    service_tiers=frozenset(),
)
_3_7 = replace(_3, thinking_levels=_ALL_LEVELS - {"MINIMAL"}, default_thoughts=240)

MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        replace(_2_5, name="gemini-2.5-flash", display_name="Gemini 2.5 Flash", default_thoughts=160),
        replace(_2_5, name="gemini-2.5-flash-lite", display_name="Gemini 2.5 Flash-Lite"),
        replace(_3, name="gemini-3.1-flash-lite", display_name="Gemini 3.1 Flash-Lite", zero_budget=True, signs_thoughts=False),
        replace(_3, name="gemini-3.5-flash-lite", display_name="Gemini 3.5 Flash-Lite"),
        replace(_3, name="gemini-3.5-flash", display_name="Gemini 3.5 Flash", default_thoughts=240),
        replace(_3, name="gemini-3.6-flash", display_name="Gemini 3.6 Flash", default_thoughts=240),
        replace(_3_7, name="gemini-3.7-flash", display_name="Gemini 3.7 Flash"),
        replace(_3_7, name="gemini-3.8-flash", display_name="Gemini 3.8 Flash", version="3.0"),
        replace(_3_7, name="gemini-4-argon", display_name="Gemini 4 Argon", output_token_limit=32_768),
        replace(_IMAGE, name="gemini-3.1-flash-lite-image", display_name="Gemini 3.1 Flash Lite Image", output_token_limit=4_096),
        replace(
            _IMAGE,
            name="gemini-3.1-flash-image",
            display_name="Gemini 3.1 Flash Image",
            input_token_limit=131_072,
            image_sizes=("512", "1K", "2K", "4K"),
        ),
        replace(
            _IMAGE,
            name="gemini-3-pro-image",
            display_name="Gemini 3 Pro Image",
            thinking_levels=frozenset(),
            default_thoughts=240,
            image_sizes=("1K", "2K", "4K"),
            drafts=1,
        ),
    )
}
