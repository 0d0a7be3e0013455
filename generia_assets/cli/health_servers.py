"""What `generia doctor` finds in MongoDB, Kafka and Dagster, with what is wrong and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import islice

from pymongo.errors import PyMongoError

from generia_assets.cli.connections import ANSWER_S, Addresses, database_at, set_dagster_home
from generia_assets.cli.console import CommandError, command_name
from generia_assets.cli.dagster_link import instance_at
from generia_assets.cli.health import HealthFinding, models_learned, note, ok, unavailable, wrong
from generia_assets.cli.rendering.lines import breaker_line
from generia_assets.cli.selection import PARKED, state_query
from generia_assets.content.text import plural
from generia_assets.durable.collections import FLEET, KEPT_LETTERS, STATUS
from generia_assets.durable.indexes import lacks_indexes
from generia_assets.durable.leases.brake import engaged_since
from generia_assets.durable.orders.intake import held_partitions, kept
from generia_assets.durable.status import State
from generia_assets.queries.completeness import broken
from generia_assets.queries.in_flight import breakers_not_closed
from generia_assets.queries.worlds import unreadable_worlds
from generia_assets.settings import Settings
from resources.kafka.address import KafkaUnavailableError
from resources.kafka.reader import TopicReader
from resources.mongodb.connection import (
    INDEX_RIGHTS,
    NEEDED_RIGHTS,
    MongoDatabase,
    MongoUnavailableError,
    missing_rights,
    mongo_address,
)
from resources.platform.local import lacks_indexes as platform_lacks_indexes
from resources.settings import is_loopback

RIGHTS_ADVICE = "docs/operating.md (Kafka with a password or TLS) lists the rights, with the commands that give them"
MOST_NAMED = 5
"""Worlds of one kind that are named."""
HEARTBEAT_S = 90.0
"""A daemon of Dagster without a heartbeat for longer counts as dead; there are two a minute."""


def mongodb_found(settings: Settings, where: Addresses) -> Iterator[HealthFinding]:
    """The server, its user's rights, how the worlds stand, and what the fleet has noted there."""
    address = mongo_address(where.mongodb_uri)
    try:
        with database_at(where.mongodb_uri, settings) as database:
            began = time.monotonic()
            hello = database.client.admin.command("hello")
            milliseconds = 1000 * (time.monotonic() - began)
            version = database.client.server_info()["version"]
            name = f"replica set {hello['setName']}" if "setName" in hello else "sharded"
            yield ok("MongoDB", f"{address}: {version}, {name}, answers in {milliseconds:.0f} ms")
            worlds = {state: database[STATUS].count_documents({"status": state.value}) for state in State}
            counts = ", ".join(f"{count} {state.value.replace('_', ' ')}" for state, count in worlds.items() if count)
            yield ok("worlds", counts or "none yet")
            yield from _rights(database, settings)
            for record in (bad := unreadable_worlds(database))[:MOST_NAMED]:
                more = f" (and {len(bad) - MOST_NAMED} more)" if len(bad) > MOST_NAMED else ""
                yield wrong("worlds", f"{record}{more}", f"correct the record, or {command_name()} delete {record.id}")
            if since := engaged_since(database):
                stopped = f"everything is stopped since {since:%Y-%m-%d %H:%M} UTC; new orders wait"
                yield note("brake", stopped, f"{command_name()} resume --all")
            if waiting := database[STATUS].count_documents(state_query(PARKED)):
                advice = f"{command_name()} list --state parked, then {command_name()} resume WORLD"
                yield note("suspended worlds", f"{waiting} wait to be resumed, or for an outage to end", advice)
            for shares in database[FLEET].find({"ceiling": {"$ne": None, "$exists": True}}, {"ceiling": 1, "limit": 1}):
                pace = f"{shares['_id']}: {int(shares['ceiling'])} of {shares['limit']} at once, lowered after a 429"
                yield note("pace", pace, "it rises by itself with success; a larger quota of the API lets it rise further")
            for breaker in breakers_not_closed(database):
                advice = "worlds wait, and go on by themselves when it answers; `generia history WORLD --failed` has its answers"
                yield note(f"breaker {breaker.api}", breaker_line(breaker).removeprefix(f"{breaker.api} "), advice)
            yield from models_learned(database[FLEET].find_one({"_id": "models"}))
            yield from _intake(database)
            if lacks_indexes(database) and any(worlds.values()):
                yield note("MongoDB", "indexes are missing", "start the generator once: it makes them")
    except MongoUnavailableError as error:
        yield unavailable("MongoDB", error)
    except PyMongoError as error:
        yield wrong("MongoDB", f"{address}: {type(error).__name__}", "see MongoDB's own log")


