"""Pictures of Gemini's image models, by ``generateContent``: IMAGE_PROVIDER=gemini.

Here: building a request, and what becomes of a model that is gone. Not here: the way through the SDK (transport.py), judging the
answer (image_answers.py), models and prices (image_models.py), limits and retries (resources/gateway).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from resources.gateway.calls import GEMINI_PROVIDER
from resources.gateway.outcomes import (
    CallError,
    FatalCallError,
    InvalidAnswerError,
    ModelMissingError,
    ParameterRefusedError,
    RequestRejectedError,
    TransientError,
)
from resources.gemini import models
from resources.gemini.errors import failed_call
from resources.gemini.image_answers import LONGEST_BODY, read_picture
from resources.gemini.image_models import (
    MOST_INPUT_TOKENS,
    MOST_OUTPUT_TOKENS,
    REFERENCE_TOKENS,
    ImageModel,
    asked_at,
    nearest_ratio,
    worst_case_usd,
)
from resources.gemini.transport import GeminiTransport
from resources.images import GeneratedImage
from resources.pictures import PictureError, media_type_of

logger = logging.getLogger(__name__)

IMAGE_SIZE = "1K"
"""About 1024 by 1024 pixels: the one size that all models take."""


class GeminiImages:
    """The image API of Gemini (the protocol ``ImageGenerator``). Make it on the event loop; ``aclose`` it there."""

    takes_references = True
    provider = GEMINI_PROVIDER

    def __init__(self, *, model: str, api_key: str, base_url: str, timeout_seconds: float) -> None:
        self._model = model
        self._transport = GeminiTransport(
            api_key=api_key, base_url=base_url, timeout_seconds=timeout_seconds, longest_body=LONGEST_BODY
        )

    @property
    def model(self) -> str:
        """The model that is asked now."""
        return asked_at(self._model, models.now()).id

    @property
    def cost_per_image_usd(self) -> float:
        """See ``ImageGenerator``."""
        return worst_case_usd(self._model, models.now())

    async def generate(
        self, *, prompt: str, width: int, height: int, seed: int, references: Sequence[bytes], idempotency_key: str
    ) -> GeneratedImage:
        """See ``ImageGenerator``. The API has neither seeds for pictures nor idempotency keys."""
        from google.genai import types

        from resources.gemini.sdk_types import Config, Content, Part

        if len(prompt.encode()) + REFERENCE_TOKENS * len(references) > MOST_INPUT_TOKENS:
            raise RequestRejectedError(
                f"the prompt of {len(prompt.encode())} bytes with {len(references)} reference pictures may have more than "
                f"{MOST_INPUT_TOKENS} tokens: shorten it"
            )
        sent = models.now()
        asked = asked_at(self._model, sent)
        config = Config(
            response_modalities=[types.Modality.IMAGE],
            image_config=types.ImageConfig(aspect_ratio=nearest_ratio(width, height), image_size=IMAGE_SIZE),
            max_output_tokens=MOST_OUTPUT_TOKENS,
        )
        try:
            blobs = [types.Blob(data=data, mime_type=media_type_of(data)) for data in references]
            contents = Content.of(*(Part(inline_data=blob) for blob in blobs), Part(text=prompt))
            http = await self._transport.generate(asked.id, contents, config)
            return await asyncio.to_thread(read_picture, http, asked, sent=sent, base_url=self._transport.base_url)
        except PictureError as error:
            raise RequestRejectedError(f"a reference picture {error}") from error
        except ModelMissingError as error:
            raise self._replaced(asked, error) from error
        except ParameterRefusedError as error:
            raise RequestRejectedError(str(error)) from error
        except CallError:
            raise
        except Exception as error:  # noqa: BLE001  whatever comes out of a call is an outcome of it
            outcome = failed_call(error)
            if isinstance(outcome, InvalidAnswerError):  # nobody knows what it cost
                outcome.cost_usd = self.cost_per_image_usd
            raise outcome from None

    def _replaced(self, asked: ImageModel, error: ModelMissingError) -> CallError:
        """What becomes of a call to a model that is gone: its successor is asked by the next attempt, and by this process."""
        if asked.successor is None:
            return FatalCallError(
                f"image model {asked.id} is gone (404) and has no successor: set IMAGE_MODEL to a model that exists, or give it a "
                f"successor in resources/gemini/image_models.yaml ({error})",
                may_heal=True,
            )
        if asked_at(self._model, models.now()) is asked:
            self._model = asked.successor
            logger.warning("image model %s is gone (404): %s takes over (%s)", asked.id, asked.successor, error)
        return TransientError(f"image model {asked.id} is gone (404); {asked.successor} is asked instead")

    async def aclose(self) -> None:
        """Close the client and its connections."""
        await self._transport.aclose()
