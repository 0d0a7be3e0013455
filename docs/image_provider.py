"""An example of an image provider, in forty lines: it requests pictures from an HTTP API that answers with their bytes.

To use it, put the file on PYTHONPATH and set IMAGE_PROVIDER=image_provider:HttpImages and IMAGES_URL. ``ImageGenerator`` in
resources/images.py is the protocol, and explains each argument. The gateway takes care of slots, budget, breaker, record,
retries and uploads; a provider must not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import httpx2

from resources.gateway.outcomes import FatalCallError, RateLimitedError, RefusedError, TransientError
from resources.images import GeneratedImage


class HttpImages:
    """Created without arguments, once per run. Its configuration comes from the environment."""

    cost_per_image_usd = 0.003

    def __init__(self) -> None:
        self._http = httpx2.AsyncClient(base_url=os.environ["IMAGES_URL"])

    async def generate(
        self, *, prompt: str, width: int, height: int, seed: int, references: Sequence[bytes], idempotency_key: str
    ) -> GeneratedImage:
        """Request one picture. Each failure becomes an outcome class. ``references`` is empty: this API takes none."""
        request = {"prompt": prompt, "width": width, "height": height, "seed": seed}
        try:
            answer = await self._http.post("/images", json=request, headers={"Idempotency-Key": idempotency_key}, timeout=None)
        except httpx2.TransportError as error:  # the request may have arrived and be billed
            raise TransientError(f"{type(error).__name__}: {error}", in_doubt=not isinstance(error, httpx2.ConnectError)) from error
        if answer.status_code == 429:
            raise RateLimitedError("the image API asks to slow down (429)")
        if answer.status_code == 422:
            raise RefusedError("the image API's moderation refused the prompt (422)", reason="moderation")
        if answer.status_code >= 500:
            raise TransientError(f"the image API answered {answer.status_code}")
        if answer.status_code != 200:
            raise FatalCallError(f"the image API answered {answer.status_code}: {answer.text[:200]}")
        mime, number = answer.headers["content-type"], answer.headers.get("x-image-id", "")
        return GeneratedImage(data=answer.content, mime=mime, cost_usd=self.cost_per_image_usd, provider_id=number)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
