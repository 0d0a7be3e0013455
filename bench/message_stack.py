"""A stack for messages: MongoDB, a broker that can be restarted with its data, and Dagster with a placeholder code location.

Here: the parts, and killing them. Not here: the messages (malformed.py, messages.py).
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from kafka.admin import KafkaAdminClient, NewTopic

from bench.stack import ROOT, TestStack
from generia_assets.processes import Child, start
from local_services import apache_kafka

ORDERS, DEAD_LETTERS, PROGRESS = "generia-tasks", "generia-tasks-dlq", "generia-progress"
PARTITIONS = 3
GIANTS = {"max.message.bytes": str(32 * 1024 * 1024)}
"""The orders' topic takes what is sent; the dead letters' keeps Kafka's own limit of 1 MB."""


@dataclass
class MessageStack(TestStack):
    """See ``TestStack``. ``apache``: Apache Kafka itself; else the small broker, which forgets everything when it ends."""

    apache: bool = True

    def start_all(self) -> None:
        self.start_mongod()
        if self.apache:
            self.env["KAFKA_API_VERSION"] = ""
            self.start_kafka()
            self._make_topics()
        else:
            topics = f"{ORDERS}:{PARTITIONS},{DEAD_LETTERS}:1,{PROGRESS}:1"
            self.env["KAFKA_BOOTSTRAP_SERVERS"] = self._start("broker", "-m", "local_services.broker", "--topics", topics)
        self.start_dagster()

    def start_kafka(self, *, port: int = 0) -> None:
        """Start Apache Kafka; after a stop it starts on the same port with the same data."""
        argv = [sys.executable, "-m", "local_services.apache_kafka", "--data", str(self.folder / "kafka"), "--port", str(port)]
        part = self.parts["kafka"] = start("kafka", argv, log_path=self.folder / "logs" / "kafka.log", timeout=90, cwd=ROOT)
        self.env["KAFKA_BOOTSTRAP_SERVERS"] = part.ready_value

    def restart_kafka(self) -> None:
        """``kill -9`` of the broker itself, and a new one on its data and port."""
        part = self.parts["kafka"]
        for child in Path(f"/proc/{part.pid}/task/{part.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        self.forget("kafka")
        self.start_kafka(port=int(part.ready_value.rpartition(":")[2]))

    def restart_daemon(self) -> None:
        os.kill(self.parts["daemon"].pid, signal.SIGKILL)
        self.forget("daemon")
        self.start_daemon()

    def restart_code_server(self) -> None:
        """``kill -9`` of the code server, in whose process the sensor ticks, and a new one."""
        os.kill(self.parts["code server"].pid, signal.SIGKILL)
        self.forget("code server")
        self.start_code_server()

    def spawn_code_server(self) -> Child:
        port = self.env["CODE_SERVER_PORT"]
        argv = [
            sys.executable,
            "-m",
            "generia_assets.warm_start",
            "-m",
            "bench.placeholder_location",
            "-h",
            "127.0.0.1",
            "-p",
            port,
        ]
        return self._spawn("code server", argv)

    def spawn_daemon(self) -> Child:
        """A daemon that starts no run: the runs are counted in the queue."""
        config = Path(self.env["DAGSTER_HOME"]) / "dagster.yaml"
        config.write_text(config.read_text().replace("max_concurrent_runs: 10", "max_concurrent_runs: 0"))
        return super().spawn_daemon()

    def _make_topics(self) -> None:
        with KafkaAdminClient(bootstrap_servers=self.env["KAFKA_BOOTSTRAP_SERVERS"]) as admin:
            admin.create_topics(
                [NewTopic(ORDERS, PARTITIONS, 1, topic_configs=GIANTS), NewTopic(DEAD_LETTERS, 1, 1), NewTopic(PROGRESS, 1, 1)]
            )
            admin.wait_for_topics([ORDERS, DEAD_LETTERS, PROGRESS])


def apache_kafka_here() -> bool:
    return apache_kafka.available() is None
