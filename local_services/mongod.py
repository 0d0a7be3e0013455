"""``python -m local_services.mongod``: a real MongoDB server as a process, a replica set of one, so that transactions work.

Here: starting it, making it a primary, ending it. Not here: which program it is (prerequisites.py), why it could not start
(mongod_log.py), and what is stored in it (resources/, generia_assets/durable).
Its data directory may be used again, on another port too. Its own log is ``mongod.log`` in that directory.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emulators import lifecycle
from generia_assets.processes import Child, ChildFailedError, spawn
from local_services import mongod_log
from local_services.prerequisites import MissingServiceError, find_mongod

if TYPE_CHECKING:
    from pymongo import MongoClient

REPLICA_SET = "generia"
OPEN_FILES = 64_000
"""What MongoDB's own documentation recommends."""
_START_S = 30.0
_NOT_YET_INITIALIZED = 94
_ALREADY_INITIALIZED = 23


class MongodError(RuntimeError):
    """mongod cannot serve. The message says what to do."""


def start(dbpath: Path, port: int, parameters: Sequence[str] = ()) -> Child:
    """Start mongod on the loopback interface and return when it is a writable primary; ``ready_value`` is its URI.

    For port 0 it chooses one; ``parameters`` are server parameters, ``name=value``. Raises ``PortTakenError``, ``MongodError`` if
    it cannot serve from this directory, and ``ChildFailedError`` if it ends without telling why.
    """
    port = lifecycle.choose_port(port)
    dbpath.mkdir(parents=True, exist_ok=True)
    command = [*_command(find_mongod(), dbpath, port), *(word for one in parameters for word in ("--setParameter", one))]
    child = spawn("mongod", command, log_path=dbpath / "mongod.log")
    try:
        _make_primary(child, port)
    except BaseException as error:
        child.stop()
        reason = mongod_log.explain(child.log_path) if isinstance(error, ChildFailedError) else None
        if reason:
            raise MongodError(f"mongod cannot serve from {dbpath}: {reason}") from error
        raise
    child.ready_value = f"mongodb://{lifecycle.LOOPBACK}:{port}/?replicaSet={REPLICA_SET}&directConnection=true"
    return child


def _command(binary: Path, dbpath: Path, port: int) -> list[str | Path]:
    return [
        binary,
        *("--dbpath", dbpath),
        *("--port", str(port)),
        *("--bind_ip", lifecycle.LOOPBACK),
        *("--replSet", REPLICA_SET),
        *("--wiredTigerCacheSizeGB", "0.25"),
        *("--oplogSize", "64"),
        "--nounixsocket",
        "--quiet",
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=0"),
        *("--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=10MB)"),  # opens sooner, takes 10 MB and not 100
    ]


def _make_primary(child: Child, port: int) -> None:
    # Imported only now: mongod is starting, and takes about as long as this import to open its port.
    from pymongo import MongoClient

    child.wait_until(lambda: lifecycle.accepts_connections(port) or None, _START_S)
    host = f"{lifecycle.LOOPBACK}:{port}"
    client: MongoClient[dict[str, object]]
    with MongoClient(host, directConnection=True, serverSelectionTimeoutMS=5000) as client:
        child.wait_until(lambda: _is_primary_of_itself(client, host), _START_S)


def _is_primary_of_itself(client: MongoClient[dict[str, object]], host: str) -> bool | None:
    from pymongo.errors import ConnectionFailure, OperationFailure

    try:
        hello = client.admin.command("hello")
        if hello.get("isWritablePrimary"):
            if hello["setName"] != REPLICA_SET:
                raise MongodError(f"this directory belongs to the replica set {hello['setName']!r}: give another --dbpath")
            return True
        config = client.admin.command("replSetGetConfig")["config"]
    except ConnectionFailure:
        return None  # it is on its way down; who waits sees that, and why
    except OperationFailure as error:
        if error.code != _NOT_YET_INITIALIZED:
            raise
        _initiate(client, host)
        return None
    members = config["members"]
    if len(members) > 1:
        raise MongodError(f"this directory belongs to a replica set of {len(members)} servers: give another --dbpath")
    if members[0]["host"] != host:  # the port changed: the server no longer finds itself in its own configuration
        members[0]["host"] = host
        config["version"] += 1
        client.admin.command("replSetReconfig", config, force=True)
    return None


def _initiate(client: MongoClient[dict[str, object]], host: str) -> None:
    from pymongo.errors import OperationFailure

    try:
        client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [{"_id": 0, "host": host}]})
    except OperationFailure as error:
        if error.code != _ALREADY_INITIALIZED:  # a directory used before: its configuration is only not loaded yet
            raise


def _allow_open_files() -> None:
    """Let mongod open what the user may at most: it dies at the usual 1,024, which a few dozen databases reach."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most), most))


def main() -> None:
    """Run until told to end, until the parent is gone, or until mongod ends by itself (exit code 1)."""
    parser = argparse.ArgumentParser(prog="python -m local_services.mongod", description=__doc__)
    parser.add_argument("--dbpath", type=Path, required=True, help="data directory, made if it is not there")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--set-parameter", action="append", default=[], metavar="NAME=VALUE", help="a server parameter of mongod")
    lifecycle.add_arguments(parser)
    options = parser.parse_args()
    lifecycle.exit_on_signals()
    lifecycle.end_with_parent(options.parent_pid)
    _allow_open_files()
    try:
        with start(options.dbpath, options.port, options.set_parameter) as mongod:
            lifecycle.announce("mongod", mongod.ready_value, options.ready_file)
            while True:
                mongod.check()
                time.sleep(0.2)
    except (MongodError, MissingServiceError, ChildFailedError, lifecycle.PortTakenError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
