"""The browser of the tests of one file: not of the whole session, because Playwright keeps an event loop in the thread of the
tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from tests.support.pages_site import a_browser  # half a second, only for tests with a browser

    with a_browser() as browser:
        yield browser
