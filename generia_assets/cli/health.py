"""What `generia doctor` finds on this machine and of the language model, and how a finding looks.

None of the checks spends anything, waits longer than a few seconds, or shows a secret. Not here: the servers (health_servers.py).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path

import requests

from generia_assets.cli.connections import Addresses
from generia_assets.cli.data_dir import running_generator
from generia_assets.content.check import files, mistakes
from generia_assets.content.documents import FrozenModel
from generia_assets.settings import Settings
from resources.gateway.outcomes import FatalCallError
from resources.gemini import image_models, models
from resources.gemini.model_resolver import fleet_notes
from resources.gemini.models import asked_at, names_model
from resources.gemini.tiers import CallTier, ServiceTier
from resources.mongodb.connection import MongoDocument
from resources.settings import GEMINI


class Health(StrEnum):
    """The state of something. ``NOTE``: worth knowing; nothing needs to be done now."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


class HealthFinding(FrozenModel):
    """One finding, and what to do about it ('' where nothing)."""

    part: str
    health: Health
    found: str
    advice: str = ""


def _finding(health: Health, part: str, found: str, advice: str = "") -> HealthFinding:
    return HealthFinding(part=part, health=health, found=found, advice=advice)


ok, note, wrong = (partial(_finding, health) for health in (Health.OK, Health.NOTE, Health.WRONG))


def unavailable(part: str, error: ConnectionError) -> HealthFinding:
    """It does not answer; the error's first sentence says what was found, the others what to do."""
    found, _, advice = str(error).partition(". ")
    return wrong(part, found, advice)


GOOGLE = "https://generativelanguage.googleapis.com"
TIMEOUT_S = 5.0
LITTLE_SPACE = 1_000_000_000
TOO_LITTLE_SPACE = 100_000_000
"""Bytes on a disk that is written to."""


def generator_found(settings: Settings, _where: Addresses) -> Iterator[HealthFinding]:
    folder = settings.generia_data_dir.absolute()
    if running := running_generator(folder):
        yield ok("generator here", f"`generia {running.command}`, process {running.pid}, in {folder}")
    else:
        yield ok("generator here", f"none runs from {folder}; addresses are those that are set")


def gemini_found(settings: Settings, _where: Addresses) -> Iterator[HealthFinding]:
    """Whether Gemini knows the models and takes the key; the questions cost nothing."""
    asked: dict[str, models.ModelProfile | image_models.ImageModel] = {
        "GEMINI_MODEL": asked_at(settings.gemini_model, models.now())
    }
    if settings.image_provider == GEMINI:
        asked |= {"IMAGE_MODEL": image_models.asked_at(settings.image_model, models.now())}
    key, base = settings.gemini_api_key.get_secret_value(), settings.gemini_base_url
    if not key and not base:
        if running_generator(settings.generia_data_dir) is not None:
            yield ok("Gemini", "the emulator that `generia dev` started")
        else:
            advice = "export GEMINI_API_KEY=… for the real API; `make dev` and `make demo` start an emulator"
            yield note("Gemini", "GEMINI_API_KEY is not set", advice)
        return
    address = (base or GOOGLE).rstrip("/")
    for setting, model in asked.items():
        try:
            answer = requests.get(
                f"{address}/v1beta/models/{model.id}", headers={"x-goog-api-key": key or "emulator"}, timeout=TIMEOUT_S
            )
        except requests.RequestException as error:
            advice = "check the network, and GEMINI_BASE_URL" if base else "check the network"
            yield wrong("Gemini", f"{address} cannot be reached ({type(error).__name__})", advice)
            return
        gone = "NOT_FOUND" in answer.text and names_model(answer.text, model.id)
        yield _answer_means(answer.status_code, address, setting, model.id, model.successor, gone=gone)


def _answer_means(status: int, address: str, setting: str, model: str, successor: str | None, *, gone: bool) -> HealthFinding:
    """What the answer to a question about the model means; such a question costs nothing."""
    if status == 200:
        return ok("Gemini", f"{address} knows {model}, and takes the key")
    if status == 404 and not gone:
        return wrong("Gemini", f"{address} answers 404, and not as Gemini does", "correct GEMINI_BASE_URL, or look for a proxy")
    if status == 404:
        advice = f"{successor} takes over by itself; set {setting}={successor}" if successor else f"choose another {setting}"
        return (note if successor else wrong)("Gemini", f"{address} does not know {model} (404)", advice)
    if status in (400, 401, 403):
        advice = "check GEMINI_API_KEY, what it may use, and the billing of its account"
        return wrong("Gemini", f"{address} does not take the key ({status})", advice)
    if status == 429:
        return note("Gemini", f"{address} says: slow down (429)", "worlds wait by themselves")
    return wrong("Gemini", f"{address} answers {status}", "try again; outages are waited out")


