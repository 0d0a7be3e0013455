"""P5: a user's image provider is checked when it is loaded, and one like the example makes a world's pictures."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from emulators.image_stub import MIME, paint
from generia_assets.durable.collections import HISTORY
from generia_assets.settings import SettingsError, load_settings
from tests.support.command import Command
from tests.support.worlds_in_process import worlds_in_process

EXAMPLES = Path(__file__).parents[2] / "docs"
GENERATE = "async def generate(self, *, prompt, width, height, seed, references, idempotency_key):"
ACLOSE = "async def aclose(self): pass"
COST = "cost_per_image_usd = 0.01"


def provider(folder: Path, name: str, *lines: str) -> str:
    """A module with a class of these lines; returns the value of IMAGE_PROVIDER."""
    (folder / f"{name}.py").write_text("class Painter:\n" + "".join(f"    {line}\n" for line in lines))
    return f"{name}:Painter"


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PYTHONPATH."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param([COST, f"{GENERATE} ..."], ["async def aclose(self)"], id="P5 no aclose"),
        pytest.param([f"{GENERATE} ...", ACLOSE], ["cost_per_image_usd: float"], id="P5 no cost_per_image_usd"),
        pytest.param([COST, ACLOSE], ["async def generate(self, *, prompt: 'str', width"], id="P5 no generate"),
        pytest.param([COST, ACLOSE, "def generate(self, **how): ..."], ["async def generate"], id="P5 generate is not async"),
        pytest.param([COST, ACLOSE, "async def generate(self, prompt): ..."], ["idempotency_key"], id="P5 other arguments"),
        pytest.param(["pass"], ["cost_per_image_usd", "generate", "aclose"], id="P5 nothing of it"),
        pytest.param(["1 / 0"], ["cannot be imported: ZeroDivisionError"], id="P5 cannot be imported"),
    ],
)
def test_an_incomplete_provider_is_refused_with_the_missing_part(
    modules: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], said: list[str]
) -> None:
    """A class that lacks a part of the protocol is a wrong setting at the start of every process; the message has the signature."""
    named = provider(modules, f"painter_{abs(hash(tuple(lines)))}", *lines)
    monkeypatch.setenv("IMAGE_PROVIDER", named)
    with pytest.raises(SettingsError) as raised:
        load_settings(modules / ".env")
    assert f"IMAGE_PROVIDER='{named}': " in str(raised.value)
    assert [part for part in said if part not in str(raised.value)] == []


@pytest.mark.parametrize("named", ["my_images", "my_images:", ":Painter", "no_such_module:Painter", "json:dumps"])
@pytest.mark.case("P5")
def test_an_unknown_class_is_refused(modules: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    """A module or class that does not exist is a wrong setting, too."""
    monkeypatch.setenv("IMAGE_PROVIDER", named)
    with pytest.raises(SettingsError, match="IMAGE_PROVIDER="):
        load_settings(modules / ".env")


@pytest.mark.case("P5")
def test_a_command_names_the_fault_of_a_provider(modules: Path) -> None:
    """`demo` and `quote` end at once with exit status 2, or with 1 if the provider's price is invalid or it cannot be created."""
    lame = provider(modules, "lame_painter", COST, f"{GENERATE} ...")
    for command in ("demo", "quote"):
        exit_code, out, err = Command(modules / "data", {"IMAGE_PROVIDER": lame}).call(command)
        assert (exit_code, out) == (2, "")
        assert "async def aclose" in err
    keyless = provider(modules, "keyless_painter", COST, f"{GENERATE} ...", ACLOSE, "def __init__(self): {}['PAINTER_KEY']")
    exit_code, _, err = Command(modules / "data", {"IMAGE_PROVIDER": keyless}).call("quote")
    assert (exit_code, "KeyError: 'PAINTER_KEY'" in err) == (1, True)
    dear = provider(modules, "dear_painter", "cost_per_image_usd = 2", f"{GENERATE} ...", ACLOSE)
    exit_code, out, err = Command(modules / "data", {"IMAGE_PROVIDER": dear}).call(
        "quote", "--users", "1", "--posts", "1", "--json"
    )
    assert exit_code == 0, err
    assert json.loads(out)["cost_usd"] > 2 * json.loads(out)["image_calls"]


class _ImageApi(BaseHTTPRequestHandler):
    """The API of the example: pictures by POST."""

    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["content-length"])))
        picture = paint(order["prompt"], order["width"], order["height"], order["seed"])
        self.send_response(200)
        for header, value in (("content-type", MIME), ("x-image-id", "n7"), ("content-length", str(len(picture)))):
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(picture)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def image_api() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _ImageApi) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.case("P5")
def test_the_example_makes_a_worlds_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_api: str, mongodb_uri: str, broker: str, gemini: str
) -> None:
    """A provider of forty lines over HTTP makes all pictures of a world, at its own price."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setenv("IMAGES_URL", image_api)
    choice: dict[str, Any] = {"image_provider": "image_provider:HttpImages"}
    with worlds_in_process(tmp_path, mongodb_uri=mongodb_uri, broker=broker, gemini=gemini, **choice) as worlds:
        world, made = worlds.make(users=1, posts=1)
        assert made.success, made.failure
        status = worlds.status(world)
        assert status.posts_created == 1
        assert status.image_cost_total == pytest.approx(0.003 * status.api_calls_made_images)
        assert {one["response_data"]["provider_id"] for one in worlds.database[HISTORY].find({"api_type": "image_generation"})} == {
            "n7"
        }


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param("return b'picture'", "must return a GeneratedImage and returned bytes", id="P5 returns bytes"),
        pytest.param("raise KeyError('colour')", "raised KeyError: 'colour'", id="P5 raises its own error"),
    ],
)
def test_a_provider_that_violates_the_protocol_fails_the_world_with_its_name(
    modules: Path, mongodb_uri: str, broker: str, gemini: str, body: str, said: str
) -> None:
    """A forbidden result or exception of a provider ends the world at the first picture with the provider's name; the call counts
    at its worst case."""
    named = provider(modules, f"painter_{abs(hash(body))}", COST, ACLOSE, f"{GENERATE} {body}")
    with worlds_in_process(modules, mongodb_uri=mongodb_uri, broker=broker, gemini=gemini, image_provider=named) as worlds:
        world, made = worlds.make(users=1, posts=1)
        status = worlds.status(world)
        assert (made.success, status.status.value) == (False, "failed")
        assert f"Painter: generate() {said}" in status.message
        assert status.image_cost_total == pytest.approx(0.01 * status.api_calls_made_images)
