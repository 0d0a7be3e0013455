"""The io manager: stores an asset's output in MongoDB (document_store.py), and loads it by the input's annotation."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, get_args, get_origin

import dagster as dg
from pydantic import BaseModel

from resources.mongodb.connection import MongoResource, check_mongo, connect
from resources.mongodb.document_store import DocumentStore, DocumentStream
from resources.mongodb.stored import CollectionSpec


class MongoIOManager(dg.IOManager):
    """Stores an asset's output (a document, a list, or a ``DocumentStream``) and loads it by the input's annotation.

    The collection is named like the asset, or by its metadata ``collection``; ``one_per_world: true`` keeps the world's single
    document under the world's id.
    """

    def __init__(self, store: DocumentStore) -> None:
        self.store = store

    def handle_output(self, context: dg.OutputContext, obj: BaseModel | list[BaseModel] | DocumentStream[BaseModel]) -> None:
        """Replace the partition's documents and add their number to the materialization's metadata."""
        stream = obj if isinstance(obj, DocumentStream) else DocumentStream(obj if isinstance(obj, list) else [obj])
        spec = spec_of(context.asset_key, context.definition_metadata)
        count = self.store.replace(spec, _world(context), context.run_id, stream)
        context.add_output_metadata({"documents": count, "collection": spec.collection})

    def load_input(self, context: dg.InputContext) -> object:
        """``Model`` loads the world's one document, ``list[Model]`` all of them."""
        annotation = context.dagster_type.typing_type
        upstream = context.upstream_output
        spec = spec_of(context.asset_key, None if upstream is None else upstream.definition_metadata)
        many = get_origin(annotation) is list
        model: Any = get_args(annotation)[0] if many else annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(
                f"input {context.name} of {context.asset_key.to_user_string()}: annotate it with a document class or a list "
                f"of one, not {annotation!r}"
            )
        found = self.store.read(spec, _world(context), model, staged=True)  # a run that continues reads its staged documents
        if not many and len(found) != 1:
            raise TypeError(
                f"input {context.name}: {spec.collection} of world {_world(context)} has {len(found)} documents, not one; "
                f"annotate the input with list[{model.__name__}]"
            )
        return found if many else found[0]


def mongo_io_manager(mongo: MongoResource, *, patience_seconds: float = 0.0) -> dg.IOManagerDefinition:
    """The io manager as a resource: it connects once for each run, never at import, since a client does not survive a fork.

    ``patience_seconds``: how long an operation is retried through an outage of MongoDB.
    """

    @contextmanager
    def connected(_context: dg.InitResourceContext) -> Iterator[MongoIOManager]:
        with connect(mongo.uri) as client:
            check_mongo(client, mongo.uri)
            yield MongoIOManager(DocumentStore(client[mongo.database], patience_seconds=patience_seconds))

    return dg.IOManagerDefinition(resource_fn=connected)  # type: ignore[arg-type]  # a context manager is taken, too


def spec_of(asset_key: dg.AssetKey, metadata: Mapping[str, Any] | None) -> CollectionSpec:
    metadata = metadata or {}
    return CollectionSpec(str(metadata.get("collection", asset_key.path[-1])), bool(metadata.get("one_per_world", False)))


def _world(context: dg.OutputContext | dg.InputContext) -> str:
    if not context.has_asset_partitions:
        raise ValueError(f"{context.asset_key.to_user_string()}: this io manager stores one world for each partition")
    return context.asset_partition_key
