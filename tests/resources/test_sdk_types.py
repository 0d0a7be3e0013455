"""Our use of the SDK's types: faster, with the same HTTP requests."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import types

from resources.gemini import sdk_types
from tests.support.gemini_server import Village

SCHEMA = Village.model_json_schema()


async def _sent(part: type[types.Part], content: type[types.Content], config: type[types.GenerateContentConfig]) -> httpx2.Request:
    """The request that the SDK sends for a question with two texts and a picture, with every parameter that we use."""
    sent: list[httpx2.Request] = []

    async def keep(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        return httpx2.Response(200, json={"candidates": []})

    picture = types.Blob(data=b"\x89PNG", mime_type="image/png")
    asked = config(
        system_instruction=content(role="user", parts=[part(text="You invent worlds.")]),
        response_mime_type="application/json",
        response_json_schema=SCHEMA,
        response_modalities=[types.Modality.IMAGE],
        image_config=types.ImageConfig(aspect_ratio="4:3", image_size="1K"),
        max_output_tokens=2_048,
        thinking_config=types.ThinkingConfig(thinking_level=types.ThinkingLevel.MINIMAL),
        temperature=1.0,
        service_tier=types.ServiceTier.FLEX,
        http_options=types.HttpOptions(timeout=900_000),
    )
    turn = content(role="user", parts=[part(text="A village"), part(inline_data=picture), part(text="on a reef")])
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(keep)) as http:
        client = genai.Client(api_key="key", http_options=types.HttpOptions(base_url="http://gemini", httpx_async_client=http))
        await client.aio.models.generate_content(model="gemini-3.5-flash", contents=turn, config=asked)
    return sent[0]


async def test_the_request_is_the_same_as_with_the_sdks_own_types() -> None:
    """Address, headers and body are equal, byte for byte: a change in the SDK's handling of types fails this test."""
    plain = await _sent(types.Part, types.Content, types.GenerateContentConfig)
    ours = await _sent(sdk_types.Part, sdk_types.Content, sdk_types.Config)
    assert (ours.url, ours.headers, ours.content) == (plain.url, plain.headers, plain.content)
    assert all(said in ours.content for said in (b"You invent worlds.", b"A village", b"iVBORw", b"on a reef", b"2048", b"flex"))


async def test_a_request_does_not_list_its_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK neither lists the fields of our types nor copies the schema."""
    looked: list[object] = []

    def listed(self: object) -> Iterator[tuple[str, object]]:
        looked.append(self)
        yield from ()

    for each in (sdk_types.Part, sdk_types.Content, sdk_types.Config):
        monkeypatch.setattr(each, "__iter__", listed)
    schema = _Schema(SCHEMA)
    monkeypatch.setattr(f"{__name__}.SCHEMA", schema)
    await _sent(sdk_types.Part, sdk_types.Content, sdk_types.Config)
    assert looked == []
    assert schema.copies == 0


class _Schema(dict[str, Any]):
    copies = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        self.copies += 1
        return dict(self)
