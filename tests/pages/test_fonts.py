"""The pages' tests do not depend on an installed font."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.support.pages_site import a_page, a_site

TALL = """() => {
    const style = new CSSStyleSheet();
    style.replaceSync('h1, h2, h3, h4 { line-height: 1.05 !important }');
    document.adoptedStyleSheets = [style];
}"""
"""Letters that are taller than their line, as Noto's are in lines made for DejaVu."""


@pytest.mark.case("P15")
def test_a_heading_is_tall_enough_for_the_letters_of_any_font(
    browser: Browser, mongo_client: Any, mongodb_uri: str, tmp_path: Path
) -> None:
    """Letters that are taller than their line are inside their heading, where axe can check their colours."""
    with a_site(mongo_client, mongodb_uri, tmp_path) as site, a_page(browser) as page:
        site.world(users=1, posts=1).make()
        page.goto(f"{site.address}/")
        page.evaluate(TALL)
        page.evaluate(Axe().axe_script)
        found = page.evaluate("axe.run('main > h1', { runOnly: ['color-contrast'] })")
        assert [one["nodes"][0]["html"] for one in found["incomplete"]] == []
        assert len(found["passes"][0]["nodes"]) == 1
