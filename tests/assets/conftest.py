"""A finished world that a module's tests look at and damage: as large as the module's PEOPLE and POSTS say."""

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
    """That world, which is as it was when the test is over."""
    with restored_after(checked) as damaged:
        yield damaged


@pytest.fixture(scope="module")
def undamaged(checked: Worlds) -> Iterator[Mapping[str, Any]]:
    """What each check says of the undamaged world; whether each passes is the same again when the module's tests are over."""
    before = all_asked(checked)
    yield before
    after = all_asked(checked)
    assert {name: one.passed for name, one in after.items()} == {name: one.passed for name, one in before.items()}
