"""Trust: whether an API has ever answered in the name that this process calls it by, kept as a digest.

The name is the model's address and key, and the class of an image provider.

What has answered before and refuses now may heal (``FatalCallError.may_heal``); what never has is set up wrong, and fails at once.
One document of the collection ``fleet`` for each name, written at the end of each run that was answered, and kept for a month from
the last one on.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from pymongo.asynchronous.collection import AsyncCollection

from resources.gateway.api_gateway import Api
from resources.mongodb.connection import MongoDocument

TRUSTED_FOR = timedelta(days=30)


def name_of(api: Api, *identity: str) -> str:
    """The name under which an API is called: nobody can read the key out of it."""
    return f"answered:{api.value}:{hashlib.sha256('|'.join(identity).encode()).hexdigest()[:16]}"


async def is_trusted(fleet: AsyncCollection[MongoDocument], name: str) -> bool:
    """Whether an API has answered in this name."""
    return await fleet.find_one({"_id": name}, {"_id": 1}) is not None


async def trust(fleet: AsyncCollection[MongoDocument], name: str) -> None:
    """Note that it has."""
    await fleet.update_one({"_id": name}, {"$set": {"expires_at": datetime.now(UTC) + TRUSTED_FOR}}, upsert=True)