def media_found(settings: Settings, _where: Addresses) -> Iterator[HealthFinding]:
    """Whether pictures can be written, and how much room there is."""
    folder = (settings.media_dir if settings.platform == "local" else settings.pending_dir).absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        advice = "give user and rights, or set GENERIA_DATA_DIR to another folder"
        yield wrong("pictures", f"{folder} cannot be written ({error.strerror})", advice)
        return
    free = shutil.disk_usage(there).free
    found = f"{folder} can be written, {free / 1e9:.1f} GB free"
    if free >= LITTLE_SPACE:
        yield ok("pictures", found)
    else:
        advice = "make room: a post's picture takes 30 to 300 KB, and MongoDB writes as well"
        yield (wrong if free < TOO_LITTLE_SPACE else note)("pictures", found, advice)


def environment_found(settings: Settings, _where: Addresses) -> Iterator[HealthFinding]:
    """Settings of the environment that cost time or money."""
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        found = "PYTHONDONTWRITEBYTECODE is set: every process starts a second or two later"
        yield note("environment", found, "unset it where the generator runs")
    if settings.max_cost_usd is None and settings.gemini_api_key.get_secret_value():
        found = "not set: worlds have a limit of calls, and no cap in dollars unless their order sets one"
        yield note("MAX_COST_USD", found, "set MAX_COST_USD, or order with --max-cost-usd")
    if not Path(".env").exists():
        yield ok(".env", "none in this folder: settings have their defaults, or the environment's values")


def templates_found(_settings: Settings, _where: Addresses) -> Iterator[HealthFinding]:
    """Every mistake in the templates and data files; no world begins while there is one."""
    found = mistakes()
    for one in found:
        yield wrong("templates", str(one), "correct it: until then no world begins")
    if not found:
        yield ok("templates", f"{len(files())} templates and data files have no mistake")


def platform_found(settings: Settings, _where: Addresses) -> Iterator[HealthFinding]:
    """Which platform worlds are published on; of the real one, whether each service says that it serves."""
    if settings.platform == "local":
        yield ok("platform", f"the local fake: records in database {settings.platform_database}; nothing is published elsewhere")
        return
    from resources.platform.grpc_platform import check_services  # with gRPC, for which other commands do not wait

    try:
        answers = asyncio.run(check_services(settings, seconds=TIMEOUT_S))
    except FatalCallError as error:
        yield wrong("platform", str(error), "correct what it names")
        return
    for service, found in answers.items():
        if isinstance(found, str):
            yield ok(service, f"{found} serves")
        else:
            setting = service.replace("-", "_").upper()
            yield wrong(service, str(found), f"start the service, or correct {setting} or CONSUL_ADDRESS; worlds wait meanwhile")


def image_api_found(settings: Settings, _where: Addresses) -> Iterator[HealthFinding]:
    model = f", {settings.image_model}" if settings.image_provider == GEMINI else ""
    yield ok("image API", f"{settings.image_provider}{model}")


def models_by_date(settings: Settings, _where: Addresses) -> Iterator[HealthFinding]:
    """The model that is asked today, and the days on which that or its price changes."""
    moment = models.now()
    asked = models.asked_at(settings.gemini_model, moment)
    yield ok("model", f"{asked.id} is asked today, at {asked.price(moment)}")
    flex, tier = (ServiceTier.FLEX, ServiceTier.ECONOMY), settings.service_tier
    wanted = CallTier.FLEX if tier in flex else CallTier(tier)
    if asked.tier(wanted) is not wanted:
        found = f"{asked.id} takes no {wanted}: with SERVICE_TIER={tier} its calls are made, and cost, as at standard"
        yield note("service tier", found, "Set GEMINI_MODEL to a model that takes it, or SERVICE_TIER=standard.")
    elif tier is not ServiceTier.STANDARD:
        yield ok("service tier", f"{tier}, where an order names none; a call at {wanted} costs {asked.price(moment, tier=wanted)}")
    for change in models.changes(settings.gemini_model, moment):
        if change.day > moment.date():
            advice = "it happens by itself; set GEMINI_MODEL to ask another model of resources/gemini/models.yaml"
            yield note("model", change.sentence, advice)
        else:
            yield ok("model", change.sentence)


def models_learned(document: MongoDocument | None) -> Iterator[HealthFinding]:
    """What the API's answers revealed about models, from the fleet's document ``models``."""
    for sentence in fleet_notes(document).sentences():
        yield note("model", sentence, "set GEMINI_MODEL to one that exists, or correct resources/gemini/models.yaml")
