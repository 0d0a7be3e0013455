"""Only our own settings count, whatever variables the environment has (E1, E2, A15)."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from docker.health import check_http
from emulators.gemini.client import EmulatorControl
from generia_assets.settings import SettingsError, load_settings
from resources.gateway.outcomes import FatalCallError, TransientError
from resources.gemini.client import GeminiClient
from resources.settings import is_loopback, spare_loopback
from tests.support.gemini_server import FLASH, KEY, Village, provider, question, said

ENV_FILE = Path(__file__).parents[2] / ".env"
NOWHERE = "http://127.0.0.1:9"
"""Where nobody listens: a call that goes there fails at once."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@asynccontextmanager
async def proxy() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A proxy that answers every request itself, with a village; its address and the first lines of the requests."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        body = b"sorry"
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"GOOGLE_GENAI_USE_VERTEXAI": "true"}, id="E1 Vertex AI"),
        pytest.param({"GOOGLE_GENAI_USE_ENTERPRISE": "true", "GOOGLE_CLOUD_PROJECT": "p"}, id="E1 enterprise"),
        pytest.param({"GOOGLE_GEMINI_BASE_URL": NOWHERE}, id="E1 another address"),
        pytest.param({"GOOGLE_GENAI_HTTP_CLIENT": "httpx"}, id="E1 another transport"),
        pytest.param({"GOOGLE_API_KEY": "AIzaSomebodyElses"}, id="E1 another key"),
        pytest.param({"GOOGLE_GENAI_API_VERSION": "v9"}, id="E1 another version"),
        pytest.param({"GOOGLE_GENAI_CLIENT_MODE": "replay", "GOOGLE_GENAI_REPLAY_ID": "r"}, id="E1 a replay"),
    ],
)
async def test_the_sdks_environment_variables_have_no_effect(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The call goes to the address of our settings, with our key, and the environment is unchanged afterwards."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.WARNING):
        async with provider("200 OK", said(), "Content-Type: application/json") as served:
            found = await served.client.ask(question(), FLASH)
    assert isinstance(found.value, Village)
    (request,) = served.requests
    assert request.startswith(b"POST /v1beta/models/gemini-2.5-flash:generateContent ")
    assert f"x-goog-api-key: {KEY}".encode() in request
    assert {name: os.environ[name] for name in environment} == environment
    assert caplog.text == ""


@pytest.mark.case("E1")
async def test_without_an_address_google_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's environment variables do not count: the call goes to Google, through the proxy of the environment."""
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://elsewhere.invalid")
    async with proxy() as (address, asked):
        monkeypatch.setenv("HTTPS_PROXY", address)
        client = GeminiClient(api_key=KEY, base_url="", timeout_seconds=5)
        with pytest.raises(TransientError, match=r"cannot be reached.*503"):
            await client.ask(question(), FLASH)
        await client.aclose()
    assert asked == [b"CONNECT generativelanguage.googleapis.com:443 HTTP/1.1"]


@pytest.mark.parametrize("variable", [pytest.param(name, id=f"E2 {name}") for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY")])
async def test_loopback_is_called_without_a_proxy(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call to a loopback address is made directly, although a proxy is set for all addresses."""
    monkeypatch.setenv(variable, NOWHERE)
    async with provider("200 OK", said(), "Content-Type: application/json") as served:
        assert isinstance((await served.client.ask(question(), FLASH)).value, Village)


@pytest.mark.parametrize(
    ("no_proxy", "through"),
    [pytest.param("", True, id="E2 outside, by the proxy"), pytest.param("gateway.invalid", False, id="E2 outside, spared")],
)
async def test_other_addresses_use_the_proxy_of_the_environment(
    no_proxy: str, through: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY and NO_PROXY apply to every address that is not on this machine."""
    async with proxy() as (address, asked):
        monkeypatch.setenv("HTTP_PROXY", address)
        monkeypatch.setenv("NO_PROXY", no_proxy)
        client = GeminiClient(api_key=KEY, base_url="http://gateway.invalid", timeout_seconds=5)
        with pytest.raises(TransientError):
            await client.ask(question(), FLASH)
        await client.aclose()
    assert bool(asked) is through


@pytest.mark.case("E2")
def test_an_invalid_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong value in the environment gives a message about it, not a bare exception of a library."""
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:70")
    with pytest.raises(FatalCallError, match="HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used"):
        GeminiClient(api_key=KEY, base_url="http://gateway.invalid", timeout_seconds=5)


@pytest.mark.case("E2")
def test_the_other_clients_obey_the_proxy_settings_too(gemini: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator's control and the containers' health check call this machine directly; every other client obeys NO_PROXY."""
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    monkeypatch.setenv("http_proxy", NOWHERE)
    with EmulatorControl(gemini) as control:
        control.stats()
    check_http(f"{gemini}/emulator/stats")
    monkeypatch.setenv("NO_PROXY", "intern.example, 127.0.0.1")
    monkeypatch.setenv("no_proxy", "*")
    spare_loopback()  # every command does, the code server, and every run
    assert os.environ["NO_PROXY"] == "intern.example,127.0.0.1,localhost,::1"
    assert os.environ["no_proxy"] == "*"


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        pytest.param("http://127.0.0.1:8080", True, id="E2 127.0.0.1"),
        pytest.param("http://127.8.9.1", True, id="E2 127.8.9.1"),
        pytest.param("http://[::1]:1", True, id="E2 ::1"),
        pytest.param("http://localhost", True, id="E2 localhost"),
        pytest.param("http://gemini.localhost/x", True, id="E2 a name of localhost"),
        pytest.param("http://localhost.example", False, id="E2 no name of localhost"),
        pytest.param("https://10.0.0.1", False, id="E2 a private address"),
        pytest.param("", False, id="E2 none"),
        pytest.param("http://[", False, id="E2 no URL"),
    ],
)
def test_loopback_addresses_are_recognized(url: str, loopback: bool) -> None:
    """By name or address, with any port."""
    assert is_loopback(url) is loopback


@pytest.mark.parametrize(
    ("seconds", "key", "address", "allowed"),
    [
        pytest.param("5", KEY, "", False, id="A15 5 s with the real API"),
        pytest.param("9.9", "", "https://gateway.example", False, id="A15 9.9 s with a gateway"),
        pytest.param("10", KEY, "", True, id="A15 10 s"),
        pytest.param("3600", KEY, "", True, id="A15 an hour"),
        pytest.param("3601", KEY, "", False, id="A15 more than an hour"),
        pytest.param("0", "", "", False, id="A15 nothing"),
        pytest.param("1", "", "", True, id="A15 1 s with the emulator that is started"),
        pytest.param("1", KEY, "http://127.0.0.1:8080", True, id="A15 1 s with an emulator on this machine"),
    ],
)
def test_a_time_out_that_google_refuses_is_refused_at_the_start(
    seconds: str, key: str, address: str, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the setting, its value and the range that is allowed."""
    for name, value in (("GEMINI_TIMEOUT_SECONDS", seconds), ("GEMINI_API_KEY", key), ("GEMINI_BASE_URL", address)):
        monkeypatch.setenv(name, value)
    if allowed:
        assert load_settings(ENV_FILE).gemini_timeout_seconds == float(seconds)
        return
    with pytest.raises(SettingsError, match=rf"GEMINI_TIMEOUT_SECONDS='{seconds}': .*\b(10 to 3600|3600|greater than 0)"):
        load_settings(ENV_FILE)


@pytest.mark.case("E1")
@pytest.mark.parametrize("key", [f"“{KEY}”", f"{KEY} {KEY}", "AIza\u0430"])
def test_an_invalid_key_is_refused_at_the_start(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key with quotation marks, a space or a look-alike letter cannot be sent; the message does not show the key."""
    monkeypatch.setenv("GEMINI_API_KEY", key)
    with pytest.raises(SettingsError, match=r"GEMINI_API_KEY=\(hidden\): holds a space or a character that no key has") as refused:
        load_settings(ENV_FILE)
    assert KEY not in str(refused.value)
