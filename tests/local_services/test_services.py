"""Services that are started together, and the folder that only one command uses: with real, tiny processes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from generia_assets.cli.console import CommandError
from generia_assets.cli.data_dir import DataDir, RunningGenerator, lock_data_dir, running_generator
from generia_assets.processes import Child, ChildFailedError, spawn
from generia_assets.settings import Settings
from local_services.catalog import ServiceCatalog, ServiceChoice
from local_services.services import Ownership, Service, ServiceSet

WAITS = "import signal; print('up', flush=True); signal.pause()"
FAILS = "import sys; sys.exit('no licence')"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def make(name: str, code: str = WAITS, **options: Any) -> Service:
        def launch() -> Child:
            return spawn(name, [sys.executable, "-c", code], log_path=tmp_path / f"{name}.log")

        def probe(child: Child) -> str | None:
            return "here" if b"up" in child.log_path.read_bytes() else None

        made.append(Service(name, Ownership.EMBEDDED, launch, probe, **options))
        return made[-1]

    yield make
    for one in made:
        if one.child is not None:
            one.child.stop(0)


def test_a_service_is_started_when_the_services_it_needs_are_ready(service: Callable[..., Service]) -> None:
    """Independent services start together, a dependent one after the services that it names."""
    first, second, third = service("first"), service("second"), service("third", after=("first", "second"))
    ServiceSet([third, first, second]).start(lambda: None)
    assert second.began < first.began + first.seconds
    assert first.began < second.began + second.seconds
    assert third.began >= max(first.began + first.seconds, second.began + second.seconds)
    assert [one.address for one in (first, second, third)] == ["here"] * 3


def test_a_failed_service_is_named_with_the_end_of_its_log(service: Callable[..., Service]) -> None:
    """Starting raises an error with the service's name and log; `stop` ends the running services."""
    good, bad = service("good"), service("bad", FAILS)
    services = ServiceSet([good, bad])
    with pytest.raises(ChildFailedError, match=r"(?s)bad ended with exit code 1.*no licence"):
        services.start(lambda: None)
    services.stop()
    assert good.child is not None
    assert good.child.exit_code() is not None


def test_a_service_is_ended_before_the_services_it_uses(service: Callable[..., Service]) -> None:
    """A service that must end first has ended before the others get their signal, and has only its own grace period."""
    server, user = service("server"), service("user", STUBBORN, ends_first=True, grace=0.3)
    services = ServiceSet([server, user])
    services.start(lambda: None)
    began = time.monotonic()
    services.stop()
    assert 0.3 <= time.monotonic() - began < 9  # the default grace period is ten seconds
    assert user.child is not None
    assert user.child.exit_code() == -9
    assert server.child is not None
    assert server.child.exit_code() == -15


def test_a_service_of_the_user_is_neither_started_nor_ended() -> None:
    """A service with an address from the start is ready at once and has no process."""
    yours = Service("MongoDB", Ownership.YOURS, address="db.example:27017")
    services = ServiceSet([yours])
    services.start(lambda: None)
    services.stop()
    assert services.address("MongoDB") == "db.example:27017"


def test_a_folder_has_one_user_and_a_demo_uses_another_one(tmp_path: Path) -> None:
    """A command whose folder is in use fails with the user's name, or uses the next folder; the folder is free when its user has
    ended."""
    announced = RunningGenerator(
        command="dev", pid=1, mongodb_uri="m", kafka_bootstrap_servers="k", kafka_api_version="", dagster_home="/d"
    )
    with lock_data_dir(tmp_path, allow_beside=True) as home:
        assert home.root == tmp_path
        home.announce(announced)
        assert running_generator(tmp_path) == announced
        with lock_data_dir(tmp_path, allow_beside=True) as other:
            assert other.root == tmp_path / "beside-1"
        with (
            pytest.raises(CommandError, match=r"in use by `generia dev` \(process 1\)"),
            lock_data_dir(tmp_path, allow_beside=False),
        ):
            pass
    assert running_generator(tmp_path) is None
    with lock_data_dir(tmp_path, allow_beside=False) as again:
        assert again.root == tmp_path


def test_the_announcement_of_a_dead_user_is_ignored(tmp_path: Path) -> None:
    """Without a lock the file of running services is a leftover, and its addresses are not used."""
    announced = RunningGenerator(
        command="dev", pid=1, mongodb_uri="m", kafka_bootstrap_servers="k", kafka_api_version="", dagster_home="/d"
    )
    (tmp_path / "lock").touch()
    (tmp_path / "running.json").write_text(announced.model_dump_json())
    assert running_generator(tmp_path) is None


def test_the_embedded_broker_never_replaces_a_broker_with_tls_or_users(tmp_path: Path) -> None:
    """Settings of TLS or users without a broker's address are an error, and no broker is started."""
    chosen = Settings(_env_file=None, kafka_security_protocol="SSL")
    with pytest.raises(CommandError, match="KAFKA_SECURITY_PROTOCOL=SSL: the embedded broker has neither TLS nor users"):
        ServiceCatalog(DataDir(tmp_path), chosen, ServiceChoice(0.0))
    named = Settings(_env_file=None, kafka_security_protocol="SSL", kafka_bootstrap_servers="broker:9093")
    catalog = ServiceCatalog(DataDir(tmp_path), named, ServiceChoice(0.0))
    assert catalog.kafka.settings.kafka_security_protocol == "SSL"
