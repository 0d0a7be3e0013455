"""``/metrics``: the fleet's figures in Prometheus' text format.

Here: how often the sections are read, and what becomes of one that fails: it is left out, and ``generia_measured`` is 0 for it. A
missing figure is never shown as zero. Not here: the figures themselves (metric_sections.py).
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator

import pymongo
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

from generia_assets.code_server import starts_runs
from generia_assets.pages.metric_sections import SECTION_S, SECTIONS, MetricsSection, build_info, gauge
from generia_assets.settings import settings
from resources.mongodb.connection import MongoDatabase

logger = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
KEPT_S = 5.0
"""Seconds for which the figures are kept: MongoDB is read at most so often, however many monitors ask."""
HURRIED_S = 0.5
"""Seconds that a section may take after another one has taken too long: a monitor waits for all of them. Without a server none is
tried."""
_DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What reading a document raises that somebody has damaged."""


class Metrics:
    """The page's text, read again when it is older than ``KEPT_S``. Thread-safe: one thread reads, the others wait for it."""

    def __init__(self, database: MongoDatabase) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Fleet(database))
        self._lock = threading.Lock()
        self._text = b""
        self._read_at = float("-inf")

    def text(self) -> bytes:
        with self._lock:
            if time.monotonic() - self._read_at > KEPT_S:
                self._text = generate_latest(self._registry)
                self._read_at = time.monotonic()
            return self._text


class _Fleet(Collector):
    """Reads all sections; each has its own time limit, and one that fails is left out alone."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._kept: dict[str, tuple[float, list[Metric]]] = {}

    def collect(self) -> Iterator[Metric]:
        measured: dict[str, bool] = {}
        most = math.inf
        for name, section in SECTIONS.items():
            families = None
            try:
                if most > 0:
                    families = self._read(name, section, min(section.seconds, most))
            except PyMongoError as error:
                logger.warning("metrics of %s are left out: MongoDB does not answer (%s)", name, type(error).__name__)
                most = 0 if isinstance(error, ServerSelectionTimeoutError) else HURRIED_S
            except _DAMAGED:
                logger.exception("metrics of %s are left out: a document cannot be read", name)
            measured[name] = families is not None
            yield from families or ()
        yield gauge("measured", "1 if this part of the figures could be read, else 0 and the part is missing", measured, "part")
        yield build_info()
        if address := settings().code_server:
            about = "1 if the code server answers and starts runs, 0 if it is stuck or gone"
            yield gauge("code_server_starts_runs", about, starts_runs(address, timeout=SECTION_S))

    def _read(self, name: str, section: MetricsSection, seconds: float) -> list[Metric]:
        until, families = self._kept.get(name, (0.0, []))
        if time.monotonic() >= until:
            with pymongo.timeout(seconds):
                families = list(section.families(self._database))
            self._kept[name] = time.monotonic() + section.kept_s, families
        return families
