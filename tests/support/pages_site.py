"""For the pages' tests: a server of the pages in its own thread, and Debian's Chromium without a window.

Not here: the content of the pages (pages_world.py).
"""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import requests
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from generia_assets.pages.app import Source, pages_app
from tests.support.databases import database_with_indexes
from tests.support.pages_world import MadeUp
from tests.support.waiting import PATIENCE_S

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
_UNLIKE = """() => { window.unlike = (tried = new Set()) => {
    const looks = new Map([[null, '']]), found = new Map();
    const look = one => {
        if (!looks.has(one)) {
            const { color, background, opacity, font, textShadow, filter, position, display, visibility } = getComputedStyle(one);
            const own = [one.tagName, one.getAttribute('class'), color, background, opacity, font, textShadow, filter, position];
            looks.set(one, [look(one.parentElement), ...own, display, visibility].join());
        }
        return looks.get(one);
    };
    const hasText = one => [...one.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
    for (const one of document.querySelectorAll('body *')) {
        if (hasText(one) || one.matches('input, select, textarea')) found.set(look(one), one);
    }
    for (const known of tried) found.delete(known);
    for (const now of found.keys()) tried.add(now);
    return [...found.values()];
} }"""
"""Gives the elements with text, but one of those that look the same, by their colours and font and those of all around them: axe
takes 2 ms of CPU for the contrast of a text, and a page has the same texts at each post. Those that look as one of ``tried`` are
left out, and the others are added to it."""
SERIOUS_ONES = """async onlyColours => {
    const options = { selectors: false, resultTypes: ['violations'] };
    const runs = [await axe.run(unlike(), { ...options, runOnly: ['color-contrast', 'link-in-text-block'] })];
    if (!onlyColours) runs.push(await axe.run({ ...options, rules: { 'color-contrast': { enabled: false } } }));
    return runs.flatMap(run => run.violations).filter(one => ['serious', 'critical'].includes(one.impact))
        .map(one => [one.id, one.nodes[0].html.slice(0, 200)]);
}"""
"""What axe finds in a page that hinders somebody seriously: its rule and element."""
NOT_NEEDED = (
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup"),  # pages of the browser's own window, drawn again with each page
    "SpareRendererForSitePerProcess",  # a spare process for each page
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable"),
    *("LensOverlay", "MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning", "AvoidCorsURLLoaderRestartOnRedirect"),
    *("OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled", "PreconnectToSearch"),
)
"""Features of Chromium that are switched off: the first three are half of the CPU of opening a page; the others are those that
Playwright switches off, whose list this one replaces."""


@dataclass(frozen=True)
class Site:
    """A server of the pages, the database that it reads and the folder of its pictures."""

    address: str
    database: Any
    media: Path

    def world(self, *, users: int, posts: int, language: str = "English", word: str = "") -> MadeUp:
        """A world that can be stored in this database."""
        return MadeUp(self.database, self.media, users=users, posts=posts, language=language, word=word)

    def page_of(self, world: MadeUp, path: str = "") -> str:
        """The address of a page of this world."""
        return f"{self.address}/worlds/{world.world_id}{path}"


@contextmanager
def a_site(client: Any, uri: str, folder: Path) -> Iterator[Site]:
    """A server with its own database, which is emptied at the end."""
    with database_with_indexes(client) as name, serving(uri, name, folder / "media") as address:
        yield Site(address, client[name], folder / "media")


@contextmanager
def serving(uri: str, database: str, media: Path, *, port: int = 0) -> Iterator[str]:
    """The pages' server on a free port (or this one), on a thread of its own; gives its address."""
    listener = socket.create_server(("127.0.0.1", port))
    server: uvicorn.Server
    app = pages_app(Source(uri, database, media), closing=lambda: server.should_exit)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not server.started:
            assert thread.is_alive() and time.monotonic() < deadline, "the pages' server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        listener.close()
        assert not thread.is_alive(), "the pages' server did not end"


def chromium_path() -> str:
    """Debian's Chromium; tests that need it are skipped if it is not installed."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium on PATH: apt-get install chromium")
    return found


@contextmanager
def a_browser() -> Iterator[Browser]:
    """A Chromium without a window."""
    path = chromium_path()
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", f"--disable-features={','.join(NOT_NEEDED)}"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def a_page(browser: Browser, *, width: int = 1280, scheme: Scheme = "light") -> Iterator[Page]:
    """A page whose console must have no errors, and which makes requests only to the pages' server."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_S * 1000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("response", lambda answer: complaints.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    try:
        yield page
        assert complaints == []
    finally:
        context.close()


def load_axe(page: Page) -> None:
    """Put axe into the page that is open there, for ``SERIOUS_ONES``."""
    page.evaluate(Axe().axe_script)
    page.evaluate(_UNLIKE)


def get(address: str, status: int = 200) -> requests.Response:
    """The answer of the pages at this address, which must have this status."""
    answer = requests.get(address, timeout=PATIENCE_S)
    assert answer.status_code == status, address
    return answer
