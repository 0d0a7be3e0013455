"""The Gemini emulator as a model that makes pictures: what it refuses, what it answers, and its faults."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
import requests
from PIL import Image

from emulators.gemini.api.models import PICTURE_SIZES
from emulators.gemini.client import EmulatorControl

LITE, PRO, TEXT = "gemini-3.1-flash-lite-image", "gemini-3-pro-image", "gemini-3.5-flash-lite"


def face(kind: str = "PNG") -> str:
    data = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 40, 40)).save(data, kind)
    return base64.b64encode(data.getvalue()).decode()


def ask(
    gemini: str,
    *parts: dict[str, Any],
    model: str = LITE,
    config: dict[str, Any] | None = None,
    prompt: str = "A harbour on the back of a whale",
) -> requests.Response:
    generation = {"responseModalities": ["IMAGE"], "imageConfig": {"aspectRatio": "4:3", "imageSize": "1K"}, **(config or {})}
    body = {"contents": [{"role": "user", "parts": [*parts, {"text": prompt}]}], "generationConfig": generation}
    return requests.post(f"{gemini}/v1beta/models/{model}:generateContent", json=body, headers={"x-goog-api-key": "k"}, timeout=10)


def blob(data: str, mime: str = "image/png") -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime, "data": data}}


def pictures(answer: requests.Response) -> list[Image.Image]:
    parts = answer.json()["candidates"][0]["content"]["parts"]
    return [Image.open(io.BytesIO(base64.b64decode(part["inlineData"]["data"]))) for part in parts if "inlineData" in part]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"config": {"imageConfig": {"aspectRatio": "12:5"}}}, "aspect_ratio must be one of '1:1'"),
        ({"config": {"imageConfig": {"imageSize": "1k"}}}, "image_size must be one of '1K'"),
        ({"config": {"imageConfig": {"imageSize": "4K"}}}, "image_size must be one of '1K'"),
        ({"config": {"imageConfig": {"ratio": "1:1"}}}, "Unknown name \"ratio\" at 'generation_config.image_config'"),
        ({"config": {"responseModalities": ["AUDIO"]}}, "modalities (AUDIO) is not supported by the model"),
        ({"config": {"responseModalities": ["PICTURE"]}}, "Invalid value at 'generation_config.response_modalities[0]'"),
        ({"config": {"responseMimeType": "application/json"}}, "JSON mode is not enabled"),
        ({"config": {"maxOutputTokens": 8192}}, "max_output_tokens must be in the range [1, 4096]"),
        ({"config": {"thinkingConfig": {"thinkingLevel": "LOW"}}}, "Thinking level LOW is not supported"),
        ({"model": TEXT}, "modalities (IMAGE) is not supported by the model"),
        ({"model": TEXT, "config": {"responseModalities": ["TEXT"]}}, "Image config is not supported"),
        ({"parts": [blob("no base64!")]}, "Unable to process input image"),
        ({"parts": [blob(base64.b64encode(b"no picture").decode())]}, "Unable to process input image"),
        ({"parts": [blob(face()[:60])]}, "Unable to process input image"),
        ({"parts": [blob(face("JPEG"))]}, "it is not of the type image/png"),
        ({"parts": [blob(face("GIF"), "image/gif")]}, "Unsupported MIME type: image/gif"),
        ({"parts": [blob(face())] * 15}, "At most 14 images"),
    ],
)
def test_a_request_that_google_refuses_is_refused(gemini: str, changes: dict[str, Any], said: str) -> None:
    """Each differs in one point from a valid request, and gets a 400 with a message."""
    answer = ask(gemini, *changes.pop("parts", ()), **changes)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize("ratio", PICTURE_SIZES)
def test_a_picture_has_the_requested_shape(gemini: str, ratio: str) -> None:
    """It has real pixels, the same for the same request, and is small."""
    one, again = (ask(gemini, config={"imageConfig": {"aspectRatio": ratio}}) for _ in range(2))
    (picture,), (same,) = pictures(one), pictures(again)
    across, down = map(int, ratio.split(":"))
    assert picture.width / picture.height == pytest.approx(across / down, rel=0.03)
    assert picture.tobytes() == same.tobytes()
    assert len(one.content) < 20_000


def test_the_usage_is_listed_by_modality(gemini: str) -> None:
    """1,120 tokens for a picture that is sent or made; zero counts are left out; the version is the model's."""
    body = ask(gemini, blob(face()), blob(face("JPEG"), "image/jpeg")).json()
    usage = body["usageMetadata"]
    assert usage["candidatesTokensDetails"] == [{"modality": "IMAGE", "tokenCount": 1120}]
    assert {one["modality"]: one["tokenCount"] for one in usage["promptTokensDetails"]} == {"TEXT": 8, "IMAGE": 2240}
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["candidatesTokenCount"] == 8 + 2240 + 1120
    assert "cachedContentTokenCount" not in usage
    assert (body["modelVersion"], body["candidates"][0]["finishReason"]) == (LITE, "STOP")


