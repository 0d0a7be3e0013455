"""Order a world with confluent-kafka, then read its events until it is over."""

import json
import os
import uuid

from confluent_kafka import Consumer, Producer

servers = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}
world_id = str(uuid.uuid4())
order = {
    "event_type": "task_created",
    "task_id": str(uuid.uuid4()),
    "task_type": "init_world_creation",
    "world_id": world_id,
    "parameters": {"user_prompt": "a harbour on the back of a whale", "users_count": 2, "posts_count": 3},
}
producer = Producer(servers)
producer.produce("generia-tasks", json.dumps(order), key=world_id)
assert producer.flush(10) == 0
consumer = Consumer(servers | {"group.id": f"reader-{world_id}", "auto.offset.reset": "earliest"})
consumer.subscribe(["generia-progress"])
while (record := consumer.poll(60)) is not None:
    event = {} if record.error() else json.loads(record.value())
    if event.get("world_id") == world_id:
        print(event["event_type"])
        if event["event_type"] in ("completed", "failed", "cancelled"):
            break
consumer.close()
