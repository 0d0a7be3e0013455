"""What `generia doctor` says of the language model: which is asked at what price, what ends or changes, what the fleet learned."""

from __future__ import annotations

from collections.abc import Iterator

from generia_assets.cli.addresses import Addresses
from generia_assets.cli.findings import HealthFinding, note, ok
from generia_assets.settings import Settings
from resources.gemini import models
from resources.gemini.model_resolver import fleet_notes
from resources.mongodb.connection import MongoDocument


def models_by_date(settings: Settings, where: Addresses) -> Iterator[HealthFinding]:
    """The model that is asked today, and the days on which that or its price changes."""
    del where
    moment = models.now()
    asked = models.asked_at(settings.gemini_model, moment)
    yield ok("model", f"{asked.id} is asked today, at {asked.price(moment)}")
    for change in models.changes(settings.gemini_model, moment):
        if change.day > moment.date():
            yield note(
                "model", change.said, "it happens by itself; set GEMINI_MODEL to ask another model of resources/gemini/models.yaml"
            )
        else:
            yield ok("model", change.said)


def models_learned(document: MongoDocument | None) -> Iterator[HealthFinding]:
    """What the API's answers said of models, in the fleet's document ``models``."""
    for sentence in fleet_notes(document).said():
        yield note("model", sentence, "set GEMINI_MODEL to one that exists, or correct resources/gemini/models.yaml")