def test_references_are_seen_in_the_picture(gemini: str) -> None:
    """The bottom of the picture shows the sent faces, so that tests and people can recognize them."""
    (plain,), (shown,) = pictures(ask(gemini)), pictures(ask(gemini, blob(face())))
    foot = (20, shown.height - 20)
    assert shown.getpixel(foot) == (200, 40, 40) != plain.getpixel(foot)


def test_a_model_that_thinks_sends_drafts_first(gemini: str) -> None:
    """They are thoughts, are not billed as pictures, and the last picture is signed."""
    answer = ask(gemini, model=PRO)
    parts = answer.json()["candidates"][0]["content"]["parts"]
    assert [part.get("thought", False) for part in parts] == [True, False]
    assert "thoughtSignature" in parts[-1]
    usage = answer.json()["usageMetadata"]
    assert (usage["candidatesTokenCount"], usage["thoughtsTokenCount"] > 0) == (1120, True)


@pytest.mark.parametrize(
    ("faults", "kinds"),
    [
        ({"text_only": 1}, (0, "STOP", 0)),
        ({"two_pictures": 1}, (2, "STOP", 2240)),
        ({"cut_picture": 1}, (1, "MAX_TOKENS", 1120)),
        ({"damaged_base64": 1}, (1, "STOP", 1120)),
        ({"wrong_mime": 1}, (1, "STOP", 1120)),
        ({"answer_blocked": 1, "finish_reasons": ["IMAGE_SAFETY"]}, (0, "IMAGE_SAFETY", 0)),
        ({"stopped": 1, "stop_reasons": ["NO_IMAGE"]}, (0, "NO_IMAGE", 0)),
        ({"truncated_json": 1}, (1, "STOP", 1120)),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_fault_of_pictures_meets_pictures(gemini: str, faults: dict[str, Any], kinds: tuple[int, str, int]) -> None:
    """Faults of texts do not; what was made is billed."""
    with EmulatorControl(gemini) as control:
        control.set_faults(**faults)
        body = ask(gemini).json()
        control.reset()
    candidate = body["candidates"][0]
    parts = candidate.get("content", {}).get("parts", [])
    made = [one["tokenCount"] for one in body["usageMetadata"].get("candidatesTokensDetails", [])]
    assert (sum("inlineData" in part for part in parts), candidate["finishReason"], sum(made)) == kinds


def test_texts_meet_no_faults_of_pictures(gemini: str) -> None:
    """A rate of one for pictures leaves texts as they are."""
    with EmulatorControl(gemini) as control:
        control.set_faults(text_only=1, wrong_mime=1)
        answer = ask(gemini, model=TEXT, config={"responseModalities": ["TEXT"], "imageConfig": None})
        control.reset()
    assert answer.json()["candidates"][0]["content"]["parts"][0]["text"]
