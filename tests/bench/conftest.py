"""Harnesses in the tests' own process: this saves an interpreter for each, and three servers if the harness kills none of them."""

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
def alone() -> Iterator[Quickly]:
    """Runs a harness in its quick form with its own servers; returns its figures and checks that it found no fault."""

    def quick(harness: Harness) -> Mapping[str, Any]:
        report = harness(Options(quick=True, seed=1, json=True), Console(file=io.StringIO()))
        assert report.ok, report.remarks or report.rows
        return report.figures

    environment = dict(os.environ)
    try:
        yield quick
    finally:
        logging.disable(logging.NOTSET)
        os.environ.clear()
        os.environ.update(environment)
        settings.cache_clear()


@pytest.fixture
def quickly(
    alone: Quickly,
    mongodb_uri: str,
    broker: str,
    gemini: str,
    mongo_client: MongoClient[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Quickly]:
    """Runs a harness on the tests' servers, and removes everything it made."""
    servers = {"MONGODB_URI": mongodb_uri, "KAFKA_BOOTSTRAP_SERVERS": broker, "GEMINI_BASE_URL": gemini}
    monkeypatch.setattr(TestStack, "start_servers", lambda stack, *, latency=0.0: stack.env.update(servers))
    databases = [Settings.model_fields[name].default for name in ("mongodb_database", "platform_database")]
    for name in databases:
        mongo_client.drop_database(name)
    yield alone
    for name in databases:
        mongo_client.drop_database(name)
