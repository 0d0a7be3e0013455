"""The IO manager on a real MongoDB, through Dagster: the next asset gets the value that an asset returned, world by world."""

from copy import copy

import dagster as dg
import pytest
from pydantic import BaseModel

from generia_assets.assets.materialized import task_results
from generia_assets.catalog import ASSETS
from generia_assets.content.documents import Document
from generia_assets.content.keys import character_key
from resources.mongodb.connection import MongoResource
from resources.mongodb.document_store import DocumentStream
from resources.mongodb.io_manager import mongo_io_manager

WORLDS = dg.DynamicPartitionsDefinition(name="worlds")


class World(BaseModel):
    """A world's one document."""

    key: str = "world"
    name: str


class Person(Document):
    """One of many."""

    key: str
    name: str


def people(*names):
    return [Person(key=f"c{number:04}", name=name) for number, name in enumerate(names)]


@pytest.fixture
def database(mongo_client, mongo_database_name):
    return mongo_client[mongo_database_name]


@pytest.fixture
def run(mongodb_uri, mongo_database_name):
    """Materializes assets for a world, like a run; returns the result."""
    resource = MongoResource(uri=mongodb_uri, database=mongo_database_name)
    with dg.DagsterInstance.ephemeral() as instance:

        def materialize(*assets, world="w1", **options):
            instance.add_dynamic_partitions("worlds", [world])
            resources = {"io_manager": mongo_io_manager(resource)}
            return dg.materialize([*assets], partition_key=world, instance=instance, resources=resources, **options)

        yield materialize


def asset_of(name, value, **metadata):
    """An asset that returns this value, or the result of this function."""

    def make():
        return value() if callable(value) else value

    return dg.asset(make, name=name, partitions_def=WORLDS, metadata=metadata)


def reader_of(upstream, annotation):
    """An asset whose input has this annotation, and the list in which it records its inputs."""
    seen = []

    def read(given):
        seen.append(given)

    read.__annotations__ = {"given": annotation, "return": None}
    return dg.asset(read, name="reader", partitions_def=WORLDS, ins={"given": dg.AssetIn(upstream)}), seen


@pytest.mark.parametrize(
    ("made", "annotation", "got"),
    [
        (lambda: World(name="Reef"), World, World(name="Reef")),
        (lambda: people("Ada", "Bo"), list[Person], people("Ada", "Bo")),
        (lambda: DocumentStream(iter(people("Ada", "Bo"))), list[Person], people("Ada", "Bo")),
        (list, list[Person], []),
    ],
    ids=["one", "list", "stream", "none"],
)
def test_the_next_asset_gets_the_returned_value(run, made, annotation, got):
    """A document, a list and a stream are loaded as the input's annotation says, and the materialization has their number."""
    reader, seen = reader_of("things", annotation)
    result = run(asset_of("things", made), reader)
    assert seen == [got]
    (event,) = result.asset_materializations_for_node("things")
    assert event.metadata["documents"].value == (len(got) if isinstance(got, list) else 1)


def test_a_run_over_some_assets_reads_the_others_from_mongodb(run):
    """A run loads assets that it does not make from an earlier run's materialization."""
    characters = asset_of("characters", people("Ada"))
    run(characters)
    reader, seen = reader_of("characters", list[Person])
    run(characters, reader, selection=[reader])
    assert seen == [people("Ada")]


def test_worlds_are_independent(run):
    """Each world has its own documents; materializing one does not change another."""
    run(asset_of("characters", people("Ada")), world="w1")
    run(asset_of("characters", people("Bo", "Cy")), world="w2")
    for world, got in (("w1", people("Ada")), ("w2", people("Bo", "Cy"))):
        reader, seen = reader_of("characters", list[Person])
        run(asset_of("characters", []), reader, selection=[reader], world=world)
        assert seen == [got]


def test_a_new_materialization_replaces_the_former_one(run, database):
    """Afterwards only the new documents exist, with their world and run."""
    run(asset_of("characters", people("Ada", "Bo", "Cy")))
    result = run(asset_of("characters", people("Dee")))
    (document,) = database.characters.find()
    assert (document["name"], document["world_id"], document["materialization"]) == ("Dee", "w1", result.run_id)


def test_a_single_document_of_a_world_has_the_worlds_id(run, database):
    """``one_per_world``: ``_id`` is the world's id, ``created_at`` stays, ``updated_at`` changes, and the metadata has the
    collection."""
    names = iter(["Reef", "Atoll"])
    world = asset_of("world", lambda: World(name=next(names)), collection="world_parameters", one_per_world=True)
    run(world)
    first = database.world_parameters.find_one({"_id": "w1"})
    run(world)
    (second,) = database.world_parameters.find()
    assert (first["name"], second["name"], second["_id"]) == ("Reef", "Atoll", "w1")
    assert second["created_at"] == first["created_at"] == first["updated_at"] < second["updated_at"]
    reader, seen = reader_of("world", World)
    run(world, reader, selection=[reader])
    assert seen == [World(name="Atoll")]


def test_a_missing_materialization_is_named(run):
    """If an input was never materialized for this world, the error says which asset to materialize."""
    run(asset_of("characters", people("Ada")), world="other")
    reader, _ = reader_of("characters", list[Person])
    with pytest.raises(Exception, match="world w1 has no characters yet: materialize that asset first"):
        run(asset_of("characters", []), reader, selection=[reader])


@pytest.mark.parametrize(
    ("annotation", "said"), [(Person, r"has 2 documents, not one.*list\[Person\]"), (dict, "annotate it with a document class")]
)
def test_an_impossible_input_annotation_is_refused(run, annotation, said):
    """One document for an asset of many, or an annotation that is not a document class, is an error that says what to write."""
    reader, _ = reader_of("characters", annotation)
    with pytest.raises(TypeError, match=said):
        run(asset_of("characters", people("Ada", "Bo")), reader)


def test_without_a_world_nothing_is_stored(run, mongodb_uri, mongo_database_name):
    """An asset without partitions has no world."""
    asset = dg.asset(lambda: people("Ada"), name="characters")
    resources = {"io_manager": mongo_io_manager(MongoResource(uri=mongodb_uri, database=mongo_database_name))}
    with pytest.raises(ValueError, match="one world for each partition"):
        dg.materialize([asset], resources=resources)


def test_results_beyond_ten_thousand_people_are_all_read_once(database, monkeypatch):
    """Keys with five digits sort between those with four, and reading page by page leaves nobody out."""
    monkeypatch.setattr("generia_assets.assets.materialized.PAGE", 2)
    kind = copy(ASSETS["characters"])
    object.__setattr__(kind, "holds", Person)
    keys = [character_key(index) for index in (0, 999, 1_000, 1_001, 9_999, 10_000, 10_001, 99_999)]
    made = {"world_id": "w1", "generation": "g1", "type": kind.task_type.value, "status": "completed"}
    database["tasks"].insert_many([{**made, "key": key, "result": {"key": key, "name": "Ada"}} for key in keys])
    found = [person.key for person in task_results(database, "w1", "g1", kind, patience_seconds=1)]
    assert sorted(found) == sorted(keys)
