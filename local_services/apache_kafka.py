"""``python -m local_services.apache_kafka``: Apache Kafka itself as a process, one node in KRaft mode, without Docker.

Needs Java 17 and, once, Maven, which brings the broker's jars from Maven Central (45 MB) into ``~/.cache/generia/kafka-libs``
(or ``$GENERIA_KAFKA_LIBS``). Here: those jars, that process. Not here: the small broker without Java (local_services/broker.py).
Its data directory may be used again, on another port too. Its own log is ``kafka.log`` in that directory.
"""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import subprocess
from pathlib import Path

from emulators import lifecycle
from generia_assets.processes import Child, ChildFailedError, spawn
from generia_assets.settings import load_settings
from local_services import keep

POM = Path(__file__).parent / "kafka" / "pom.xml"
# Sixteen bytes, as Kafka writes them. Every embedded cluster has the same id, since clients never use two of them.
_CLUSTER_ID = base64.urlsafe_b64encode(b"generia-embedded").rstrip(b"=").decode()
_MAVEN_S = 300.0
_START_S = 60.0
# A small broker that runs for minutes: little memory, and no compilation that only helps after hours.
_JAVA_OPTIONS = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
num.partitions=3
offsets.topic.num.partitions=3
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


class ApacheKafkaError(RuntimeError):
    """Apache Kafka could not be fetched or started. The message says why."""


def libs_directory() -> Path:
    return load_settings().generia_kafka_libs or Path.home() / ".cache" / "generia" / "kafka-libs"


def available() -> str | None:
    """Return why Apache Kafka cannot be started here, or None if it can (Maven may still have to fetch it)."""
    if shutil.which("java") is None:
        return "there is no java on PATH (Java 17 is needed)"
    if not libs_directory().is_dir() and shutil.which("mvn") is None:
        return f"the broker's jars are not in {libs_directory()}, and there is no mvn on PATH to fetch them"
    return None


def fetch_libs() -> Path:
    """Return the directory with the jars; Maven fetches them if it is missing. Raises ``ApacheKafkaError``."""
    directory = libs_directory()
    if directory.is_dir():
        return directory
    # Renamed when complete: two processes may fetch at the same time.
    unfinished = directory.with_name(f"{directory.name}.{os.getpid()}")
    _run(
        [
            *("mvn", "-q", "-B", "-f", POM, "dependency:copy-dependencies"),
            *("-DincludeScope=runtime", f"-DoutputDirectory={unfinished.absolute()}"),
        ],
        _MAVEN_S,
    )
    try:
        unfinished.rename(directory)
    except OSError:  # another process was first; use its copy
        shutil.rmtree(unfinished)
    return directory


def start(data: Path, port: int, more: str = "") -> Child:
    """Start the broker on the loopback interface and return when it accepts connections; ``ready_value`` is its address.

    For port 0 it chooses one. ``more``: properties that override its own; {host}, {port} and {controller_port} are filled in.
    Raises ``PortTakenError``, and ``ApacheKafkaError`` if it is not available or cannot serve from this directory.
    """
    reason = available()
    if reason:
        raise ApacheKafkaError(f"{reason}; set KAFKA_BOOTSTRAP_SERVERS to a broker, or use local_services.broker")
    port = lifecycle.choose_port(port)
    java: list[str | Path] = ["java", *_JAVA_OPTIONS, "-cp", f"{fetch_libs()}/*"]
    logs = data.absolute() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    properties = data / "server.properties"
    properties.write_text(
        (_PROPERTIES + more).format(host=lifecycle.LOOPBACK, port=port, controller_port=lifecycle.choose_port(0), logs=logs)
    )
    if not (logs / "meta.properties").exists():
        _run([*java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", properties], _START_S)
    child = spawn("kafka", [*java, "kafka.Kafka", properties], log_path=data / "kafka.log")
    try:
        child.wait_until(lambda: lifecycle.accepts_connections(port) or None, _START_S)
    except BaseException as error:
        child.stop()
        if isinstance(error, ChildFailedError):
            raise ApacheKafkaError(str(error)) from error
        raise
    child.ready_value = f"{lifecycle.LOOPBACK}:{port}"
    return child


def _run(argv: list[str | Path], timeout: float) -> None:
    tool = Path(argv[0]).name
    try:
        subprocess.run(argv, check=True, capture_output=True, text=True, timeout=timeout)  # noqa: S603  (a list of our own)
    except subprocess.CalledProcessError as error:
        raise ApacheKafkaError(f"{tool} failed: {(error.stderr or error.stdout)[-2000:]}") from error
    except subprocess.TimeoutExpired as error:
        raise ApacheKafkaError(f"{tool} did not end within {timeout:g} s") from error


def _start(options: argparse.Namespace) -> Child:
    return start(options.data, options.port, options.properties.read_text(encoding="utf-8") if options.properties else "")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m local_services.apache_kafka", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="data directory, made if it is not there")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--properties", type=Path, help="a file of more properties, such as listeners with TLS and passwords")
    keep(parser, "kafka", _start, ApacheKafkaError)


if __name__ == "__main__":
    main()
