"""Pictures of Gemini's image models, by ``generateContent``: IMAGE_PROVIDER=gemini.

Here: building a request, judging its answer, and what becomes of a model that is gone. An answer has exactly one outcome, with a
price. Moderation's reasons are refusals; so is RECITATION, since another prompt helps. A model that answers with text, with
nothing, or with bytes that cannot be read is asked again as it was. A model that thinks may send drafts before its picture, as
parts with ``thought`` or as several pictures: the last one is the picture. Some models mark the picture itself as a thought, so
that such a part counts where there is no other.

Not here: the way through the SDK (transport.py), what answers with texts and pictures have in common (answers.py), models and
prices (image_models.py), limits and retries (resources/gateway), and whether bytes are a picture (resources/images.py).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import math
from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ValidationError

from resources.gateway.calls import GEMINI_PROVIDER
from resources.gateway.outcomes import (
    CallError,
    FatalCallError,
    InvalidAnswerError,
    ModelMissingError,
    ParameterRefusedError,
    RefusedError,
    RequestRejectedError,
    TransientError,
)
from resources.gemini import models
from resources.gemini.answers import AnswerBody, HttpAnswer, body_of, count_of, name_of, stopped, unreadable
from resources.gemini.errors import failed_call
from resources.gemini.image_models import (
    MOST_INPUT_TOKENS,
    MOST_OUTPUT_TOKENS,
    REFERENCE_TOKENS,
    ImageModel,
    ImagePrice,
    asked_at,
    nearest_ratio,
    price_of,
    worst_case_usd,
)
from resources.gemini.transport import GeminiTransport
from resources.images import GeneratedImage
from resources.pictures import PictureError, media_type_of
from resources.redaction import kept_line

logger = logging.getLogger(__name__)

IMAGE_SIZE = "1K"
"""About 1024 by 1024 pixels: the one size that all models take."""
LONGEST_BODY = 40_000_000
"""Bytes of a body that are read: a few pictures of 1K as base64 have less."""
LONGEST_QUOTATION = 300
RECITATION = "RECITATION"
_STANDARD = str.maketrans("-_", "+/")
"""JSON of protobuf may have either alphabet of base64."""


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
        return asked_at(self._model, models.now()).id

    @property
    def cost_per_image_usd(self) -> float:
        return worst_case_usd(self._model, models.now())

    async def generate(
        self, *, prompt: str, width: int, height: int, seed: int, references: Sequence[bytes], idempotency_key: str
    ) -> GeneratedImage:
        """The API has neither seeds for pictures nor idempotency keys."""
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
        await self._transport.aclose()


class _Blob(BaseModel):
    mimeType: str  # noqa: N815  Google's spelling
    data: str


def read_picture(http: HttpAnswer, asked: ImageModel, *, sent: datetime, base_url: str) -> GeneratedImage:
    """The picture of an answer, priced by the model that made it, between when the request was sent and now. Blocks.

    Raises the ``CallError`` of an answer without a picture, with what it cost.
    """
    _, body = body_of(http, model=asked.id, base_url=base_url)
    fields = body if isinstance(body, dict) else {}
    try:
        found = _picture(AnswerBody.model_validate(body))
    except ValidationError as error:
        found = unreadable(error, http, LONGEST_BODY)
    version = name_of(fields.get("modelVersion"))
    cost_usd = cost_of(fields.get("usageMetadata"), price_of(version, asked, sent, models.now()))
    if isinstance(found, CallError):
        found.cost_usd = cost_usd
        raise found
    data, mime = found
    named = (version.rpartition("/")[2] or asked.id, name_of(fields.get("responseId")))
    return GeneratedImage(data=data, mime=mime, cost_usd=cost_usd, provider_id="/".join(filter(None, named)))


def cost_of(usage: object, price: ImagePrice) -> float:
    """What an answer cost, in the dearest reading that its figures allow; the worst case where they cannot be true.

    Output tokens that no figure calls text or thoughts are a picture's.
    """
    figures = usage if isinstance(usage, dict) else {}
    prompt, candidates, thoughts, total = (
        count_of(figures.get(f"{name}TokenCount")) for name in ("prompt", "candidates", "thoughts", "total")
    )
    output = max(candidates + thoughts, total - prompt)
    if not 0 < prompt <= MOST_INPUT_TOKENS or not 0 <= output <= MOST_OUTPUT_TOKENS:
        return price.cost_usd(input_tokens=MOST_INPUT_TOKENS, output_tokens=0, image_tokens=MOST_OUTPUT_TOKENS)
    words = min(thoughts + _texts(figures.get("candidatesTokensDetails")), output)
    return price.cost_usd(input_tokens=int(prompt), output_tokens=int(words), image_tokens=int(output - words))


def _texts(details: object) -> float:
    listed = details if isinstance(details, list) else []
    counts = [count_of(one.get("tokenCount")) for one in listed if isinstance(one, dict) and one.get("modality") == "TEXT"]
    return sum(count for count in counts if math.isfinite(count))


def _picture(body: AnswerBody) -> tuple[bytes, str] | CallError:
    pictures = [part for part in body.parts if part.inlineData is not None]
    failure = stopped(body, empty=not pictures)
    if isinstance(failure, InvalidAnswerError) and body.finish == RECITATION:
        return RefusedError(f"Gemini refused to answer: {RECITATION}", reason=RECITATION)
    if failure is not None:
        return failure
    if not pictures:
        text = kept_line("".join(part.text or "" for part in body.parts), LONGEST_QUOTATION)
        said = f"text instead of a picture: {text}" if text else "nothing"
        return InvalidAnswerError(f"the model answered with {said} (finish reason {body.finish})", chance=True)
    finished = [part for part in pictures if not part.thought] or pictures
    blob = _Blob.model_validate(finished[-1].inlineData)
    try:
        return base64.b64decode(blob.data.translate(_STANDARD), validate=True), blob.mimeType
    except binascii.Error as error:
        return InvalidAnswerError(f"the picture's base64 cannot be read: {error}", chance=True)
