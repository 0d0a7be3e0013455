"""Tokens: those of a text, those of a prompt that the implicit cache already holds, and those of thinking.

Not here: what they cost.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

from pydantic import JsonValue

from emulators.gemini.api.models import Model
from emulators.gemini.api.wire import GenerationConfig

_ASCII_PER_TOKEN = 4.0
_OTHER_PER_TOKEN = 2.7
_BLOCK = 512
"""Characters by which prefixes are compared."""
_REMEMBERED = 50_000
"""Blocks the cache holds before it forgets the oldest."""
_THOUGHTS = {"MINIMAL": 0, "LOW": 0, "MEDIUM": 400, "HIGH": 1200}


@dataclass(frozen=True)
class Usage:
    """What a call used, in tokens. ``cached`` is part of ``prompt``."""

    prompt: int
    cached: int = 0
    candidates: int = 0
    thoughts: int = 0
    seen: int = 0
    """Of ``prompt``: of reference pictures."""
    pictured: int = 0
    """Of ``candidates``: of pictures."""
    tier: str = "standard"
    """The service tier at which the call was served."""

    def metadata(self) -> dict[str, JsonValue]:
        """``usageMetadata``: counts that are zero are left out, and the total adds up."""
        counts = {
            "promptTokenCount": self.prompt,
            "candidatesTokenCount": self.candidates,
            "totalTokenCount": self.prompt + self.candidates + self.thoughts,
            "cachedContentTokenCount": self.cached,
            "thoughtsTokenCount": self.thoughts,
        }
        details = {"promptTokensDetails": _by_modality(self.prompt, self.seen)}
        if self.pictured:
            details["candidatesTokensDetails"] = _by_modality(self.candidates, self.pictured)
        return {**{name: count for name, count in counts.items() if count}, **details, "serviceTier": self.tier}


def _by_modality(all_tokens: int, of_pictures: int) -> JsonValue:
    counts = {"TEXT": all_tokens - of_pictures, "IMAGE": of_pictures}
    return [{"modality": modality, "tokenCount": count} for modality, count in counts.items() if count]


def tokens(text: str) -> int:
    """An estimate of a text's tokens: four characters of ASCII each, fewer of other scripts."""
    if not text:
        return 0
    # UTF-8 has one byte more for a letter of Cyrillic and two for most others: near enough, and fast on long prompts.
    other = min(len(text), len(text.encode()) - len(text))
    return max(1, round((len(text) - other) / _ASCII_PER_TOKEN + other / _OTHER_PER_TOKEN))


def thinking_tokens(config: GenerationConfig, model: Model, share: float) -> int:
    """Tokens spent on thinking, ``share`` (0 to 1) of the way between three quarters and five quarters of the usual."""
    thinking = config.thinking_config
    usual = model.default_thoughts
    if thinking is not None and thinking.thinking_level is not None:
        usual = _THOUGHTS.get(thinking.thinking_level.upper(), usual)
    elif thinking is not None and thinking.thinking_budget is not None and thinking.thinking_budget >= 0:
        usual = min(thinking.thinking_budget, usual or thinking.thinking_budget)
    return round(usual * (0.75 + share / 2))


class PrefixCache:
    """The implicit cache: answered prompts as chains of blocks, one chain for each model."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def measure(self, model: Model, prompt: str) -> tuple[int, int]:
        """Return (tokens of the prompt, tokens of its prefix that was answered before), and remember the prompt.

        A prefix shorter than the model's cache minimum counts as nothing.
        """
        total = cached = 0
        known = True
        chain = hashlib.blake2b(model.name.encode(), digest_size=16)
        for start in range(0, len(prompt), _BLOCK):
            block = prompt[start : start + _BLOCK]
            count = tokens(block)
            total += count
            if len(block) < _BLOCK:
                break
            chain.update(block.encode())
            key = chain.digest()
            known = known and key in self._seen
            if known:
                cached += count
            self._seen[key] = None
            self._seen.move_to_end(key)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return total, cached if cached >= model.cache_minimum else 0
