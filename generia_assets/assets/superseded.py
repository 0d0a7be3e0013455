"""Superseded publications: characters, posts and pictures on the platform that no document of the world refers to after a rerun.

Here: finding it by its ids, and marking it in ``publications``; ``generia show WORLD superseded`` lists it. The contract has no
call that deletes: characters are changed in place (tasks/generate_character.py), former posts and pictures stay there, and so do
the characters of a world that has fewer people now. Not here: how something is published once (durable/calls/publications.py).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from pymongo import UpdateMany

from generia_assets.catalog import ASSETS
from generia_assets.content.documents import Character, CharacterAvatar, PostImage, WorldImages
from generia_assets.durable.collections import PUBLICATIONS
from resources.mongodb.document_store import DocumentStore, NotMaterializedError

BATCH = 1_000
SUPERSEDED = "superseded"
"""The status of a publication that no document of its world refers to."""
_MARKED = {True: "answered", False: SUPERSEDED}


def mark_superseded(store: DocumentStore, world_id: str) -> dict[str, int]:
    """Mark the publications that no document of the world refers to any more; how many there are now, by kind."""
    referred = set(_ids(store, world_id))
    counts, wrong = Counter[str](), dict[str, list[str]]()
    query = {"world_id": world_id, "status": {"$in": list(_MARKED.values())}}
    for row in store.database[PUBLICATIONS].find(query, {"kind": 1, "answer": 1, "status": 1}, batch_size=BATCH):
        kind = row["kind"].partition(":")[0]
        answer = json.loads(row["answer"])["media_id"] if kind == "media" else row["answer"]
        status = _MARKED[answer in referred]
        counts[kind] += status == SUPERSEDED
        if status != row["status"]:
            wrong.setdefault(status, []).append(row["_id"])
    changes = [
        UpdateMany({"_id": {"$in": keys[first : first + BATCH]}}, {"$set": {"status": status}})
        for status, keys in wrong.items()
        for first in range(0, len(keys), BATCH)
    ]
    if changes:
        store.database[PUBLICATIONS].bulk_write(changes)
    return {kind: count for kind, count in sorted(counts.items()) if count}


def _ids(store: DocumentStore, world_id: str) -> Iterator[str]:
    """The platform's ids that the world's documents have: characters, posts, pictures."""
    try:
        for character in store.stream(ASSETS["characters"], world_id, Character):
            yield character.character_id
        for portrait in store.stream(ASSETS["character_avatars"], world_id, CharacterAvatar):
            yield portrait.avatar.media_id
        for post in store.stream(ASSETS["post_images"], world_id, PostImage):
            yield from (post.post_id, post.image.media_id)
        for pictures in store.stream(ASSETS["world_images"], world_id, WorldImages):
            yield from (pictures.header.media_id, pictures.icon.media_id)
    except NotMaterializedError:
        return
