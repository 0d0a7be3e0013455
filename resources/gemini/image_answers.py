"""Judges an answer of Gemini that is to be a picture: exactly one outcome, with a price.

Moderation's reasons are refusals; so is RECITATION, since another prompt helps. A model that answers with text, with nothing, or
with bytes that cannot be read is asked again as it was. A model that thinks may send drafts before its picture, as parts with
``thought`` or as several pictures: the last one is the picture. Some models mark the picture itself as a thought, so that such a
part counts where there is no other. Not here: what texts and pictures have in common (answers.py), and whether bytes are a picture
(resources/images.py).
"""

from __future__ import annotations

import base64
import binascii
import math
from datetime import datetime

from pydantic import BaseModel, ValidationError

from resources.gateway.outcomes import CallError, InvalidAnswerError, RefusedError
from resources.gemini import models
from resources.gemini.answers import AnswerBody, HttpAnswer, body_of, count_of, name_of, stopped, unreadable
from resources.gemini.image_models import MOST_INPUT_TOKENS, MOST_OUTPUT_TOKENS, ImageModel, ImagePrice, price_of
from resources.images import GeneratedImage
from resources.redaction import kept_line

LONGEST_BODY = 40_000_000
"""Bytes of a body that are read: a few pictures of 1K as base64 have less."""
LONGEST_QUOTATION = 300
RECITATION = "RECITATION"
_STANDARD = str.maketrans("-_", "+/")
"""JSON of protobuf may have either alphabet of base64."""


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
    """The output tokens of texts, by modality."""
    listed = details if isinstance(details, list) else []
    counts = [count_of(one.get("tokenCount")) for one in listed if isinstance(one, dict) and one.get("modality") == "TEXT"]
    return sum(count for count in counts if math.isfinite(count))


def _picture(body: AnswerBody) -> tuple[bytes, str] | CallError:
    """The bytes and the media type of the picture, or what is wrong."""
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
