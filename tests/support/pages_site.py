"""Where the pages' tests look: a server of the pages on a thread of its own, and Debian's Chromium without a window.

Not here: what there is to be seen (pages_world.py).
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
from tests.support.pages_world import MadeUp
from tests.support.waiting import PATIENCE_S

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
_UNLIKE = """() => { window.unlike = () => {
    const tried = new Set(JSON.parse(localStorage.getItem('tried') ?? '[]'));
    const looks = new Map([[null, innerWidth]]), found = new Map();
    const hash = text => {
        let [one, other] = [0x12345678, 0x9abcdef0];
        for (const letter of text) {
            one = Math.imul(one ^ letter.codePointAt(), 0x9e3779b1);
            other = Math.imul(other ^ letter.codePointAt(), 0x85ebca77);
        }
        return [one, other].join(' ');
    };
    const look = one => {
        if (!looks.has(one)) {
            const { color, background, opacity, font, textShadow, filter, position, display, visibility } = getComputedStyle(one);
            const own = [one.tagName, one.getAttribute('class'), color, background, opacity, font, textShadow, filter, position];
            looks.set(one, hash([look(one.parentElement), ...own, display, visibility].join()));
        }
        return looks.get(one);
    };
    const hasText = one => [...one.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
    for (const one of document.querySelectorAll('body *')) {
        if (hasText(one) || one.matches('input, select, textarea')) found.set(look(one), one);
    }
    const anew = [...found.keys()].filter(look => !tried.has(look));
    localStorage.setItem('tried', JSON.stringify([...tried, ...anew]));
    return anew.map(look => found.get(look));
};
window.colours = async rules => {
    const texts = unlike();
    return texts.length ? axe.run(texts, { runOnly: rules, selectors: false }) : { violations: [], incomplete: [], passes: [] };
} }"""
"""``unlike`` gives the elements with text, but one of those that look the same, by their colours and font and those of all around
them, here and on the pages before of this width: axe takes 2 ms of CPU for the contrast of a text, and pages have the same texts at
each post. ``colours`` gives what axe says of them."""
SERIOUS_ONES = """async onlyColours => {
    const options = { selectors: false, resultTypes: ['violations'], rules: { 'color-contrast': { enabled: false } } };
    const runs = [await colours(['color-contrast', 'link-in-text-block'])];
    if (!onlyColours) runs.push(await axe.run(options));
    return runs.flatMap(run => run.violations).filter(one => ['serious', 'critical'].includes(one.impact))
        .map(one => [one.id, one.nodes[0].html.slice(0, 200)]);
}"""
"""What axe finds in a page that hinders somebody seriously: its rule and element."""
NOT_NEEDED = (
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup"),  # pages of the browser's own window, drawn anew beside each page
    "SpareRendererForSitePerProcess",  # a process in reserve beside each page
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
        """A world that is to be stored here."""
        return MadeUp(self.database, self.media, users=users, posts=posts, language=language, word=word)

    def page_of(self, world: MadeUp, path: str = "") -> str:
        """The address of a page of this world."""
        return f"{self.address}/worlds/{world.world_id}{path}"


@contextmanager
def a_site(client: Any, uri: str, folder: Path) -> Iterator[Site]:
    """A server with a database of its own, which is dropped at the end."""
    name = f"test_site_{time.monotonic_ns()}"
    with serving(uri, name, folder / "media") as address:
        yield Site(address, client[name], folder / "media")
    client.drop_database(name)


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
    """Debian's Chromium, if it is there without all that belongs to a window: a page then costs half of the CPU.

    A test that needs a browser is skipped where there is none.
    """
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no chromium on PATH: apt-get install chromium-headless-shell")
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
    """A page whose console must stay free of errors, and which asks nobody but the pages' own server."""
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
    """What the pages answer there, with this status."""
    answer = requests.get(address, timeout=PATIENCE_S)
    assert answer.status_code == status, address
    return answer
