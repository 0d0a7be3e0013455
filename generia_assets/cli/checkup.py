"""What `generia doctor` looks at: each part of the outside, with what is wrong and what to do about it.

Here: the checks. None of them spends anything, waits longer than a few seconds, or shows a secret. Not here: how it is printed
(doctor.py).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import requests

from generia_assets.cli.addresses import Addresses, addresses, set_dagster_home
from generia_assets.cli.console import CommandError, own_name
from generia_assets.cli.content_checked import fakes_in_use, templates_found
from generia_assets.cli.dagster_link import code_server_found, daemon_pulses
from generia_assets.cli.findings import Health, HealthFinding, note, ok, wrong
from generia_assets.cli.home import running
from generia_assets.cli.models_checked import models_by_date
from generia_assets.cli.mongodb_checked import mongodb_found, worlds_found
from generia_assets.content.text import plural
from generia_assets.settings import Settings
from resources.gemini import models
from resources.gemini.models import asked_at, speaks_of
from resources.kafka.address import KafkaUnavailableError
from resources.kafka.reader import TopicReader

GOOGLE = "https://generativelanguage.googleapis.com"
TIMEOUT_S = 5.0
LITTLE_SPACE = 1_000_000_000
TOO_LITTLE_SPACE = 100_000_000
"""Bytes on a disk that is written to."""

Check = Callable[[Settings, Addresses], Iterator[HealthFinding]]


def check_up(settings: Settings) -> Iterator[HealthFinding]:
    """All findings, one after the other."""
    where = addresses(settings)
    for check in CHECKS:
        yield from check(settings, where)


def _parts(settings: Settings, where: Addresses) -> Iterator[HealthFinding]:
    del where
    parts = running(settings.generia_data_dir)
    folder = settings.generia_data_dir.absolute()
    if parts is None:
        yield ok("generator here", f"none runs from {folder}; addresses are those that are set")
    else:
        yield ok("generator here", f"`generia {parts.command}`, process {parts.pid}, in {folder}")


def _kafka(settings: Settings, where: Addresses) -> Iterator[HealthFinding]:
    topics = (
        (settings.kafka_tasks_topic, "orders", "KAFKA_TASKS_TOPIC"),
        (settings.kafka_progress_topic, "live events", "KAFKA_PROGRESS_TOPIC"),
        (settings.kafka_dead_letters_topic, "broken messages", "KAFKA_DEAD_LETTERS_TOPIC"),
    )
    for number, (topic, holds, setting) in enumerate(topics):
        try:
            reader = TopicReader(where.kafka, topic, settings.kafka_group_id)
        except KafkaUnavailableError as error:
            said, _, advice = str(error).partition(". ")
            yield wrong("Kafka", said, advice)
            return
        try:
            if number == 0:
                yield ok("Kafka", f"{where.kafka.bootstrap_servers} answers")
            log = reader.look()
        except KafkaUnavailableError as error:
            yield wrong(f"topic {topic}", str(error).partition(". ")[0], "try again")
            continue
        finally:
            reader.close()
        if log is None:
            yield note(
                f"topic {topic}",
                f"does not exist yet (for {holds})",
                f"make it, or let the broker make it with the first message; another name: {setting}",
            )
        elif log.leaderless:
            yield wrong(
                f"topic {topic}",
                f"partitions without a leader: {', '.join(str(one) for one in log.leaderless)}",
                "look at the brokers: what is in them waits",
            )
        else:
            held = sum(bound.end - bound.earliest for bound in log.bounds.values())
            yield ok(f"topic {topic}", f"{plural(len(log.bounds), 'partition')}, {plural(held, 'message')} ({holds})")


def _gemini(settings: Settings, where: Addresses) -> Iterator[HealthFinding]:
    del where
    profile = asked_at(settings.gemini_model, models.now())
    key, base = settings.gemini_api_key.get_secret_value(), settings.gemini_base_url
    if not key and not base:
        embedded = running(settings.generia_data_dir) is not None
        yield HealthFinding(
            part="Gemini",
            health=Health.OK if embedded else Health.NOTE,
            found="the emulator that `generia dev` started" if embedded else "GEMINI_API_KEY is not set",
            advice="" if embedded else "export GEMINI_API_KEY=… for the real API; `make dev` and `make demo` start an emulator",
        )
        return
    address = (base or GOOGLE).rstrip("/")
    try:
        answer = requests.get(
            f"{address}/v1beta/models/{profile.id}", headers={"x-goog-api-key": key or "emulator"}, timeout=TIMEOUT_S
        )
    except requests.RequestException as error:
        yield wrong(
            "Gemini",
            f"{address} cannot be reached ({type(error).__name__})",
            "check the network, and GEMINI_BASE_URL" if base else "check the network",
        )
        return
    gone = "NOT_FOUND" in answer.text and speaks_of(answer.text, profile.id)
    yield _judged(answer.status_code, address, profile.id, profile.successor, gone=gone)


def _judged(status: int, address: str, model: str, successor: str | None, *, gone: bool) -> HealthFinding:
    """What the answer to a question about the model means; such a question costs nothing."""
    if status == 200:
        return ok("Gemini", f"{address} knows {model}, and takes the key")
    if status == 404 and not gone:
        return wrong("Gemini", f"{address} answers 404, and not as Gemini does", "correct GEMINI_BASE_URL, or look for a proxy")
    if status == 404:
        advice = f"{successor} takes over by itself; set GEMINI_MODEL={successor}" if successor else "choose another GEMINI_MODEL"
        return HealthFinding(
            part="Gemini",
            health=Health.NOTE if successor else Health.WRONG,
            found=f"{address} does not know {model} (404)",
            advice=advice,
        )
    if status in (400, 401, 403):
        return wrong(
            "Gemini",
            f"{address} does not take the key ({status})",
            "check GEMINI_API_KEY, what it may use, and the billing of its account",
        )
    if status == 429:
        return note("Gemini", f"{address} says: slow down (429)", "worlds wait by themselves")
    return wrong("Gemini", f"{address} answers {status}", "try again; outages are waited out")


def _media(settings: Settings, where: Addresses) -> Iterator[HealthFinding]:
    del where
    folder = settings.media_dir.absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        yield wrong(
            "pictures",
            f"{folder} cannot be written ({error.strerror})",
            "give user and rights, or set GENERIA_DATA_DIR to another folder",
        )
        return
    free = shutil.disk_usage(there).free
    health = Health.WRONG if free < TOO_LITTLE_SPACE else Health.NOTE if free < LITTLE_SPACE else Health.OK
    yield HealthFinding(
        part="pictures",
        health=health,
        found=f"{folder} can be written, {free / 1e9:.1f} GB free",
        advice="" if health is Health.OK else "make room: a post's picture takes 30 to 300 KB, and MongoDB writes as well",
    )


def _dagster(settings: Settings, where: Addresses) -> Iterator[HealthFinding]:
    del settings
    home = where.dagster_home
    if home is None:
        yield note(
            "Dagster",
            "DAGSTER_HOME is not set, and no `generia dev` runs from this folder",
            "set it where the generator runs; without it `stop` and this check cannot reach Dagster",
        )
        return
    if not (home / "dagster.yaml").exists():
        yield wrong(
            "Dagster",
            f"{home} has no dagster.yaml",
            "copy docker/dagster.yaml there: it holds the run launcher and the limits that survival needs",
        )
        return
    whose = "DAGSTER_HOME" if set_dagster_home() else "the running generator's"  # before it is set for Dagster's own use
    try:
        pulses = daemon_pulses(home)
    except CommandError as error:
        yield wrong("Dagster", str(error), "check DAGSTER_HOME")
        return
    except Exception as error:  # noqa: BLE001  whatever Dagster raises about its own instance is the finding
        first = (str(error).strip().splitlines() or [""])[0][:200]
        yield wrong(
            "Dagster",
            f"{home} cannot be opened: {type(error).__name__}: {first}",
            "compare its dagster.yaml with docker/dagster.yaml",
        )
        return
    dead = [pulse.name for pulse in pulses if not pulse.alive]
    yield HealthFinding(
        part="Dagster",
        health=Health.WRONG if dead else Health.OK,
        found=f"{home} ({whose}): " + (f"no heartbeat of {', '.join(dead)}" if dead else f"{plural(len(pulses), 'daemon')} alive"),
        advice="start `dagster-daemon run` (or `make dev`): without it no order is read" if dead else "",
    )
    for pulse in pulses:
        if pulse.complaint:
            first = pulse.complaint.splitlines()[0][:200]
            yield note(f"daemon {pulse.name}", first, f"{own_name()} logs daemon")


def _environment(settings: Settings, where: Addresses) -> Iterator[HealthFinding]:
    del where
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        yield note(
            "environment",
            "PYTHONDONTWRITEBYTECODE is set: every process starts a second or two later",
            "unset it where the generator runs",
        )
    if settings.max_cost_usd is None and settings.gemini_api_key.get_secret_value():
        yield note(
            "MAX_COST_USD",
            "not set: worlds have a limit of calls, and no cap in dollars unless their order sets one",
            "set MAX_COST_USD, or order with --max-cost-usd",
        )
    if not Path(".env").exists():
        yield ok(".env", "none in this folder: settings have their defaults, or the environment's values")


CHECKS: tuple[Check, ...] = (
    _environment,
    templates_found,
    _parts,
    mongodb_found,
    worlds_found,
    _kafka,
    models_by_date,
    _gemini,
    fakes_in_use,
    _media,
    _dagster,
    code_server_found,
)
