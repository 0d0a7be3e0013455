"""The stack that the tests of this folder damage: one for all of them, in one worker (``FilesByServer`` in tests/conftest.py)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.stack import TestStack
from resources.mongodb.connection import MongoDatabase
from tests.support.command import Command

SETTINGS = {"WORLD_LEASE_SECONDS": "6", "SLOT_LEASE_SECONDS": "6", "CODE_SERVER_STUCK_SECONDS": "3"}
LATENCY_S = 0.5


@pytest.fixture(scope="package")
def stack() -> Iterator[TestStack]:
    with TestStack(settings=SETTINGS) as stack:
        stack.start_servers(latency=LATENCY_S)
        stack.start_dagster()
        yield stack


@pytest.fixture
def database(stack: TestStack) -> Iterator[MongoDatabase]:
    with stack.database() as database:
        yield database


@pytest.fixture
def generia(stack: TestStack) -> Command:
    """The command with the addresses of the stack."""
    return Command(stack.folder, stack.env)
