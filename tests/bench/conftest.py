"""Harnesses in the tests' own process and on their servers: three servers and an interpreter less to start for each."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from pymongo import MongoClient
from rich.console import Console

from bench.report import Options, Report
from bench.stack import TestStack
from generia_assets.settings import Settings, settings

Harness = Callable[[Options, Console], Report]
Quickly = Callable[[Harness], Mapping[str, Any]]


@pytest.fixture
def quickly(
    mongodb_uri: str, broker: str, gemini: str, mongo_client: MongoClient[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Quickly]:
    """Runs a harness in its quick form and gives its figures; nothing was wrong, and nothing of it is left behind."""

    def quick(harness: Harness) -> Mapping[str, Any]:
        report = harness(Options(quick=True, seed=1, json=True), Console(file=io.StringIO()))
        assert report.ok, report.remarks
        return report.figures

    servers = {"MONGODB_URI": mongodb_uri, "KAFKA_BOOTSTRAP_SERVERS": broker, "GEMINI_BASE_URL": gemini}
    monkeypatch.setattr(TestStack, "start_servers", lambda stack, *, latency=0.0: stack.env.update(servers))
    environment, databases = dict(os.environ), ("mongodb_database", "platform_database")
    try:
        for name in databases:
            mongo_client.drop_database(Settings.model_fields[name].default)
        yield quick
    finally:
        logging.disable(logging.NOTSET)
        os.environ.clear()
        os.environ.update(environment)
        settings.cache_clear()
        for name in databases:
            mongo_client.drop_database(Settings.model_fields[name].default)
