"""The next offset of the sensor, computed by pure functions: never after a message that is not done, never outside the log."""

from __future__ import annotations

from datetime import datetime

from resources.kafka.reader import Bounds, KafkaRecord, TopicLog
from sensors.offsets import Cursor, first_offsets, for_this_log, next_offsets, parse_cursor, starting_offsets


def log(cluster_id: str = "", topic_id: str = "", **bounds: tuple[int, int]) -> TopicLog:
    return TopicLog("orders", cluster_id, topic_id, {int(name[1:]): Bounds(*pair) for name, pair in bounds.items()})


def cursor(**offsets: int) -> Cursor:
    return Cursor(topic="orders", offsets={int(name[1:]): offset for name, offset in offsets.items()})


def never() -> datetime:
    raise AssertionError("nobody needs to know")


def nothing(moment: datetime) -> dict[int, int]:
    raise AssertionError(f"nobody asks for {moment}")


def message(partition: int, offset: int) -> KafkaRecord:
    return KafkaRecord("orders", partition, offset, None, None)


def test_a_cursor_survives_being_stored() -> None:
    """A stored cursor is read as the same cursor."""
    stored = Cursor(topic="orders", cluster_id="c", topic_id="t", offsets={0: 5, 11: 7})
    assert parse_cursor(stored.model_dump_json(), "orders") == (stored, [])


def test_an_unusable_cursor_starts_over_with_a_note() -> None:
    """A missing cursor, a damaged one, one of another version or of another topic is a first start; a damaged one has a note."""
    for text in (
        None,
        "",
        "5",
        "{",
        '{"topic": "orders", "version": 2}',
        '{"topic": "orders", "offsets": {"0": -1}}',
        '{"topic": "x"}',
    ):
        found, notes = parse_cursor(text, "orders")
        assert found == Cursor(topic="orders")
        assert len(notes) == (1 if text else 0)


def test_reading_continues_at_the_cursor() -> None:
    """An offset inside the log, including its end, is used unchanged, without a note."""
    assert starting_offsets(cursor(p0=5, p1=9), log(p0=(0, 7), p1=(3, 9)), {}) == ({0: 5, 1: 9}, [])


def test_a_new_partition_is_read_from_its_start() -> None:
    """A partition that the cursor does not know begins at its earliest message, not at its end."""
    for start in ("latest", "earliest"):
        first, notes = first_offsets(cursor(p0=5), log(p0=(0, 7), p1=(2, 9)), start, installed_at=never, since=nothing)
        assert first == {1: 2}
        assert "partition 1 at 2" in notes[0]
        assert starting_offsets(cursor(p0=5), log(p0=(0, 7), p1=(2, 9)), first)[0] == {0: 5, 1: 2}


def test_a_deleted_offset_continues_at_the_earliest() -> None:
    """A cursor before the log's start moves to the start, with a note of the number of messages lost to retention."""
    starts, (note,) = starting_offsets(cursor(p0=5), log(p0=(8, 9)), {})
    assert starts == {0: 8}
    assert "3 messages were deleted unread" in note


def test_an_offset_beyond_the_end_starts_over() -> None:
    """A cursor beyond the log's end moves to the earliest message, with a note."""
    starts, (note,) = starting_offsets(cursor(p0=10), log(p0=(2, 9)), {})
    assert starts == {0: 2}
    assert "beyond the end 9" in note


def test_a_topic_created_again_is_recognized_by_its_id() -> None:
    """If the id of the cluster or the topic has changed it is read from its beginning; unknown ids change nothing."""
    old = Cursor(topic="orders", cluster_id="c1", topic_id="t1", offsets={0: 5})
    for now in (log("c2", "t1", p0=(0, 9)), log("c1", "t2", p0=(0, 9))):
        found, (note,) = for_this_log(old, now)
        assert (found.offsets, found.cluster_id, found.topic_id) == ({0: 0}, now.cluster_id, now.topic_id)
        assert "made anew" in note
    assert for_this_log(old, log("c1", "", p0=(0, 9))) == (old, [])
    assert for_this_log(cursor(p0=5), log("c1", "t1", p0=(0, 9)))[0].offsets == {0: 5}


def test_a_partition_without_leader_keeps_its_place() -> None:
    """A partition that cannot be read now keeps its offset, or stays unknown."""
    unled = TopicLog("orders", bounds={0: Bounds(0, 9)}, leaderless=(1,))
    starts, (note,) = starting_offsets(cursor(p0=5, p1=6), unled, {})
    assert starts == {0: 5}
    assert "no leader" in note
    assert cursor(p0=5, p1=6).moved({0: 7}).offsets == {0: 7, 1: 6}


def test_the_cursor_never_passes_a_message_that_is_not_done() -> None:
    """It stays before the first message that is not done; a later finished one is read again, and other partitions continue."""
    read = [message(0, 5), message(1, 0), message(0, 6), message(0, 9), message(1, 1)]
    done = [read[0], read[1], read[3], read[4]]
    assert next_offsets({0: 10, 1: 2, 2: 4}, read, done) == {0: 6, 1: 2, 2: 4}


def test_gaps_in_a_log_are_passed() -> None:
    """Missing offsets (compacted, aborted, markers) are passed, also at the end."""
    read = [message(0, 5), message(0, 9)]
    assert next_offsets({0: 14}, read, read) == {0: 14}
    assert next_offsets({0: 14}, [], []) == {0: 14}
