"""Choices that a prompt's words suggest: a small look-up of words, English and Russian.

Here: ``Vocabulary``. Not here: the vocabularies, which are in the modules that use them.
"""

from __future__ import annotations

import random
import re
from functools import lru_cache

_WORD = re.compile(r"[^\W\d_]+")


class Vocabulary:
    """Choices by name, each with the beginnings of the words that suggest it (with a full stop: the whole word)."""

    def __init__(self, **words: str) -> None:
        self._whole = {choice: {word[:-1] for word in text.split() if word.endswith(".")} for choice, text in words.items()}
        self._beginnings = {choice: tuple(w for w in text.split() if not w.endswith(".")) for choice, text in words.items()}
        self._suggested_by = lru_cache(maxsize=4096)(self._choices_of)  # prompts share most of their words

    def _choices_of(self, word: str) -> tuple[str, ...]:
        return tuple(c for c, beginnings in self._beginnings.items() if word.startswith(beginnings) or word in self._whole[c])

    def suggested(self, prompt: str) -> list[str]:
        """The choices that a prompt suggests, in the order of its words, each once."""
        return list(dict.fromkeys(choice for word in _WORD.findall(prompt.lower()) for choice in self._suggested_by(word)))

    def choose(self, prompt: str, rng: random.Random) -> str:
        """One of the suggested choices, or any where nothing is suggested."""
        return rng.choice(self.suggested(prompt) or list(self._beginnings))

    def suggest(self, prompt: str, otherwise: str) -> str:
        """The choice that a prompt suggests first, or ``otherwise``."""
        return next(iter(self.suggested(prompt)), otherwise)
