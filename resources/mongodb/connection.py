"""MongoDB: clients with time-outs, ``MongoResource``, and the messages for a server that does not answer or refuses a right."""

import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import pymongo
from pymongo import AsyncMongoClient, IndexModel, MongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    wait_exponential_jitter,
)

from resources.gateway.outcomes import OutageTimeoutError
from resources.mongodb.stored import MongoDocument as MongoDocument

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

AsyncMongoDatabase: TypeAlias = AsyncDatabase[MongoDocument]
MongoDatabase: TypeAlias = Database[MongoDocument]

CONNECT_TIMEOUT_MS = 5_000
OPERATION_TIMEOUT_MS = 20_000
"""No operation waits for MongoDB longer than this; callers retry through an outage (``retried_on_outage``)."""


class MongoUnavailableError(ConnectionError):
    """MongoDB did not answer, or is not a replica set. The message says which address and how to start it."""


class MongoForbiddenError(MongoUnavailableError):
    """MongoDB answers and refuses this user a needed right. The message names the right and how to grant it."""


class MongoSilentError(MongoUnavailableError):
    """MongoDB did not answer: an outage, perhaps a short one."""


def mongo_address(uri: str) -> str:
    """The hosts of a URI without user, password and options, for messages."""
    return urlsplit(uri).netloc.rsplit("@", 1)[-1] or "(empty MONGODB_URI)"


def _options() -> Mapping[str, Any]:
    return {
        "serverSelectionTimeoutMS": CONNECT_TIMEOUT_MS,
        "connectTimeoutMS": CONNECT_TIMEOUT_MS,
        "timeoutMS": OPERATION_TIMEOUT_MS,
        "tz_aware": True,
        # Records of other writers: a value that Python cannot represent must not fail the other records (stored.py reports it).
        "datetime_conversion": "DATETIME_AUTO",
        "unicode_decode_error_handler": "replace",
        "appname": "generia",
    }


def connect(uri: str) -> MongoClient[MongoDocument]:
    """A blocking client, for Dagster's own thread: sensors, the io manager, the command line. Close it."""
    return MongoClient(uri, **_options())


def connect_async(uri: str) -> AsyncMongoClient[MongoDocument]:
    """A client for the process's event loop. Make it on that loop; close it there."""
    return AsyncMongoClient(uri, **_options())


def check_mongo(client: MongoClient[MongoDocument], uri: str, *, seconds: float = CONNECT_TIMEOUT_MS / 1000) -> None:
    """Raise ``MongoUnavailableError`` unless a replica set answers at this address within ``seconds`` (transactions need one)."""
    try:
        with pymongo.timeout(seconds):  # else it is asked again and again for OPERATION_TIMEOUT_MS
            hello = client.admin.command("hello")
    except ConnectionFailure as error:
        raise silent(uri, type(error).__name__) from None
    except OperationFailure as error:
        raise as_forbidden(error, uri) or MongoUnavailableError(
            f"MongoDB at {mongo_address(uri)} refused ({error.code}): {(error.details or {}).get('errmsg') or error}"
        ) from None
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise MongoUnavailableError(
            f"MongoDB at {mongo_address(uri)} is a standalone server. Transactions need a replica set: start mongod with "
            "--replSet and run rs.initiate() once (a single node will do)."
        )


def silent(uri: str, reason: str) -> MongoSilentError:
    return MongoSilentError(
        f"MongoDB at {mongo_address(uri)} did not answer ({reason}). "
        "Start one with `make dev`, which sets everything up, or point MONGODB_URI at a running replica set."
    )


NEEDED_RIGHTS = ("find", "insert", "update", "remove")
"""The rights that the generator always needs on its database, by MongoDB's names of actions."""
INDEX_RIGHTS = ("createIndex",)
"""The right to make its indexes, needed once; without it an administrator has to make them."""
_UNAUTHORIZED, _AUTHENTICATION_FAILED = 13, 18
_REFUSED = re.compile(r"not authorized on (\S+) to execute command \{ (\w+)")
_RIGHT_OF = {"createIndexes": "createIndex", "delete": "remove", "findAndModify": "update", "aggregate": "find"}
"""The right that a command needs, where it is called otherwise."""


def as_forbidden(error: BaseException, uri: str = "") -> MongoForbiddenError | None:
    """The error with the missing right and advice, if MongoDB refused this user a right; else None."""
    where = f"MongoDB at {mongo_address(uri)}" if uri else "MongoDB"
    if not isinstance(error, OperationFailure):
        return None
    if error.code == _AUTHENTICATION_FAILED:
        return MongoForbiddenError(f"{where} does not take the user and password. Correct MONGODB_URI (and its authSource).")
    refused = _REFUSED.search(str((error.details or {}).get("errmsg") or error))
    if refused is not None:
        return _forbidden(where, refused[1], [_RIGHT_OF.get(refused[2], refused[2])])
    if error.code == _UNAUTHORIZED:
        return MongoForbiddenError(f"{where} asks for a user. Put user and password into MONGODB_URI.")
    return None


