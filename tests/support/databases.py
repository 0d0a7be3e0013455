"""Databases that tests of one worker use one after the other: to make all indexes of one takes a tenth of a second of CPU.

Not here: databases of tests that ask about indexes or collections (``mongo_database_name``).
"""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient

from generia_assets.durable.collections import FLEET

_FREE: defaultdict[tuple[str, int] | None, list[str]] = defaultdict(list)
"""By server: the names of databases that tests have given back."""
_INDEXES_ARE_MADE = {"_id": re.compile("^indexes:")}
"""The note by which a run knows that it need not make indexes (``once_an_hour``)."""


@contextmanager
def database_with_indexes(client: MongoClient[dict[str, Any]]) -> Iterator[str]:
    """The name of a database without documents that only this test uses, and with ``_platform`` of another one.

    They may have indexes already; afterwards they keep those that they have.
    """
    free = _FREE[client.address]
    name = free.pop() if free else f"test_{uuid.uuid4().hex[:12]}"
    yield name
    for database in (client[name], client[f"{name}_platform"]):
        for collection in database.list_collection_names():
            if collection == "system.profile":
                database.drop_collection(collection)  # nobody may write there
            else:
                database[collection].delete_many({"$nor": [_INDEXES_ARE_MADE]} if collection == FLEET else {})
                database.command("planCacheClear", collection)  # the next test's documents may want another index
    free.append(name)
