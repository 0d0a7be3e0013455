"""The site of README and docs/: it is built strictly and without a network, and its pages need none."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

pytestmark = pytest.mark.servers  # Sphinx takes seconds

ROOT = Path(__file__).parents[2]
OUTSIDE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)


class Page(HTMLParser):
    """The loaded addresses, the links and the anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.anchors = {""}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Sort the addresses: links of <a>, and everything that a browser loads by itself."""
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                (self.links if tag == "a" else self.loaded).append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it, in a network namespace of its own where the system allows one."""
    built = tmp_path_factory.mktemp("site")
    offline = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*offline, "true"], capture_output=True, check=False).returncode:
        offline = []
    make = (ROOT / "Makefile").read_text("utf-8")
    (options,) = re.findall(r"sphinx-build (.+) -d build/doctrees \. build/site$", make, re.MULTILINE)
    command = [
        *offline,
        sys.executable,
        "-m",
        "sphinx",
        *options.split(),
        "-d",
        str(built / "doctrees"),
        str(ROOT),
        str(built / "html"),
    ]
    built_it = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert built_it.returncode == 0, built_it.stderr
    return built / "html"


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(site: Path) -> None:
    """No page and no stylesheet of the site names a script, a font, a stylesheet or a picture on another server."""
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 30
    assert [(path.name, address) for path, page in pages.items() for address in page.loaded if OUTSIDE.match(address)] == []
    styles = {path: path.read_text("utf-8") for path in site.rglob("*.css")}
    assert [path.name for path, text in styles.items() if re.search(r"url\([\"']?(?:https?:)?//|@import", text)] == []


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    """Each relative link of a page leads to a file of the site, and its anchor to an element there."""
    pages = {path: Page(path) for path in site.rglob("*.html")}
    dead = []
    for path, page in pages.items():
        for link in page.links:
            address, anchor = urldefrag(unquote(link))
            target = (path.parent / address).resolve() if address else path
            if not OUTSIDE.match(link) and not (target.exists() and (target not in pages or anchor in pages[target].anchors)):
                dead.append((path.name, link))
    assert dead == []
