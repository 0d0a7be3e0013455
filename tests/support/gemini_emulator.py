"""What the tests of the Gemini emulator share: the real SDK with its address, and small documents to request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from google import genai
from google.genai import types
from pydantic import BaseModel, Field

FLASH = "gemini-2.5-flash"
LITE = "gemini-3.5-flash-lite"
NEWEST = "gemini-3.8-flash"


class Person(BaseModel):
    """A person in a village."""

    username: str
    display_name: str
    bio: str
    age: int = Field(ge=18, le=90)


class Village(BaseModel):
    """A village and its people."""

    name: str
    description: str
    people: list[Person] = Field(min_length=3, max_length=6)


@asynccontextmanager
async def sdk(base_url: str, *, key: str = "test-key", timeout_s: float = 60.0) -> AsyncIterator[genai.Client]:
    """Google's own client with the address of the emulator. ``timeout_s`` in seconds."""
    # Like the product's transport: otherwise the SDK uses aiohttp if it is installed.
    http = httpx2.AsyncClient(timeout=timeout_s, trust_env=False)
    options = types.HttpOptions(base_url=base_url, api_version="v1beta", timeout=round(timeout_s * 1000), httpx_async_client=http)
    client = genai.Client(api_key=key, http_options=options)
    try:
        yield client
    finally:
        await client.aio.aclose()
        await http.aclose()
        client.close()


def village_config(**changes: Any) -> types.GenerateContentConfig:
    """Asks for a village; ``changes`` are fields of the configuration."""
    return types.GenerateContentConfig.model_validate(
        {
            "response_mime_type": "application/json",
            "response_json_schema": Village.model_json_schema(),
            "max_output_tokens": 4096,
            **changes,
        }
    )


async def ask(client: genai.Client, text: str = "A village on a reef", **changes: Any) -> types.GenerateContentResponse:
    """One call for a village."""
    return await client.aio.models.generate_content(model=FLASH, contents=text, config=village_config(**changes))
