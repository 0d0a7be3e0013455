"""Both kinds of pages answer their own requests, and those of no other page in the same browser (S5)."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from emulators.lifecycle import accepts_connections, free_port
from generia_assets.processes import spawn
from tests.support.pages_site import serving

DOCKER = Path(__file__).parents[2] / "docker"
ORDER = "mutation { launchRun(executionParams: {}) { __typename } }"
LAUNCH = """
import dagster as dg
@dg.job
def harmless(): ...
"""
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def webserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Dagster's own webserver as `generia dev` starts it: its host and port. One more name than usual is allowed."""
    folder, port = tmp_path_factory.mktemp("webserver"), free_port()
    (folder / "harmless.py").write_text(LAUNCH)
    argv: list[str | Path] = [sys.executable, "-m", "generia_assets.webserver", "--port", str(port), "-f", folder / "harmless.py"]
    env = {"DAGSTER_HOME": str(folder), "ALLOWED_HOSTS": "Worlds.Example, [::2]", "DAGSTER_DISABLE_TELEMETRY": "1"}
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with spawn("webserver", argv, log_path=folder / "log", env=env) as child:
        child.wait_until(lambda: accepts_connections(port) or None, 60)
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def pages(mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The worlds' pages: their host and port."""
    with serving(mongodb_uri, "no_worlds", tmp_path_factory.mktemp("media")) as address:
        yield address.removeprefix("http://")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param("{here}", 200, id="S5 as it is served"),
        pytest.param("localhost:{port}", 200, id="S5 by name"),
        pytest.param("[::1]:{port}", 200, id="S5 by IPv6"),
        pytest.param("evil.example", 403, id="S5 rebound name"),
        pytest.param("evil.example:{port}", 403, id="S5 rebound name with the port"),
        pytest.param("localhost.evil.example", 403, id="S5 a name that begins well"),
        pytest.param("127.0.0.1@evil.example", 403, id="S5 a name that looks well"),
        pytest.param("192.0.2.7", 403, id="S5 somebody else's address"),
        pytest.param("[", 403, id="S5 no name"),
    ],
)
@pytest.mark.parametrize("which", ["webserver", "pages"])
def test_only_known_hosts_are_answered(request: pytest.FixtureRequest, which: str, host: str, status: int) -> None:
    """An unknown host name is refused, so that no page of a stranger can read these pages."""
    here = request.getfixturevalue(which)
    named = host.format(here=here, port=here.rpartition(":")[2])
    assert requests.get(f"http://{here}/", headers={"host": named}, timeout=60).status_code == status


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        pytest.param("GET", f"/graphql?query={ORDER}", {}, "", 405, id="S5 an order as an image sends it"),
        pytest.param("GET", f"/graphql?%71uery={ORDER}", {}, "", 405, id="S5 the same, disguised"),
        pytest.param("GET", f"/graphql/?query={ORDER}", {}, "", 405, id="S5 the same, with a slash"),
        pytest.param("POST", f"/graphql?query={ORDER}", FORM | {"origin": "http://evil.example"}, "", 403, id="S5 a form"),
        pytest.param("POST", "/graphql", JSON | {"origin": "null"}, '{"query": "{ version }"}', 403, id="S5 a hidden page"),
        pytest.param(
            "POST", "/graphql", JSON | {"origin": "http://localhost:1"}, '{"query": "{ version }"}', 403, id="S5 another port"
        ),
        pytest.param("POST", "/report_asset_materialization/x", {"sec-fetch-site": "cross-site"}, "", 403, id="S5 no Origin"),
        pytest.param("POST", "/graphql", JSON | {"origin": "http://{here}"}, '{"query": "{ version }"}', 200, id="S5 its own page"),
        pytest.param(
            "POST", "/graphql", JSON | {"origin": "https://worlds.example"}, '{"query": "{ version }"}', 200, id="S5 allowed page"
        ),
        pytest.param("POST", "/graphql", JSON, '{"query": "{ version }"}', 200, id="S5 a program"),
        pytest.param("GET", "/runs", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, "", 200, id="S5 a link"),
    ],
)
def test_no_other_page_can_change_anything(
    webserver: str, method: str, path: str, headers: dict[str, str], body: str, status: int
) -> None:
    """Requests that can change something are accepted from our pages and from programs, and from no other page."""
    sent = {name: value.format(here=webserver) for name, value in headers.items()}
    assert requests.request(method, f"http://{webserver}{path}", headers=sent, data=body, timeout=60).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        pytest.param("http://evil.example", 403, id="S5 a stranger's web socket"),
        pytest.param("http://{here}", 101, id="S5 the page's own web socket"),
    ],
)
def test_a_web_socket_is_accepted_only_from_our_pages(webserver: str, origin: str, status: int) -> None:
    """A web socket can also change something."""
    host, _, port = webserver.partition(":")
    lines = [
        "GET /graphql HTTP/1.1",
        f"Host: {webserver}",
        f"Origin: {origin.format(here=webserver)}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: graphql-ws",
    ]
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        assert int(connection.recv(4096).split()[1]) == status


@pytest.mark.case("S5")
def test_containers_serve_dagsters_pages_behind_the_check() -> None:
    """No container runs Dagster's webserver without this check."""
    webserver = yaml.safe_load((DOCKER / "docker-compose.yml").read_text())["services"]["webserver"]
    assert webserver["command"][:3] == ["python", "-m", "generia_assets.webserver"]
    script = (DOCKER / "test-mode").read_text()
    assert "generia_assets.webserver" in script
    assert "dagster dev" not in script
