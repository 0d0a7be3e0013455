"""``DocumentStore`` on a real MongoDB: one pointer, fencing tokens, leftovers of dead runs, and bounded memory."""

import tracemalloc

import pytest
from pydantic import BaseModel

from resources.mongodb.document_store import (
    BATCH,
    DocumentStore,
    DocumentStream,
    FencedOffError,
    MaterializationReplacedError,
    NotMaterializedError,
)
from resources.mongodb.stored import CollectionSpec

PEOPLE = CollectionSpec("characters")
WORLD = CollectionSpec("world_parameters", one_per_world=True)


class Person(BaseModel):
    """One of many."""

    key: str
    name: str


def people(number, name="Ada"):
    return (Person(key=f"c{index:06}", name=name) for index in range(number))


@pytest.fixture
def store(mongo_client, mongo_database_name):
    made = DocumentStore(mongo_client[mongo_database_name])
    made.ensure_indexes([PEOPLE, WORLD])
    return made


def names(store, world="w"):
    return [person.name for person in store.read(PEOPLE, world, Person)]


def dies_after(number, name="Dead"):
    yield from people(number, name)
    raise KeyboardInterrupt


def test_a_read_during_a_switch_ends_with_an_error(store):
    """A stream that began with the old documents does not continue with the new ones but ends with an error; reading again
    works."""
    store.replace(PEOPLE, "w", "old", DocumentStream(people(BATCH * 2, "Old")))
    stream = store.stream(PEOPLE, "w", Person)
    seen = [next(stream).name for _ in range(BATCH // 2)]
    store.replace(PEOPLE, "w", "new", DocumentStream(people(BATCH * 2, "New")))
    with pytest.raises(MaterializationReplacedError):
        seen.extend(person.name for person in stream)
    assert set(seen) == {"Old"}
    assert names(store) == ["New"] * (BATCH * 2)


def test_new_documents_are_visible_only_after_all_are_written(store):
    """While new documents are being written, readers get all the old ones."""
    store.replace(PEOPLE, "w", "old", DocumentStream(people(3, "Old")))
    seen = []

    def watched():
        for person in people(BATCH + 1, "New"):
            seen.append(len(names(store)) if person.key.endswith("0") else 3)
            yield person

    store.replace(PEOPLE, "w", "new", DocumentStream(watched()))
    assert set(seen) == {3}
    assert len(names(store)) == BATCH + 1


@pytest.mark.parametrize("run", ["old", "other"])
def test_a_crash_during_a_write_changes_nothing_and_leaves_nothing(store, run):
    """The documents of an interrupted write, of this run or another, are invisible, and the next complete write removes them."""
    store.replace(PEOPLE, "w", "old", DocumentStream(people(3, "Old")))
    with pytest.raises(KeyboardInterrupt):
        store.replace(PEOPLE, "w", run, DocumentStream(dies_after(BATCH + 1)))
    assert names(store) == ["Old"] * 3
    store.replace(PEOPLE, "w", run, DocumentStream(people(2, "New")))
    assert names(store) == ["New"] * 2
    assert store.database.characters.count_documents({}) == 2


def test_an_earlier_owner_writes_nothing_visible(store):
    """After a later owner's documents, those of an earlier one are refused and removed; the same holds for a world's single
    document."""
    for place, number in ((PEOPLE, 2), (WORLD, 1)):
        store.replace(place, "w", "second", DocumentStream(people(number, "Second"), fence=2))
        with pytest.raises(FencedOffError, match=place.collection):
            store.replace(place, "w", "first", DocumentStream(people(number, "First"), fence=1))
        assert [person.name for person in store.read(place, "w", Person)] == ["Second"] * number
        assert store.database[place.collection].count_documents({}) == number


def test_an_earlier_owner_that_ends_first_does_not_affect_the_later_one(store):
    """An earlier owner that finishes does not remove the half-written documents of a later owner."""

    def overtaken():
        yield from people(BATCH, "Second")
        store.replace(PEOPLE, "w", "first", DocumentStream(people(3, "First"), fence=1))
        yield Person(key="last", name="Second")

    store.replace(PEOPLE, "w", "second", DocumentStream(overtaken(), fence=2))
    assert names(store) == ["Second"] * (BATCH + 1)


def test_part_of_a_world_is_found_by_its_key(store):
    """A prefix streams only those documents, in order of their keys; one key gives one document or None."""
    store.replace(PEOPLE, "w", "run", DocumentStream(people(1200)))
    assert [person.key for person in store.stream(PEOPLE, "w", Person, prefix="c0011")] == [f"c{n:06}" for n in range(1100, 1200)]
    found = store.one(PEOPLE, "w", Person, "c000007")
    assert found is not None
    assert found.key == "c000007"
    assert store.one(PEOPLE, "w", Person, "nobody") is None
    assert (store.count(PEOPLE, "w"), store.count(PEOPLE, "elsewhere")) == (1200, None)


def test_a_missing_asset_is_named(store):
    """The error names the world and the asset."""
    with pytest.raises(NotMaterializedError, match="world w has no characters yet"):
        store.read(PEOPLE, "w", Person)


def test_memory_does_not_grow_with_the_world(store):
    """Four times as many documents need at most half as much memory again, writing and reading."""

    def peak(number):
        tracemalloc.start()
        store.replace(PEOPLE, "w", f"run {number}", DocumentStream(people(number)))
        assert sum(1 for _ in store.stream(PEOPLE, "w", Person)) == number
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(1000)  # everything that is created once
    assert peak(8_000) < peak(2_000) * 1.5
