"""``python -m local_services.fleet postgresql|rabbitmq``: the servers of a fleet as processes, from the programs installed here.

Here: PostgreSQL for Dagster's storage and Celery's results, RabbitMQ for the tasks of the workers; each on ports and in a folder of
its own, with nobody's configuration. Not here: the workers (generia_assets/fleet), a fleet in containers (docker/). The data
directory may be used again, on another port too. Its logs are in that directory.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from emulators import lifecycle
from generia_assets.processes import Child, spawn
from local_services import keep
from local_services.mongod import MissingServiceError

Server = Callable[[Path, int], AbstractContextManager[Child]]

POSTGRESQL_USER = "postgres"
"""PostgreSQL refuses to run as root. Then it runs as this user, whom Debian's package makes."""
RABBITMQ_SCRIPTS = Path("/usr/lib/rabbitmq/bin")
"""The script on PATH changes the user and reads /etc; this folder has the server itself."""
_START_S = 60.0
_FAST_SHUTDOWN = signal.SIGINT
# The data survives a kill of the server, but not a crash of the machine. A run opens some 150 connections in all, and few at once.
_POSTGRESQL_OPTIONS = ("fsync=off", "max_connections=200", "unix_socket_directories=", f"listen_addresses={lifecycle.LOOPBACK}")
_ONE_THREAD = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
_ON_LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"


def _postgresql_program(name: str) -> Path | None:
    found = shutil.which(name) or max(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), default=None)
    return None if found is None else Path(found).resolve()


def available() -> str | None:
    """Return why the servers of a fleet cannot be started here, or None if they can."""
    if _postgresql_program("postgres") is None:
        return "there is no postgres on this machine (Debian: apt-get install postgresql)"
    if not (RABBITMQ_SCRIPTS / "rabbitmq-server").exists():
        return "there is no rabbitmq-server on this machine (Debian: apt-get install rabbitmq-server)"
    return None


@contextmanager
def postgresql(data: Path, port: int) -> Iterator[Child]:
    """PostgreSQL on the loopback interface; ``ready_value`` is the URL of its database for SQLAlchemy. For port 0 it chooses one.

    As root it runs as another user, who must be able to enter the folders above ``data``.
    """
    port = lifecycle.choose_port(port)
    postgres = _postgresql_program("postgres")
    if postgres is None:
        raise MissingServiceError(str(available()))
    as_user = _as_user(data)
    if not (data / "PG_VERSION").exists():
        initdb = (*("-D", data, "-U", "generia"), "--auth=trust", "--no-sync", "--no-locale", "--encoding=UTF8")
        made = _run(*as_user, postgres.with_name("initdb"), *initdb)
        if made.returncode:
            raise MissingServiceError(f"PostgreSQL cannot make its files in {data}: {made.stderr.strip()}")
    options = [word for option in _POSTGRESQL_OPTIONS for word in ("-c", option)]
    child = spawn("postgresql", [*as_user, postgres, "-D", data, "-p", str(port), *options], log_path=data.with_suffix(".log"))
    asks = (postgres.with_name("pg_isready"), *("-h", lifecycle.LOOPBACK), *("-p", str(port)), *("-U", "generia"))
    with child:
        child.wait_until(lambda: not _run(*asks).returncode or None, _START_S)
        child.ready_value = f"postgresql+psycopg2://generia@{lifecycle.LOOPBACK}:{port}/postgres"
        try:
            yield child
        finally:
            with suppress(ProcessLookupError):
                os.kill(child.pid, _FAST_SHUTDOWN)  # SIGTERM would wait until every client has disconnected


def _run(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603  (a list of our own)


def _as_user(data: Path) -> list[str | Path]:
    data.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return []
    shutil.chown(data, POSTGRESQL_USER, POSTGRESQL_USER)
    user = ("--reuid", POSTGRESQL_USER, "--regid", POSTGRESQL_USER, "--clear-groups", "--pdeathsig", _FAST_SHUTDOWN.name[3:])
    return ["setpriv", *user]


@contextmanager
def rabbitmq(data: Path, port: int) -> Iterator[Child]:
    """RabbitMQ on the loopback interface, with its own port mapper; ``ready_value`` is its URL. For port 0 it chooses one."""
    if reason := available():
        raise MissingServiceError(reason)
    port, mapper_port = lifecycle.choose_port(port), lifecycle.choose_port(0)
    data.mkdir(parents=True, exist_ok=True)
    plugins = data / "enabled_plugins"
    plugins.write_text("[].\n")
    environment = {
        "HOME": data,
        "RUNNING_UNDER_SYSTEMD": "true",  # no shell between this process and the server
        "ERL_EPMD_PORT": mapper_port,
        "ERL_EPMD_ADDRESS": lifecycle.LOOPBACK,
        "RABBITMQ_NODENAME": "generia@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": lifecycle.LOOPBACK,
        "RABBITMQ_NODE_PORT": port,
        "RABBITMQ_DIST_PORT": lifecycle.choose_port(0),
        "RABBITMQ_BASE": data,
        "RABBITMQ_MNESIA_BASE": data / "mnesia",
        "RABBITMQ_LOG_BASE": data,
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_ENABLED_PLUGINS_FILE": plugins,
        "RABBITMQ_CONFIG_FILE": data / "rabbitmq",
        "RABBITMQ_ADVANCED_CONFIG_FILE": data / "advanced",
        "RABBITMQ_CONF_ENV_FILE": data / "env.conf",
        "RABBITMQ_GENERATED_CONFIG_DIR": data,
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_ONE_THREAD} {_ON_LOOPBACK}",
    }
    # In the foreground: a port mapper that Erlang starts by itself would not end.
    mapper = ["epmd", "-port", str(mapper_port), "-address", lifecycle.LOOPBACK]
    env = {name: str(value) for name, value in environment.items()}
    with (
        spawn("epmd", mapper, log_path=data / "epmd.log"),
        spawn("rabbitmq", [RABBITMQ_SCRIPTS / "rabbitmq-server"], log_path=data / "rabbitmq.log", env=env) as child,
    ):
        child.wait_until(lambda: lifecycle.accepts_connections(port) or None, _START_S)
        child.ready_value = f"amqp://guest:guest@{lifecycle.LOOPBACK}:{port}//"  # pragma: allowlist secret
        yield child


SERVERS: dict[str, Server] = {"postgresql": postgresql, "rabbitmq": rabbitmq}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local_services.fleet", description=__doc__)
    parser.add_argument("server", choices=SERVERS)
    parser.add_argument("--data", type=Path, required=True, help="data directory, made if it is not there")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    keep(parser, "", lambda options: SERVERS[options.server](options.data.absolute(), options.port), MissingServiceError)


if __name__ == "__main__":
    main()
