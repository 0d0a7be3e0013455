"""A finished world that a module's tests read and damage. The module's PEOPLE and POSTS are its size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.checked_world import WORLD, all_asked, restored_after
from tests.support.worlds_in_process import Worlds, worlds_in_process


@pytest.fixture(scope="module")
def checked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mongodb_uri: str, broker: str, gemini_process: str
) -> Iterator[Worlds]:
    home = tmp_path_factory.mktemp("checks")
    with worlds_in_process(home, mongodb_uri=mongodb_uri, broker=broker, gemini=gemini_process, checks=True) as worlds:
        _, made = worlds.make(WORLD, users=request.module.PEOPLE, posts=request.module.POSTS)
        assert made.success, made.failure
        yield worlds


@pytest.fixture
def restored(checked: Worlds) -> Iterator[Worlds]:
    """That world; after the test its original state is restored."""
    with restored_after(checked) as damaged:
        yield damaged


@pytest.fixture(scope="module")
def undamaged(checked: Worlds) -> Iterator[Mapping[str, Any]]:
    """The result of each check for the undamaged world; after the module's tests each check must give the same result."""
    before = all_asked(checked)
    yield before
    after = all_asked(checked)
    assert {name: one.passed for name, one in after.items()} == {name: one.passed for name, one in before.items()}
