"""The body of a 200 of a model that makes pictures: a small picture of the right shape with real pixels, and its usage.

The pictures are a quarter as wide and as high as the API's. Each shows its reference pictures at the bottom, so that a reader sees
which faces were sent. Not here: refusals, which are those of texts (answer.py), and the rules for requests (api/rules.py).
"""

from __future__ import annotations

import base64
import io
from dataclasses import replace

from PIL import Image, ImageDraw
from pydantic import JsonValue

from emulators.gemini.answer import ReadRequest, answer_body
from emulators.gemini.api.models import PICTURE_SIZES
from emulators.gemini.api.rules import REFERENCE_TOKENS, reference
from emulators.gemini.api.wire import GenerateRequest
from emulators.gemini.faults import FaultName
from emulators.gemini.usage import Usage, thinking_tokens, tokens

PICTURE_TOKENS = 1_120
SHRUNK = 4
_REFUSING = "I can describe this scene for you, but I cannot make a picture of it."


def prompt_usage(request: GenerateRequest) -> Usage:
    """The usage of the request itself: texts and reference pictures. Models that make pictures have no implicit cache."""
    seen = REFERENCE_TOKENS * len(request.blobs())
    return Usage(prompt=tokens(request.prompt_text()) + seen, seen=seen)


def picture_answer(asked: ReadRequest, fault: FaultName | None) -> tuple[dict[str, JsonValue], Usage]:
    """The model's picture, after its drafts; damaged if the fault is one of pictures."""
    drafts, finish, mime = asked.model.drafts, "STOP", "image/png"
    thoughts = thinking_tokens(asked.request.generation_config, asked.model, asked.dice.throw("thoughts"))
    if fault == "text_only":
        used = replace(asked.usage, candidates=tokens(_REFUSING), thoughts=thoughts)
        return answer_body(asked, used, [{"text": _REFUSING}], finish), used
    data = _paint(asked.request, asked.digest)
    encoded = base64.b64encode(data).decode()
    match fault:
        case "cut_picture":
            encoded, finish = base64.b64encode(data[: len(data) // 2]).decode(), "MAX_TOKENS"
        case "damaged_base64":
            encoded = f"{encoded[:40]}*{encoded[41:]}"
        case "wrong_mime":
            mime = "image/jpeg"
    pictures = 1 + (fault == "two_pictures")
    parts: list[dict[str, JsonValue]] = [{"inlineData": {"mimeType": mime, "data": encoded}} for _ in range(drafts + pictures)]
    for draft in parts[:drafts]:
        draft["thought"] = True
    parts[-1]["thoughtSignature"] = base64.b64encode(asked.digest).decode()
    made = PICTURE_TOKENS * pictures  # drafts are not billed
    used = replace(asked.usage, candidates=made, pictured=made, thoughts=thoughts)
    body = answer_body(asked, used, list(parts), finish)
    if fault == "no_usage":
        del body["usageMetadata"]
    return body, used


def _paint(request: GenerateRequest, digest: bytes) -> bytes:
    """A sky over a ground in colours of the request, and the reference pictures on it."""
    config = request.generation_config.image_config
    width, height = PICTURE_SIZES[(config.aspect_ratio if config else None) or "1:1"]
    picture = Image.new("RGB", (width // SHRUNK, height // SHRUNK), tuple(digest[:3]))
    horizon = picture.height * (100 + digest[3] // 4) // 256
    ImageDraw.Draw(picture).rectangle((0, horizon, *picture.size), fill=tuple(digest[4:7]))
    side = picture.height // 3
    for place, blob in enumerate(request.blobs()):
        face = reference(blob.mime_type or "", blob.data or "").convert("RGB").resize((side, side))
        picture.paste(face, (4 + place * (side + 4), picture.height - side - 4))
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()
