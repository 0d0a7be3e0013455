"""The way of a request through google-genai to the Gemini API and back (facts measured 2026-11 with google-genai 3.4.0).

One HTTP call for each request. The SDK makes the request and sends it, once: its retries are off, since they ignore RetryInfo and
Retry-After; its transport is httpx2, chosen by passing our own client, so that an installed aiohttp changes nothing (it takes 0.8
ms less of a call's 2 ms, but knows neither ALL_PROXY nor proxies over TLS, and sends what .netrc has for the API's host); and that
client intercepts each response before the SDK reads it, so that there is one HTTP call for each reservation whatever the SDK would
do with the answer. Variables of the environment that the SDK would read (another address, another key, Vertex AI) are hidden from
it: only our own settings count.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, NoReturn

import httpx2

from resources.gateway.outcomes import FatalCallError
from resources.gemini.answers import HttpAnswer
from resources.redaction import hide
from resources.settings import is_loopback

if TYPE_CHECKING:
    from resources.gemini.sdk_types import Config, Content

API_VERSION = "v1beta"


class AnswerArrived(Exception):  # noqa: N818  no error: it carries an answer past the SDK, which would parse it
    """Carries an HTTP response of any status past the SDK."""

    def __init__(self, http: HttpAnswer) -> None:
        super().__init__(http.status)
        self.http = http


@cache
def authorities(trust_env: bool, /) -> ssl.SSLContext:  # to the cache a name would be another argument
    """The certificate authorities that are trusted. Loading them takes 20 ms, and the SDK would do it twice more."""
    return httpx2.create_ssl_context(trust_env=trust_env)


class GeminiTransport:
    """One client for each process (import 0.5 s, first client 0.1 s). Make it on the event loop; ``aclose`` it there."""

    def __init__(self, *, api_key: str, base_url: str, timeout_seconds: float, longest_body: int) -> None:
        from google import genai  # 0.5 s: only a process that calls pays for it
        from google.genai import types

        if not api_key and not base_url:
            raise FatalCallError(
                "GEMINI_API_KEY is not set: export it to use the real API, or run `make dev`, which starts an emulator and sets "
                "GEMINI_BASE_URL"
            )
        hide(api_key)
        self.base_url = base_url
        trust_env = not is_loopback(base_url)  # proxies and certificates of the environment, except for this machine
        try:
            verify = authorities(trust_env)
            self._http = httpx2.AsyncClient(
                verify=verify,
                timeout=httpx2.Timeout(timeout_seconds, connect=min(10.0, timeout_seconds)),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),  # the slots decide, never the pool
                trust_env=trust_env,
                event_hooks={"response": [partial(_intercept, longest_body)]},
            )
        except (ValueError, ImportError) as error:
            raise FatalCallError(f"HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used ({error}): correct or unset it") from None
        with _hidden_from_the_sdk():
            self._client = genai.Client(
                api_key=api_key or "emulator",
                http_options=types.HttpOptions(
                    base_url=base_url or None,
                    api_version=API_VERSION,
                    timeout=int(timeout_seconds * 1000),
                    client_args={"trust_env": False, "verify": verify},  # the SDK's other clients, which are not used
                    async_client_args={"ssl": verify},
                    httpx_async_client=self._http,
                    retry_options=types.HttpRetryOptions(attempts=1),
                ),
            )

    async def generate(self, model: str, contents: Content, config: Config) -> HttpAnswer:
        """Send one user turn and return the response, whatever its status. Raises what ``errors.failed_call`` classifies."""
        try:
            await self._client.aio.models.generate_content(model=model, contents=contents, config=config)
        except AnswerArrived as arrived:
            arrived.__traceback__ = None  # its frames hold the request, and refer back to it: only the collector would free them
            return arrived.http
        raise AssertionError("the response was not handed over")  # pragma: no cover

    async def aclose(self) -> None:
        await self._client.aio.aclose()
        await self._http.aclose()


async def _intercept(longest_body: int, response: httpx2.Response) -> NoReturn:
    """Read a response, up to ``longest_body``, and raise it as ``AnswerArrived`` before the SDK sees it."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > longest_body:
                break
    except httpx2.DecodingError:
        pass  # the part that could be unpacked is judged
    headers = {name.lower(): value for name, value in response.headers.items()}
    raise AnswerArrived(HttpAnswer(response.status_code, headers, bytes(body[: longest_body + 1])))


@contextmanager
def _hidden_from_the_sdk() -> Iterator[None]:
    """Take GOOGLE_… out of the environment while the SDK's client is made: they name other addresses, keys and transports."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("GOOGLE_")}
    try:
        yield
    finally:
        os.environ.update(hidden)
