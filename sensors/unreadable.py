"""Record batches that cannot be read: their partition waits in front of them until the operator lets the sensor leave one out.

Here: that waiting and passing. It is not done by itself: a batch may hold good orders, and may become readable (another codec, a
replica with the right bytes). Not here: how such a batch is noticed (resources/kafka/batches.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from pymongo.errors import PyMongoError

from generia_assets.durable.orders.intake import HeldPartition, hold, release
from resources.kafka.batches import UnreadableBatch
from resources.kafka.reader import KafkaRecord
from resources.kafka.resource import KafkaResource
from resources.mongodb.connection import MongoDatabase, MongoUnavailableError
from sensors.dead_letters import InvalidMessage, send_to_dlq


def pass_skipped(
    kafka: KafkaResource, database: Callable[[], MongoDatabase], batches: Sequence[UnreadableBatch], offsets: dict[int, int]
) -> list[str]:
    """Move ``offsets`` past each batch that is to be left out; its bytes go to the dead letters. Gives what is to be said."""
    return [_pass(kafka, database, batch, offsets) for batch in batches if offsets[batch.partition] == batch.offset]


def _pass(kafka: KafkaResource, database: Callable[[], MongoDatabase], batch: UnreadableBatch, offsets: dict[int, int]) -> str:
    topic = kafka.tasks_topic
    held = HeldPartition(topic, batch.partition, batch.offset, batch.next_offset, batch.reason[:500], datetime.now(UTC))
    try:
        skipped = hold(database(), held)
        if skipped:
            letter = InvalidMessage(
                KafkaRecord(topic, batch.partition, batch.offset, None, batch.data),
                f"value: {held.batch}, which could not be read and was left out ({held.reason})",
            )
            skipped = bool(send_to_dlq(kafka, [letter], database).done)
        if skipped:
            offsets[batch.partition] = batch.next_offset
            release(database(), held)
            return f"{held.batch} is left out; its bytes are a dead letter"
    except (MongoUnavailableError, PyMongoError) as error:
        return f"{held.batch} cannot be read ({held.reason}); whether it is to be left out is in MongoDB: {error}"
    return (
        f"{held.batch} cannot be read ({held.reason}): this partition waits, the others go on. To leave it out: "
        f"generia dead-letters skip {batch.partition}:{batch.offset}"
    )