def _forbidden(where: str, database: str, rights: Iterable[str]) -> MongoForbiddenError:
    return MongoForbiddenError(
        f"{where} does not give its user the right {' and '.join(rights)} on database {database}. "
        f'As its administrator: db.grantRolesToUser("the user", [{{role: "readWrite", db: "{database}"}}]).'
    )


def missing_rights(database: Database[MongoDocument], wanted: Iterable[str]) -> list[str]:
    """Which of these rights its user does not have on all of this database; none where MongoDB asks for no user."""
    status = database.client.admin.command("connectionStatus", showPrivileges=True)["authInfo"]
    if not status["authenticatedUsers"]:
        return []
    given = {
        action
        for privilege in status["authenticatedUserPrivileges"]
        if privilege["resource"].get("anyResource")
        or (privilege["resource"].get("db") in (database.name, "") and privilege["resource"].get("collection") == "")
        for action in privilege["actions"]
    }
    return [] if "anyAction" in given else [right for right in wanted if right not in given]


def missing_indexes(existing: Mapping[str, Any], wanted: Iterable[IndexModel]) -> list[IndexModel]:
    """Those that are not among ``existing`` (``index_information``): where all exist the user needs no right to make them."""
    return [one for one in wanted if existing.get(one.document["name"], {}).get("key") != list(one.document["key"].items())]


_INTERRUPTED = frozenset({10107, 13435, 11600, 11601, 11602, 189, 91})
"""Server error codes of a primary that steps down or shuts down, and of an operation that was ended from outside."""


def is_outage(error: BaseException) -> bool:
    """True for errors that a server which comes back will not repeat."""
    if isinstance(error, (MongoSilentError, ConnectionFailure)):
        return True
    return isinstance(error, PyMongoError) and (error.timeout or getattr(error, "code", None) in _INTERRUPTED)


_PAUSES = wait_exponential_jitter(initial=0.1, max=2.0, jitter=0.1)


async def retry_on_outage(operation: Callable[[], Awaitable[ResultT]], *, timeout_seconds: float) -> ResultT:
    """Run a MongoDB operation that may be repeated, through outages. Raises ``OutageTimeoutError`` for one that lasts longer."""
    try:
        return await operation()  # nearly always: what follows costs 0.1 ms of CPU for each of thousands of operations
    except PyMongoError as error:
        if not is_outage(error):
            raise

    async def again() -> ResultT:
        return await operation()  # tenacity awaits only what a coroutine function returns, not what a lambda does

    retrying = AsyncRetrying(
        retry=retry_if_exception(is_outage), wait=_PAUSES, stop=stop_after_delay(timeout_seconds), before_sleep=_log_outage
    )
    try:
        return await retrying(again)
    except RetryError as error:
        last = error.last_attempt.exception()
        raise OutageTimeoutError(f"MongoDB did not come back within {timeout_seconds:.0f} s: {type(last).__name__}") from last


def _log_outage(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    if state.attempt_number in (1, 10, 100):
        logger.warning("MongoDB does not answer (%s); waiting", type(error).__name__)


def retried_on_outage(patience_seconds: float) -> Retrying:
    """Repeats a blocking operation through an outage, for so long; the operation must be repeatable."""
    return Retrying(retry=retry_if_exception(is_outage), wait=_PAUSES, stop=stop_after_delay(patience_seconds), reraise=True)


@dataclass(frozen=True)
class MongoResource:
    """MongoDB as a Dagster resource, which opens connections.

    Attributes:
        uri: The address, with user and password where it has them; not shown by ``repr``.
        database: The generator's database.
    """

    uri: str = field(repr=False)
    database: str

    @contextmanager
    def client(self) -> Iterator[MongoClient[MongoDocument]]:
        """A checked blocking client, closed afterwards. Raises ``MongoUnavailableError`` or one of its subclasses."""
        with connect(self.uri) as client:
            check_mongo(client, self.uri)
            try:
                if missing := missing_rights(client[self.database], NEEDED_RIGHTS):
                    raise _forbidden(f"MongoDB at {mongo_address(self.uri)}", self.database, missing)
                yield client
            except OperationFailure as error:
                raise as_forbidden(error, self.uri) or error from None

    @contextmanager
    def connection(self) -> Iterator[MongoDatabase]:
        with self.client() as client:
            yield client[self.database]


@dataclass(frozen=True)
class KeptMongoResource(MongoResource):
    """The same with one client, which the first connection opens and ``close`` closes."""

    _closing: ExitStack = field(default_factory=ExitStack, repr=False)
    _clients: list[MongoClient[MongoDocument]] = field(default_factory=list, repr=False)

    @contextmanager
    def client(self) -> Iterator[MongoClient[MongoDocument]]:
        """The client; checked when it is opened. Raises as ``MongoResource.client``."""
        if not self._clients:
            self._clients.append(self._closing.enter_context(super().client()))
        try:
            yield self._clients[0]
        except OperationFailure as error:
            raise as_forbidden(error, self.uri) or error from None

    def close(self) -> None:
        self._closing.close()
