"""The document store: an asset's documents in MongoDB, one collection an asset, the world's id as the partition.

It knows no Dagster, so that the command line and the pages start at once; the io manager over it is in io_manager.py.

Readers never see half of an old and half of a new materialization: new documents are written beside the old ones, one pointer
(collection ``materializations``) is switched, then the old ones are deleted. A reader follows the pointer and checks the count, so
that it notices a switch in the middle of reading and starts again. Memory does not grow with the number of documents. Staged
documents stay invisible until ``publish`` makes all staged documents of a world visible in one transaction.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Generic, TypeVar

from pydantic import BaseModel
from pymongo import ASCENDING, IndexModel, ReplaceOne
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from resources.mongodb.connection import MongoDatabase, MongoDocument, ResultT, missing_indexes, retried_on_outage
from resources.mongodb.stored import POINTERS as POINTERS
from resources.mongodb.stored import CollectionSpec, UnreadableRecord, readable, refuse, required

DocumentT = TypeVar("DocumentT", bound=BaseModel)

BATCH = 500
"""Documents written at once."""
TRIES = 5
"""Times a list is read again when its materialization is replaced meanwhile."""


class MaterializationReplacedError(RuntimeError):
    """The documents were replaced while they were being streamed; begin again."""


class NotMaterializedError(LookupError):
    """The world has no materialization of this asset. The message names the one to make first."""


@dataclass(frozen=True)
class DocumentStream(Generic[DocumentT]):
    """An asset's value as a stream. ``fence``: the fencing token, which grows with every owner; a lower one writes nothing.

    ``staged``: the present documents stay visible until ``DocumentStore.publish``; a first materialization is visible at once.
    """

    documents: Iterable[DocumentT]
    fence: int = 0
    staged: bool = False


class FencedOffError(RuntimeError):
    """A later owner of the world has already materialized this asset; this run's documents are discarded."""


