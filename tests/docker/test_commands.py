"""The commands of the containers of docker-compose.yml, run here in a folder with the layout of the image, until each is healthy by
its own health check. Not here: the structure of the files (tests/docker/test_files.py)."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from emulators.lifecycle import accepts_connections, free_port
from tests.docker.test_files import DOCKER, TOP, command_of, services
from tests.support.waiting import wait_for

STACK = services("docker-compose.yml")
HEALTHY_S = 300.0


class Image:
    """A folder like the image's /app, with free ports instead of those of the containers."""

    def __init__(self, folder: Path, mongodb_uri: str) -> None:
        self.app, self.folder = folder / "app", folder
        (self.app / "docker").mkdir(parents=True)
        for room in ("generia_assets", "resources", "sensors"):
            (self.app / room).symlink_to(TOP / room)
        self.ports = {port: str(free_port()) for port in ("3000", "3001", "4000")}
        workspace = (DOCKER / "workspace.yaml").read_text()
        assert "host: code" in workspace
        (self.app / "docker" / "workspace.yaml").write_text(self.here(workspace.replace("host: code", "host: 127.0.0.1")))
        (self.app / "docker" / "health.py").symlink_to(DOCKER / "health.py")
        (folder / "dagster").mkdir()
        (folder / "dagster" / "dagster.yaml").write_text((DOCKER / "dagster.yaml").read_text())
        (folder / "bin").mkdir()
        (folder / "bin" / "generia").symlink_to(DOCKER / "generia")
        self.environment = {
            "PATH": f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.app),
            "HOME": str(folder),
            "DAGSTER_HOME": str(folder / "dagster"),
            "GENERIA_DATA_DIR": str(folder / "data"),
            "MONGODB_URI": mongodb_uri,
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",  # no broker: ticks are skipped, and all containers still become healthy
        }

    def here(self, text: str) -> str:
        """The text with the ports of this folder."""
        for port, own in self.ports.items():
            text = text.replace(port, own)
        return text.replace("0.0.0.0", "127.0.0.1")

    @contextmanager
    def running(self, name: str, command: list[str]) -> Iterator[subprocess.Popen[str]]:
        """The container's process; at the end it gets SIGTERM and its grace period, as from Docker."""
        log = (self.folder / f"{name}.log").open("w")
        process = subprocess.Popen(
            [self.here(word) for word in command], cwd=self.app, env=self.environment, stdout=log, stderr=log, text=True
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()
                log.close()

    def healthy(self, name: str, process: subprocess.Popen[str], check: list[str]) -> None:
        """Run the container's own health check until it succeeds."""
        deadline = time.monotonic() + HEALTHY_S
        while True:
            done = subprocess.run([self.here(word) for word in check], cwd=self.app, env=self.environment, capture_output=True)
            if done.returncode == 0:
                return
            logged = (self.folder / f"{name}.log").read_text()[-2000:]
            assert process.poll() is None, f"{name} ended: {logged}"
            assert time.monotonic() < deadline, f"{name}: {done.stderr.decode()}{logged}"
            time.sleep(0.5)  # each check takes CPU that the checked process needs for its start


@pytest.mark.dagster_process
@pytest.mark.timeout(900)
def test_what_the_containers_run_becomes_healthy(tmp_path, mongodb_uri):
    """Code location, webserver, daemon and pages start by the commands of the containers, find each other, and say so."""
    image = Image(tmp_path, mongodb_uri)
    checks = {name: STACK[name]["healthcheck"]["test"][1:] for name in ("webserver", "daemon", "pages")}
    with ExitStack() as stack:
        code = stack.enter_context(image.running("code", command_of("runtime")))
        pages = stack.enter_context(image.running("pages", STACK["pages"]["command"]))
        wait_for(lambda: accepts_connections(int(image.ports["4000"])) or code.poll() is not None, seconds=HEALTHY_S)
        image.healthy("code", code, ["python", "docker/health.py", "grpc", "127.0.0.1:4000"])
        image.healthy("pages", pages, checks["pages"])
        webserver = stack.enter_context(image.running("webserver", STACK["webserver"]["command"]))
        image.healthy("webserver", webserver, checks["webserver"])
        daemon = stack.enter_context(image.running("daemon", STACK["daemon"]["command"]))
        image.healthy("daemon", daemon, checks["daemon"])