def worlds_found(settings: Settings, where: Addresses) -> Iterator[HealthFinding]:
    """Worlds whose status and documents disagree, or with an unfinished rerun. ``mongodb_found`` reports a missing server."""
    with suppress(MongoUnavailableError, PyMongoError), database_at(where.mongodb_uri, settings) as database:
        found = broken(database)
        for one in islice(found, MOST_NAMED):
            yield wrong(f"world {one.world_id}", one.wrong, one.mend)
        if more := sum(1 for _ in found):
            yield wrong("worlds", f"{more} more are not what their status says", "correct these, then look again")
        for world in database[STATUS].find({"unfinished": {"$type": "string"}}, {"message": 1}).limit(MOST_NAMED):
            yield note(f"world {world['_id']}", str(world["message"]), f"{command_name()} resume {world['_id']}")


def _intake(database: MongoDatabase) -> Iterator[HealthFinding]:
    """What of the orders' topic could not be read, and what of the dead letters could not be written."""
    for held in held_partitions(database):
        found = f"held up since {held.since:%Y-%m-%d %H:%M} UTC: {held.batch} cannot be read ({held.reason})"
        advice = f"find out who sent it; to leave it out: {command_name()} dead-letters skip {held.partition}:{held.offset}"
        yield wrong(f"{held.topic}[{held.partition}]", found, advice)
    for oldest in kept(database, 1):
        count = database[KEPT_LETTERS].estimated_document_count()
        found = f"{count} are kept in MongoDB since {oldest.at:%Y-%m-%d %H:%M} UTC: {oldest.why}"
        advice = "make the topic KAFKA_DEAD_LETTERS_TOPIC, or give the right to write it: they follow by themselves"
        yield wrong("dead letters", found, advice)


def _rights(database: MongoDatabase, settings: Settings) -> Iterator[HealthFinding]:
    """What MongoDB's user may not do in the generator's database, and in the local platform's."""
    for name in (database.name, *((settings.platform_database,) if settings.platform == "local" else ())):
        grant = f'db.grantRolesToUser("the user", [{{role: "readWrite", db: "{name}"}}]), as MongoDB\'s administrator'
        one = database.client[name]
        if missing := missing_rights(one, NEEDED_RIGHTS):
            yield wrong("MongoDB", f"its user has no right {' and '.join(missing)} on {name}: no world can be made", grant)
        elif missing_rights(one, INDEX_RIGHTS) and (lacks_indexes if name == database.name else platform_lacks_indexes)(one):
            yield wrong("MongoDB", f"its user has no right createIndex on {name}, where indexes are missing", grant)


def kafka_found(settings: Settings, where: Addresses) -> Iterator[HealthFinding]:
    """The broker, the three topics, and this user's rights to them and to the group."""
    topics = (
        (settings.kafka_tasks_topic, "orders", "KAFKA_TASKS_TOPIC", "READ"),
        (settings.kafka_progress_topic, "live events", "KAFKA_PROGRESS_TOPIC", "WRITE"),
        (settings.kafka_dead_letters_topic, "broken messages", "KAFKA_DEAD_LETTERS_TOPIC", "WRITE"),
    )
    for number, (topic, holds, setting, needed) in enumerate(topics):
        part = f"topic {topic}"
        try:
            reader = TopicReader(where.kafka, topic, settings.kafka_group_id)
        except KafkaUnavailableError as error:
            yield unavailable("Kafka", error)
            return
        try:
            with closing(reader):
                if number == 0:
                    yield ok("Kafka", f"{where.kafka.bootstrap_servers} answers{_as_whom(settings)}")
                    yield from _exposed_secrets(settings)
                log = reader.look()
                rights = reader.group_rights() if number == 0 and log is not None and log.rights is not None else None
                if rights is not None and "READ" not in rights:
                    yield wrong(f"group {settings.kafka_group_id}", "this user has no right READ on it", RIGHTS_ADVICE)
        except KafkaUnavailableError as error:
            yield unavailable(part, error)
            continue
        if log is None:
            advice = f"make it, or let the broker make it with the first message; another name: {setting}"
            yield note(part, f"does not exist yet (for {holds})", advice)
        elif log.leaderless:
            found = f"partitions without a leader: {', '.join(map(str, log.leaderless))}"
            yield wrong(part, found, "look at the brokers: what is in them waits")
        elif log.rights is not None and needed not in log.rights:
            yield wrong(part, f"this user has no right {needed} on it (for {holds})", RIGHTS_ADVICE)
        else:
            held = sum(bound.end - bound.earliest for bound in log.bounds.values())
            yield ok(part, f"{plural(len(log.bounds), 'partition')}, {plural(held, 'message')} ({holds})")