class DocumentStore:
    """Documents of worlds, by asset."""

    def __init__(self, database: MongoDatabase, *, patience_seconds: float = 0.0) -> None:
        """``patience_seconds``: how long an operation is retried through an outage of MongoDB."""
        self.database = database
        self._patience = patience_seconds

    def ensure_indexes(self, specs: Iterable[CollectionSpec]) -> None:
        """The index that every reading uses: a world's documents of one materialization in order of their keys."""
        index = IndexModel([("world_id", ASCENDING), ("materialization", ASCENDING), ("key", ASCENDING)])
        for collection in (self.database[spec.collection] for spec in specs if not spec.one_per_world):
            if missing := missing_indexes(collection.index_information(), [index]):
                collection.create_indexes(missing)

    def replace(self, spec: CollectionSpec, world_id: str, materialization: str, stream: DocumentStream[DocumentT]) -> int:
        """Replace the world's documents by these, visible all at once, or later if they are ``staged``.

        ``materialization`` names this set of documents: the run's id. Returns their number. Raises ``FencedOffError`` when a later
        owner was faster; then nothing visible has changed.
        """
        collection = self.database[spec.collection]
        pointer = self._pointer(spec, world_id)
        staged = stream.staged and pointer is not None
        if spec.one_per_world:
            return self._replace_one(spec, world_id, materialization, stream, staged=staged)
        if pointer is not None and pointer["materialization"] == materialization:
            materialization += "+"  # the same run again: the visible documents stay until the new ones are complete
        mine = _documents(world_id, materialization)
        common = {**mine, "fence": stream.fence, "created_at": datetime.now(UTC)}
        self.retry_on_outage(lambda: collection.delete_many(mine))  # left over by a crash of an earlier try

        def write(document: MongoDocument) -> ReplaceOne[MongoDocument]:  # repeatable: an outage may hide that a batch was written
            return ReplaceOne({"_id": f"{world_id}:{materialization}:{document['key']}"}, {**common, **document}, upsert=True)

        count, models = 0, iter(stream.documents)
        while writes := [write(model.model_dump()) for model in islice(models, BATCH)]:
            self.retry_on_outage(partial(collection.bulk_write, writes, ordered=False))
            count += len(writes)
        shown = {"materialization": materialization, "count": count}
        if not self._switch(spec, world_id, stream.fence, shown, staged=staged):
            self.retry_on_outage(lambda: collection.delete_many(mine))
            raise FencedOffError(f"{spec.collection} of world {world_id}: a later owner has materialized it")
        if not staged:
            self._delete_former(spec.collection, world_id, materialization, stream.fence)
        return count

    def publish(self, world_id: str, fence: int) -> None:
        """Make all staged documents of the world visible, in one transaction; the replaced ones are deleted.

        Raises ``FencedOffError`` when a later owner was faster; then nothing visible has changed.
        """
        staged = self._staged(world_id)
        if not staged:
            return
        try:
            with self.database.client.start_session() as session:
                self.retry_on_outage(lambda: session.with_transaction(partial(self._show, staged, fence)))
        except DuplicateKeyError:
            raise FencedOffError(f"world {world_id}: a later owner has materialized what was staged here") from None
        for pointer in staged:
            if "document" not in pointer:
                self._delete_former(pointer["collection"], world_id, pointer["materialization"], fence)

    def _show(self, staged: list[MongoDocument], fence: int, session: ClientSession) -> None:
        for pointer in staged:
            world_id, collection = pointer["world_id"], pointer["collection"]
            shown = {name: pointer[name] for name in ("world_id", "materialization", "count", "at")} | {"fence": fence}
            mine = {"_id": f"{world_id}:{collection}", "fence": {"$lte": fence}}
            self.database[POINTERS].update_one(mine, {"$set": shown}, upsert=True, session=session)
            if "document" in pointer:
                document = {"$set": pointer["document"] | {"fence": fence}, "$setOnInsert": {"created_at": pointer["at"]}}
                self.database[collection].update_one({"_id": world_id}, document, upsert=True, session=session)
            self.database[POINTERS].delete_one({"_id": pointer["_id"]}, session=session)

    def forget_staged(self, world_id: str, session: ClientSession | None = None) -> None:
        """Delete the staged documents of the world, which were never visible."""
        for pointer in self._staged(world_id, session):
            if "document" not in pointer:
                self.database[pointer["collection"]].delete_many(_documents(world_id, pointer["materialization"]), session=session)
            self.database[POINTERS].delete_one({"_id": pointer["_id"]}, session=session)

    def _delete_former(self, collection: str, world_id: str, materialization: str, fence: int) -> None:
        """Delete the documents of earlier materializations, except those that a later owner is writing at this moment."""
        former = {"world_id": world_id, "materialization": {"$ne": materialization}, "fence": {"$lte": fence}}
        self.retry_on_outage(lambda: self.database[collection].delete_many(former))

    def read(self, spec: CollectionSpec, world_id: str, model: type[DocumentT], *, staged: bool = False) -> list[DocumentT]:
        """All documents of the world, in order of their keys; ``staged``: those that are staged, where there are any.

        Raises ``NotMaterializedError``.
        """
        for _ in range(TRIES):
            with suppress(MaterializationReplacedError):
                return self.retry_on_outage(lambda: list(self.stream(spec, world_id, model, staged=staged)))
        return self.retry_on_outage(lambda: list(self.stream(spec, world_id, model, staged=staged)))

    def stream(
        self,
        spec: CollectionSpec,
        world_id: str,
        model: type[DocumentT],
        *,
        prefix: str = "",
        staged: bool = False,
        order: Sequence[str] = ("key",),
        unreadable: Callable[[UnreadableRecord], object] = refuse,
    ) -> Iterator[DocumentT]:
        """The documents of the world, one at a time.

        Args:
            prefix: Only those whose keys begin with it.
            staged: Those that are staged, where there are any.
            order: The fields to sort by.
            unreadable: Gets each record that cannot be read; without it the first one is an error.

        Raises:
            NotMaterializedError: At the first document: there are none.
            MaterializationReplacedError: They were replaced meanwhile; begin again.
            UnreadableRecordError: See ``unreadable``.
        """
        pointer = self._pointer(spec, world_id, staged=staged)
        if pointer is None:
            raise NotMaterializedError(f"world {world_id} has no {spec.collection} yet: materialize that asset first")
        if spec.one_per_world:
            document = pointer.get("document") or self.database[spec.collection].find_one({"_id": world_id})
            if document is None:
                raise NotMaterializedError(f"world {world_id} has no {spec.collection}: materialize that asset again")
            yield from readable(model, [document], spec.collection, unreadable, at=lambda stored: {"key": "world", **stored})
            return
        wanted = _documents(world_id, pointer["materialization"])
        if prefix:
            wanted["key"] = {"$gte": prefix, "$lt": prefix + "\uffff"}
        seen = 0
        for document in self.database[spec.collection].find(wanted, batch_size=BATCH).sort([(name, ASCENDING) for name in order]):
            seen += 1
            yield from readable(model, [document], spec.collection, unreadable)
        now = self._pointer(spec, world_id, staged=staged)
        replaced = now is None or now["materialization"] != pointer["materialization"]
        if replaced or (not prefix and seen != pointer["count"]):
            raise MaterializationReplacedError(f"{spec.collection} of world {world_id} was replaced while it was read")

    def one(self, spec: CollectionSpec, world_id: str, model: type[DocumentT], key: str) -> DocumentT | None:
        """The document with this key, or None."""
        for _ in range(TRIES):
            pointer = self._pointer(spec, world_id)
            if pointer is None:
                return None
            wanted = {"_id": f"{world_id}:{pointer['materialization']}:{key}"}
            found = self.retry_on_outage(partial(self.database[spec.collection].find_one, wanted))
            if found is not None:
                return required(model, found, spec.collection)
            if self._pointer(spec, world_id) == pointer:
                return None
        return None

    def count(self, spec: CollectionSpec, world_id: str, *, staged: bool = False) -> int | None:
        """How many documents the present materialization has, or the staged one where there is any; None without one."""
        pointer = self._pointer(spec, world_id, staged=staged)
        return None if pointer is None else int(pointer["count"])

    def found(self, specs: Iterable[CollectionSpec], world_id: str, *, staged: bool = False) -> dict[str, int]:
        """How many documents those materializations have in their collections, by collection, whatever their pointers say."""
        specs = list(specs)
        pointers = self._pointers(specs, world_id, staged=staged)
        return {spec.collection: self._number(spec, world_id, pointers.get(spec.collection)) for spec in specs}

    def _number(self, spec: CollectionSpec, world_id: str, pointer: MongoDocument | None) -> int:
        if pointer is None or "document" in pointer:
            return 0 if pointer is None else 1
        wanted = {"_id": world_id} if spec.one_per_world else _documents(world_id, pointer["materialization"])
        return self.retry_on_outage(lambda: self.database[spec.collection].count_documents(wanted))

    def _pointer(self, spec: CollectionSpec, world_id: str, *, staged: bool = False) -> MongoDocument | None:
        return self._pointers([spec], world_id, staged=staged).get(spec.collection)

    def _pointers(self, specs: Sequence[CollectionSpec], world_id: str, *, staged: bool) -> dict[str, MongoDocument]:
        """By collection; those of ``staged`` documents instead of the others, where there are any."""
        of = {f"{world_id}:{spec.collection}": spec.collection for spec in specs}
        ids = {**of, **({f"{pointer}:staged": collection for pointer, collection in of.items()} if staged else {})}
        found = self.retry_on_outage(lambda: list(self.database[POINTERS].find({"_id": {"$in": list(ids)}})))
        return {ids[one["_id"]]: one for one in sorted(found, key=lambda one: "staged" in one)}

    def _staged(self, world_id: str, session: ClientSession | None = None) -> list[MongoDocument]:
        wanted = {"world_id": world_id, "staged": True}
        return self.retry_on_outage(lambda: list(self.database[POINTERS].find(wanted, session=session)))

    def retry_on_outage(self, operation: Callable[[], ResultT]) -> ResultT:
        """The result of a repeatable operation, which is retried through an outage."""
        return retried_on_outage(self._patience)(operation)

    def _switch(self, spec: CollectionSpec, world_id: str, fence: int, shown: MongoDocument, *, staged: bool) -> bool:
        """Point to what is shown from now on, or is staged. False if a later owner has done so."""
        pointer_id = f"{world_id}:{spec.collection}"
        values = {"world_id": world_id, **shown, "fence": fence, "at": datetime.now(UTC)}
        if staged:
            pointer_id, values = f"{pointer_id}:staged", values | {"collection": spec.collection, "staged": True}
        return self._write(POINTERS, pointer_id, fence, {"$set": values})

    def _write(self, collection: str, document_id: str, fence: int, update: MongoDocument) -> bool:
        """Update this document, or make it. False if a later owner has written it."""
        try:
            mine = {"_id": document_id, "fence": {"$lte": fence}}
            self.retry_on_outage(lambda: self.database[collection].update_one(mine, update, upsert=True))
        except DuplicateKeyError:  # it exists with a higher fence
            return False
        return True

    def _replace_one(
        self, spec: CollectionSpec, world_id: str, materialization: str, stream: DocumentStream[DocumentT], *, staged: bool
    ) -> int:
        documents = list(stream.documents)
        if len(documents) != 1:
            raise ValueError(f"{spec.collection}: a world has exactly one document here, not {len(documents)}")
        now = datetime.now(UTC)
        values = {**documents[0].model_dump(), "fence": stream.fence, "updated_at": now}
        shown: MongoDocument = {"materialization": materialization, "count": 1}
        if staged:
            shown["document"] = values
        elif not self._write(spec.collection, world_id, stream.fence, {"$set": values, "$setOnInsert": {"created_at": now}}):
            raise FencedOffError(f"{spec.collection} of world {world_id}: a later owner has materialized it")
        self._switch(spec, world_id, stream.fence, shown, staged=staged)
        return 1


def _documents(world_id: str, materialization: str) -> MongoDocument:
    return {"world_id": world_id, "materialization": materialization}
