"""Pictures of Gemini: the meaning and the cost of each answer, and retired models."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from PIL import Image

from emulators.gemini.client import EmulatorControl
from resources.gateway.outcomes import (
    CallError,
    FatalCallError,
    InvalidAnswerError,
    RateLimitedError,
    RefusedError,
    RequestRejectedError,
    TransientError,
)
from resources.gemini.answers import HttpAnswer
from resources.gemini.image_models import image_models, worst_case_usd
from resources.gemini.images import GeminiImages, read_picture
from resources.images import GeneratedImage, checked, takes_references
from resources.pictures import PictureError
from tests.support.gemini_server import as_bytes, failed

LITE, FLASH = "gemini-3.1-flash-lite-image", "gemini-3.1-flash-image"
USAGE = {
    "promptTokenCount": 100,
    "candidatesTokenCount": 1120,
    "thoughtsTokenCount": 200,
    "totalTokenCount": 1420,
    "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1120}],
}
PRICE = (100 * 0.25 + 200 * 1.5 + 1120 * 30) / 1e6
WORST = (12_000 * 0.25 + 4_096 * 30) / 1e6


def png(colour: int = 90) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (40, 30), (colour, 90, 160)).save(data, "PNG")
    return data.getvalue()


def part(data: bytes = png(), mime: object = "image/png", **more: Any) -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime, "data": base64.b64encode(data).decode()}, **more}


def said(*parts: dict[str, Any], finish: str = "STOP", usage: object = USAGE, **more: Any) -> dict[str, Any]:
    candidate = {"content": {"parts": list(parts), "role": "model"} if parts else {"role": "model"}, "finishReason": finish}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": LITE, "responseId": "r7", **more}


def meaning(body: object, status: int = 200) -> GeneratedImage | CallError:
    try:
        return read_picture(HttpAnswer(status, {}, as_bytes(body)), image_models()[LITE], sent=datetime.now(UTC), base_url="")
    except CallError as error:
        return error


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(said(part()), id="one picture"),
        pytest.param(said({"text": "Here it is:"}, part()), id="after a text"),
        pytest.param(said(part(png(1), thought=True), part()), id="after a draft"),
        pytest.param(said(part(png(1), thought=True), part(thought=True)), id="marked as a thought itself"),
        pytest.param(said(part(png(1)), part()), id="the second of two"),
        pytest.param(said(part(), finish="MAX_TOKENS"), id="cut after the picture"),
        pytest.param(said(part(), promptFeedback={"blockReason": "OTHER"}), id="a block that blocked nothing"),
    ],
)
def test_the_picture_of_an_answer_is_its_last_one(body: dict[str, Any]) -> None:
    """Drafts come first; the picture is complete, priced by modality, and has the model and the response id."""
    found = meaning(body)
    assert isinstance(found, GeneratedImage)
    assert (found.data, found.mime, found.provider_id) == (png(), "image/png", f"{LITE}/r7")
    assert found.cost_usd == pytest.approx(PRICE)


A23, A24 = pytest.mark.case("A23"), pytest.mark.case("A24")
REFUSALS = (
    "SAFETY", "PROHIBITED_CONTENT", "RECITATION", "SPII", "BLOCKLIST",
    "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
)  # fmt: skip


@A23
@pytest.mark.parametrize("reason", REFUSALS)
def test_moderation_is_a_refusal_with_any_reason(reason: str) -> None:
    """Moderation of the answer or of the prompt: the fallback chain requests a milder picture, and the cost of the request is
    known."""
    asked = {"promptTokenCount": 100, "totalTokenCount": 100}
    for body in (said(finish=reason, usage=asked), {"promptFeedback": {"blockReason": reason}, "usageMetadata": asked}):
        found = meaning(body)
        assert isinstance(found, RefusedError)
        assert (found.reason, found.cost_usd) == (reason, pytest.approx(100 * 0.25 / 1e6))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param(said(finish="NO_IMAGE"), "stopped without an answer (NO_IMAGE)", id="no picture"),
        pytest.param(said(finish="IMAGE_OTHER"), "stopped without an answer (IMAGE_OTHER)", id="another reason"),
        pytest.param(said({"text": "I would rather describe it."}), "text instead of a picture: I would rather", id="a text"),
        pytest.param(said(), "answered with nothing (finish reason STOP)", id="nothing"),
        pytest.param(said(finish="MAX_TOKENS"), "answered with nothing (finish reason MAX_TOKENS)", id="cut before the picture"),
        pytest.param(said({"inlineData": {"mimeType": "image/png", "data": "AB*="}}), "base64 cannot be read", id="base64"),
        pytest.param(said({"inlineData": "no object"}), "cannot be read", id="no object"),
        pytest.param(said(part(mime=7)), "cannot be read", id="no media type"),
        pytest.param({"candidates": "none"}, "cannot be read", id="another shape"),
        pytest.param({}, "answered with nothing", id="an empty object"),
    ],
)
def test_after_an_answer_without_a_picture_the_request_is_repeated(body: dict[str, Any], says: str) -> None:
    """The request was not the cause: it is repeated a bounded number of times."""
    found = meaning(body)
    assert isinstance(found, InvalidAnswerError)
    assert says in str(found)
    assert found.chance


@pytest.mark.parametrize(
    ("data", "mime", "says"),
    [
        (png()[:-40], "image/png", "is damaged"),
        (png(), "image/jpeg", "is image/png and was called image/jpeg"),
        (b"", "image/png", "empty"),
    ],
    ids=["cut", "another media type", "no bytes"],
)
async def test_bytes_of_another_kind_are_found_by_the_common_check_of_pictures(data: bytes, mime: str, says: str) -> None:
    """The classification of answers does not decode the picture."""
    found = meaning(said(part(data, mime)))
    assert isinstance(found, GeneratedImage)
    with pytest.raises(PictureError, match=says):
        await checked(found)


@A24
@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        pytest.param(USAGE, PRICE, id="with modalities"),
        pytest.param({**USAGE, "candidatesTokensDetails": None}, PRICE, id="without: what is no thought is a picture"),
        pytest.param({**USAGE, "totalTokenCount": 1520}, PRICE + 100 * 30 / 1e6, id="a total above its parts"),
        pytest.param(None, WORST, id="none"),
        pytest.param({**USAGE, "promptTokenCount": 10**9}, WORST, id="more than was sent"),
        pytest.param({**USAGE, "candidatesTokenCount": -1}, WORST, id="less than nothing"),
        pytest.param({**USAGE, "candidatesTokenCount": 2**70}, WORST, id="more than was asked for"),
        pytest.param({**USAGE, "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": "many"}]}, PRICE, id="odd details"),
    ],
)
def test_a_picture_costs_the_most_expensive_reading_of_its_figures(usage: object, cost: float) -> None:
    """Impossible figures count as the worst case, which was reserved."""
    found = meaning(said(part(), usage=usage))
    assert isinstance(found, GeneratedImage)
    assert found.cost_usd == pytest.approx(cost)
    assert worst_case_usd(LITE, datetime.now(UTC)) >= found.cost_usd


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, failed(429, "RESOURCE_EXHAUSTED"), RateLimitedError),
        (503, failed(503, "UNAVAILABLE"), TransientError),
        (400, failed(400, "INVALID_ARGUMENT", "API key not valid", {"reason": "API_KEY_INVALID"}), FatalCallError),
        (400, failed(400, "INVALID_ARGUMENT", "Unable to process input image"), RequestRejectedError),
        (200, failed(503, "UNAVAILABLE"), TransientError),
        (200, "<html>a proxy</html>", TransientError),
    ],
)
def test_errors_are_those_of_texts(status: int, body: object, kind: type[CallError]) -> None:
    """Both have the same classification."""
    assert isinstance(meaning(body, status), kind)


@pytest.fixture
async def images(gemini: str) -> AsyncIterator[GeminiImages]:
    made = GeminiImages(model=FLASH, api_key="", base_url=gemini, timeout_seconds=10)
    yield made
    await made.aclose()


async def ask(images: GeminiImages, prompt: str = "A harbour", **changes: Any) -> GeneratedImage:
    order: dict[str, Any] = {"width": 1536, "height": 640, "seed": 1, "references": (), "idempotency_key": "k", **changes}
    return await images.generate(prompt=prompt, **order)


async def test_a_request_names_shape_size_and_references(images: GeminiImages, gemini: str) -> None:
    """The body has the pictures first, then the words that name the people; it requests no text."""
    await ask(images, "The author is the person in the first picture.", references=[png(1), png(2)])
    with EmulatorControl(gemini) as control:
        (sent,) = control.requests(1)
    body: Any = sent.body
    assert body["generationConfig"] == {
        "responseModalities": ["IMAGE"],
        "imageConfig": {"aspectRatio": "21:9", "imageSize": "1K"},
        "maxOutputTokens": 4096,
    }
    (turn,) = body["contents"]
    assert ["text" in one for one in turn["parts"]] == [False, False, True]
    assert takes_references(images)


async def test_a_retired_model_is_replaced_by_its_successor(images: GeminiImages, gemini: str) -> None:
    """The call fails like in an outage, so that the gateway repeats it; the successor's price is billed, and less is reserved."""
    with EmulatorControl(gemini) as control:
        control.set_faults(retired={FLASH: {"shape": "not_found"}})
        before = images.cost_per_image_usd
        with pytest.raises(TransientError, match=f"{FLASH} is gone .404.; {LITE} is asked instead"):
            await ask(images)
        assert (await ask(images)).provider_id.startswith(f"{LITE}/")
        assert images.cost_per_image_usd < before
        control.set_faults(retired={LITE: {"shape": "not_found"}})
        with pytest.raises(FatalCallError, match="set IMAGE_MODEL to a model that exists"):
            await ask(images)
        control.set_faults(retired={})


async def test_a_request_beyond_what_is_reserved_is_not_sent(images: GeminiImages) -> None:
    """A prompt of twelve thousand bytes, or a reference that is not a picture, fails the item."""
    with pytest.raises(RequestRejectedError, match="shorten it"):
        await ask(images, "word " * 2_500)
    with pytest.raises(RequestRejectedError, match="a reference picture is no picture"):
        await ask(images, references=[b"no picture"])
