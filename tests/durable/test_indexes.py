"""The indexes of the generator's collections: when they are checked."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo import MongoClient

from generia_assets.durable.collections import FLEET
from generia_assets.durable.indexes import HOUR_MS, indexes_of, once_an_hour


def test_indexes_are_checked_once_an_hour(mongo_client: MongoClient[dict[str, Any]], mongo_database_name: str):
    """The first process checks them, and the next ones do not; after a failure, and for other indexes, they are checked again."""
    database, name = mongo_client[mongo_database_name], indexes_of(["posts"], history_ttl_days=30)
    with pytest.raises(ZeroDivisionError), once_an_hour(database, name) as due:
        assert 1 // (not due)
    for expected in (True, False, False):
        with once_an_hour(database, name) as due:
            assert due is expected
    for other in (indexes_of(["posts"], history_ttl_days=7), indexes_of(["posts", "tenth"], history_ttl_days=30)):
        with once_an_hour(database, other) as due:
            assert due
    until = next(database[FLEET].aggregate([{"$project": {"left": {"$subtract": ["$expires_at", "$$NOW"]}}}]))["left"]
    assert 0 < until <= HOUR_MS
