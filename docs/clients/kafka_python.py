"""Order a world with kafka-python, then read its events until it is over."""

import json
import os
import uuid

from kafka import KafkaConsumer, KafkaProducer

options = {"bootstrap_servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"], "api_version": (2, 3)}
world_id = str(uuid.uuid4())
order = {
    "event_type": "task_created",
    "task_id": str(uuid.uuid4()),
    "task_type": "init_world_creation",
    "world_id": world_id,
    "parameters": {"user_prompt": "a harbour on the back of a whale", "users_count": 2, "posts_count": 3},
}
with KafkaProducer(**options) as producer:
    producer.send("generia-tasks", json.dumps(order).encode(), key=world_id.encode()).get(timeout=10)
consumer = KafkaConsumer("generia-progress", **options, auto_offset_reset="earliest", consumer_timeout_ms=60_000)
for record in consumer:
    event = json.loads(record.value)
    if event["world_id"] == world_id:
        print(event["event_type"])
        if event["event_type"] in ("completed", "failed", "cancelled"):
            break
consumer.close()