def _as_whom(settings: Settings) -> str:
    """How the brokers are reached, where it is not the plain way."""
    if settings.kafka_security_protocol == "PLAINTEXT":
        return ""
    who = " ".join(filter(None, (settings.kafka_sasl_mechanism, settings.kafka_sasl_username or settings.kafka_oauth_client_id)))
    return f" ({settings.kafka_security_protocol}{f', {who}' if who else ''})"


def _exposed_secrets(settings: Settings) -> Iterator[HealthFinding]:
    if settings.kafka_security_protocol == "SASL_PLAINTEXT":
        found = "SASL_PLAINTEXT: nothing is encrypted; with PLAIN and OAUTHBEARER anybody on the way can read the password or token"
        yield note("Kafka", found, "use a listener with SASL_SSL, except within a network of your own")
    if settings.kafka_oauth_token_url.startswith("http://") and not is_loopback(settings.kafka_oauth_token_url):
        yield note("Kafka", "KAFKA_OAUTH_TOKEN_URL is http: the client secret is sent unencrypted", "use https")


def dagster_found(_settings: Settings, where: Addresses) -> Iterator[HealthFinding]:
    home = where.dagster_home
    if home is None:
        advice = "set it where the generator runs; without it `stop` and this check cannot reach Dagster"
        yield note("Dagster", "DAGSTER_HOME is not set, and no `generia dev` runs from this folder", advice)
        return
    if not (home / "dagster.yaml").exists():
        advice = "copy docker/dagster.yaml there: it holds the run launcher and the limits that survival needs"
        yield wrong("Dagster", f"{home} has no dagster.yaml", advice)
        return
    source = "DAGSTER_HOME" if set_dagster_home() else "the running generator's"  # before it is set for Dagster's own use
    try:
        with instance_at(home) as instance:
            needed, heartbeats = sorted(instance.get_required_daemon_types()), instance.get_daemon_heartbeats()
    except CommandError as error:
        yield wrong("Dagster", str(error), "check DAGSTER_HOME")
        return
    except Exception as error:  # noqa: BLE001  whatever Dagster raises about its own instance is the finding
        first = (str(error).strip().splitlines() or [""])[0][:200]
        found = f"{home} cannot be opened: {type(error).__name__}: {first}"
        yield wrong("Dagster", found, "compare its dagster.yaml with docker/dagster.yaml")
        return
    if dead := [name for name in needed if name not in heartbeats or time.time() - heartbeats[name].timestamp > HEARTBEAT_S]:
        advice = "start `dagster-daemon run` (or `make dev`): without it no order is read"
        yield wrong("Dagster", f"{home} ({source}): no heartbeat of {', '.join(dead)}", advice)
    else:
        yield ok("Dagster", f"{home} ({source}): {plural(len(needed), 'daemon')} alive")
    for name in needed:
        errors = heartbeats[name].errors if name in heartbeats else None
        if errors and (message := errors[0].message.strip()):
            yield note(f"daemon {name}", message.splitlines()[0][:200], f"{command_name()} logs daemon")


def workers_found(settings: Settings, _where: Addresses) -> Iterator[HealthFinding]:
    """The broker of a fleet, and the workers that answer through it; nothing where CELERY_BROKER_URL is not set."""
    url = settings.celery_broker_url.get_secret_value()
    if not url:
        return
    from celery import Celery
    from kombu.exceptions import KombuError

    with Celery(broker=url, set_as_current=False) as app:
        app.conf.broker_connection_timeout = ANSWER_S
        try:
            with app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=ANSWER_S)
                answers = app.control.ping(timeout=ANSWER_S, connection=connection)
        except (KombuError, OSError) as error:
            advice = "start it, or correct CELERY_BROKER_URL; worlds at work go on, others wait"
            yield wrong("broker", f"{mongo_address(url)} does not answer ({type(error).__name__})", advice)
            return
    yield ok("broker", f"{mongo_address(url)} answers")
    if answers:
        yield ok("workers", f"{plural(len(answers), 'worker')} of worlds")
    else:
        yield wrong("workers", "none answers: no world is begun", "start one: celery -A generia_assets.fleet.app worker")


def code_server_found(_settings: Settings, where: Addresses) -> Iterator[HealthFinding]:
    """What `generia doctor` says of the code server; nothing where its address is not known."""
    if not where.code_server:
        return
    from generia_assets.code_server import ask  # with gRPC, for which `stop` must not wait

    try:
        ask(where.code_server)
    except ConnectionError as error:
        advice = "no run starts meanwhile; `generia dev` and the containers replace it within a minute or two, else restart it"
        yield wrong("code server", str(error), advice)
    else:
        yield ok("code server", f"{where.code_server} answers, and starts runs")
