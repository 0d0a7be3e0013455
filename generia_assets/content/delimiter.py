"""Fences: how text that is material is told apart from instructions.

Here: the tags around a user's sentence, a world, a person, and why nothing inside can close them. Not here: the sentences that
tell the model what the tags mean (prompts/system.j2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from generia_assets.content import seeding as seeding
from generia_assets.content.text import clean

# What may look like an angle bracket to a reader that normalises: ASCII, full-width, small, single quotes, mathematical.
_TAG_START = re.compile(r"(?:[<＜﹤‹⟨〈]|&lt;?)+(?=[\s/\\]*[^\W\d])")


def defused(text: str) -> str:
    """The text with everything that looks like the start of a tag made harmless: for what is quoted amid instructions."""
    # A bracket that starts no tag ("<3", "a < 5") stays as it is.
    return _TAG_START.sub("(", clean(text))


@dataclass(frozen=True)
class PromptDelimiter:
    """Tags of one world. Their code is drawn from the world's seed, so nobody who writes a sentence can know it."""

    code: str

    @classmethod
    def of(cls, seed: int) -> PromptDelimiter:
        """The fence of the world with this seed."""
        return cls(seeding.code(seed, "fence"))

    def neutral(self, text: str) -> str:
        """The text with everything that looks like the start of a tag defused, and without the code should it occur."""
        return defused(re.sub(re.escape(self.code), "", clean(text), flags=re.IGNORECASE))

    def around(self, name: str, text: str) -> str:
        """The text between an opening and a closing tag with this name."""
        return f"<{name}-{self.code}>\n{self.neutral(text)}\n</{name}-{self.code}>"
