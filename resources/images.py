"""The image API as the rest sees it: one protocol, and what a call brings.

Here: ``ImageGenerator`` and ``GeneratedImage``. Not here: the stub that draws without any API (image_stub/), the slots, the
budget and the breaker a call goes through (outside.py), and where the picture is kept (platform.py).

A new provider is one class with this protocol. It turns its own errors into ``resources.outcomes`` and does no retries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class GeneratedImage:
    """A picture as the image API delivered it."""

    data: bytes
    mime: str
    """Media type of ``data``, such as ``image/jpeg``."""
    cost_usd: float
    """What the provider charged for this picture, in US dollars."""
    provider_id: str
    """The provider's own id of the picture, for support questions and bills."""


class ImageGenerator(Protocol):
    """An image API."""

    @property
    def cost_per_image_usd(self) -> float:
        """The most one picture can cost, in US dollars: what a budget reserves before the call."""
        ...

    async def generate(self, *, prompt: str, width: int, height: int, seed: int, idempotency_key: str) -> GeneratedImage:
        """Make one picture of ``width`` x ``height`` pixels.

        The same ``seed`` with the same prompt and size asks for the same picture; providers keep that more or less well.
        ``idempotency_key`` is handed on where the provider knows such keys, so that a repeated order is not billed twice.
        Raises ``RefusedError`` when moderation refuses the prompt, ``RateLimitedError``, ``TransientError`` or
        ``FatalCallError`` as any call to the outside.
        """
        ...

    async def aclose(self) -> None:
        """Give back connections and threads. The generator is not used afterwards."""
        ...
