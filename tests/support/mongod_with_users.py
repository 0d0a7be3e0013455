"""A mongod that requires users: a replica set of one, with users that have the rights of their roles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from emulators import lifecycle
from generia_assets.processes import spawn
from local_services.mongod import REPLICA_SET, _command, find_mongod

PASSWORD = "a-word-of-the-tests"


@dataclass(frozen=True)
class ServerWithUsers:
    """The server; ``root`` has all rights."""

    port: int

    def uri(self, user: str, password: str = PASSWORD) -> str:
        """The address, as this user."""
        return f"mongodb://{user}:{password}@127.0.0.1:{self.port}/?replicaSet={REPLICA_SET}&directConnection=true&authSource=admin"

    @contextmanager
    def as_root(self) -> Iterator[MongoClient[dict[str, Any]]]:
        """A client with all rights."""
        with MongoClient(self.uri("root"), tz_aware=True) as client:
            yield client

    def add(self, user: str, roles: list[str | Mapping[str, str]]) -> str:
        """Add a user with these roles; return the address for this user."""
        with self.as_root() as client:
            client.admin.command("createUser", user, pwd=PASSWORD, roles=roles)
        return self.uri(user)


@contextmanager
def mongod_with_users(folder: Path) -> Iterator[ServerWithUsers]:
    """Start it in this folder, and end it."""
    key = folder / "key"
    key.write_text("generia" * 8)
    key.chmod(0o600)
    port = lifecycle.choose_port(0)
    (folder / "data").mkdir()
    command = [*_command(find_mongod(), folder / "data", port), "--auth", "--keyFile", key]
    with spawn("mongod", command, log_path=folder / "mongod.log") as child:
        child.wait_until(lambda: lifecycle.accepts_connections(port) or None, 30)
        with MongoClient(
            "127.0.0.1", port, directConnection=True
        ) as client:  # until there is a user, a client on loopback may create one
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]})
            child.wait_until(lambda: _made_root(client), 30)
        yield ServerWithUsers(port)


def _made_root(client: MongoClient[dict[str, Any]]) -> bool | None:
    try:
        client.admin.command("createUser", "root", pwd=PASSWORD, roles=["root"])
    except PyMongoError:  # not a primary yet
        return None
    return True
