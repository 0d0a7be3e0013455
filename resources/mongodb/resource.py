"""MongoDB as a Dagster resource, which hands connections out.

Here: the resource and nothing else. Not here: how MongoDB is reached (mongo.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure

from resources.mongodb.connection import MongoDocument, as_forbidden, check_mongo, check_rights, connect


class MongoResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic only for its own base
    """MongoDB as a Dagster resource. ``uri`` is given as ``EnvVar``, so that no launchpad shows a password."""

    uri: str
    database: str

    @contextmanager
    def client(self) -> Iterator[MongoClient[MongoDocument]]:
        """A checked blocking client, closed afterwards. Raises ``MongoUnavailableError``; its kinds say what is wrong."""
        with connect(self.uri) as client:
            check_mongo(client, self.uri)
            try:
                check_rights(client[self.database], self.uri)
                yield client
            except OperationFailure as error:
                raise as_forbidden(error, self.uri) or error from None

    @contextmanager
    def connection(self) -> Iterator[Database[MongoDocument]]:
        """The generator's database through a checked blocking client, closed afterwards."""
        with self.client() as client:
            yield client[self.database]
