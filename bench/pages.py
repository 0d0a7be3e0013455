"""``python -m bench.pages``: the size of the pages of ten thousand posts, when they are painted, and how soon a new post is
visible.

Debian's Chromium, with an empty cache, loads the pages from their own server; the world also has ten thousand people. The figures
are compared with those of a world whose people and posts fit on one page, measured alternately in the same run. A page of the large
world must not be larger or slower, whatever the machine. Pages of finished worlds read assets, those of growing worlds read tasks;
both are measured. Needs `chromium` (apt-get install chromium).
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from playwright.sync_api import Browser, Page, Response, sync_playwright
from rich.console import Console

from bench.report import Options, Report, run
from bench.stack import TestStack
from generia_assets.durable.events.events import post_published
from generia_assets.pages.live import LOOK_S
from generia_assets.queries.feed import POSTS_PAGE
from generia_assets.queries.people import PEOPLE_PAGE
from tests.support.pages_world import MadeUp

MANY = 10_000
PAGES = {"feed": "", "people": "/people", "person": "/characters/c0007"}
MOST_OWN_BYTES = 500_000
"""HTML, style and script of any page."""
MOST_WEIGHT = 1.25
"""Bytes for each byte of the small world's page: names and numbers are longer, and more of them lead on."""
MOST_SLOWER, PAINT_ALLOWANCE_S = 2.0, 0.1
"""How much later than the small world's a page of the large world may be painted; the allowance is for the machine."""
MOST_LOOKS = 5
"""Of the server at a growing world, until a published post is seen; half a look is what it takes if all the rest took nothing."""
HEADINGS = ("world", "page", "HTML KB", "CSS+JS KB", "first paint ms", "worst", "of the small world's")
WATCH = """() => {
    window.seen = {};
    new MutationObserver((changes) => {
        for (const one of changes.flatMap((change) => [...change.addedNodes]))
            if (one.dataset?.key) requestAnimationFrame(() => setTimeout(() => { seen[one.dataset.key] = Date.now() }));
    }).observe(document.getElementById("posts"), { childList: true });
}"""
"""Notes when each post that comes in was painted: right after the frame that has it, by this machine's clock."""
SEEN, PAINTED = "window.seen[key]", "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
PATIENCE_S = 30


class NoBrowserError(RuntimeError):
    """There is no Chromium on PATH."""


@dataclass
class Look:
    """A page of a world, and the figures of each load. Bytes by kind of resource; seconds to the first contentful paint."""

    world: str
    page: str
    address: str
    weight: dict[str, int] = field(default_factory=dict)
    painted_s: list[float] = field(default_factory=list)

    @property
    def own_bytes(self) -> int:
        return sum(self.weight[kind] for kind in ("document", "stylesheet", "script"))

    @property
    def paint_s(self) -> float:
        return median(self.painted_s)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window. Raises ``NoBrowserError``."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise NoBrowserError("there is no chromium on PATH: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def load(browser: Browser, look: Look) -> None:
    """Open the page like a first visitor, and record what was loaded and when it was painted."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        answers: list[Response] = []
        page.on("response", lambda answer: answers.append(answer))  # playwright marks what it calls, and a method cannot be marked
        page.goto(look.address, wait_until="load")
        look.painted_s.append(awaited(page, PAINTED))
        look.weight = {"document": 0, "stylesheet": 0, "script": 0}
        for answer in answers:
            kind = answer.request.resource_type
            if kind in look.weight:
                look.weight[kind] += len(answer.body())


def awaited(page: Page, moment: str, key: str = "") -> float:
    """The moment in seconds, as soon as the page has it. Raises playwright's ``Error`` if it does not within ``PATIENCE_S``."""
    script = f"""key => new Promise((found, late) => {{
        const look = () => {{ const moment = {moment}; if (moment) found(moment); else setTimeout(look, 10) }};
        setTimeout(() => late(new Error(`no {moment.split("(")[0]} of ${{key}} within {PATIENCE_S} s`)), {PATIENCE_S * 1000});
        look();
    }})"""
    milliseconds: float = page.evaluate(script, key)  # wait_for_function is forbidden by the pages' own policy
    return milliseconds / 1000


def sights(page: Page, world: MadeUp, address: str, numbers: Sequence[int]) -> list[float]:
    """Seconds from the commit that publishes each of these posts until the open page of the world shows it."""
    page.goto(address, wait_until="load")
    page.evaluate(WATCH)
    found = []
    for number in numbers:
        key = world.post_key(number)
        event = post_published(world.character(number % world.users), world.post(key), world.published(key, number), None)
        world.tell(event, posts_created=number + 1)
        published_at = time.time()
        found.append(awaited(page, SEEN, key) - published_at)
        page.wait_for_timeout(random.uniform(0, 1000 * LOOK_S))  # else each post would come at the same moment between two polls
    return found


def harness(options: Options, console: Console) -> Report:
    random.seed(options.seed)
    loads, published = (5, 8) if options.quick else (15, 40)
    try:
        with TestStack() as stack, chromium() as browser:
            stack.start_mongod()
            site = stack.start_pages()
            with stack.database() as database:
                small, large = (
                    [MadeUp(database, stack.folder / "media", users=users, posts=posts) for _ in range(2)]
                    for users, posts in ((PEOPLE_PAGE, POSTS_PAGE + published), (MANY, MANY))
                )
                worlds = {
                    "small": small[0].make(),
                    "large": large[0].make(),
                    "small, growing": small[1].begin(),
                    "large, growing": large[1].begin(),
                }
                console.print(f"{len(worlds)} worlds are made; each of their pages is opened {loads} times")
                looks = [
                    Look(name, page, f"{site}/worlds/{world.world_id}{path}")
                    for name, world in worlds.items()
                    for page, path in PAGES.items()
                ]
                for look in random.sample(looks * loads, len(looks) * loads):  # mixed: a slow moment affects all
                    load(browser, look)
                seen = {}
                for name in ("small, growing", "large, growing"):
                    world = worlds[name]
                    fresh = range(world.posts, world.posts + published)
                    with browser.new_context() as context:
                        seen[name] = sights(context.new_page(), world, f"{site}/worlds/{world.world_id}", fresh)
    except NoBrowserError as error:
        return Report(ok=False, figures={"wrong": [str(error)]}, remarks=[str(error)])
    return judged(looks, seen)


def judged(looks: Sequence[Look], seen: dict[str, list[float]]) -> Report:
    """The figures, and one sentence for each bound that is exceeded."""
    wrong, rows = [], []
    by_name = {(look.world, look.page): look for look in looks}
    slower = heavier = 0.0
    for look in looks:
        base = by_name[look.world.replace("large", "small"), look.page]
        weight, pace = look.own_bytes / base.own_bytes, look.paint_s / base.paint_s
        slower, heavier = max(slower, pace), max(heavier, weight)
        name = f"{look.page} of the world that is {look.world}"
        if look.own_bytes > MOST_OWN_BYTES:
            wrong.append(f"{name}: {look.own_bytes} bytes of HTML, style and script, more than {MOST_OWN_BYTES}")
        if weight > MOST_WEIGHT:
            wrong.append(f"{name}: {weight:.2f} times the bytes of the small world's, more than {MOST_WEIGHT}")
        if look.paint_s > MOST_SLOWER * base.paint_s + PAINT_ALLOWANCE_S:
            wrong.append(f"{name}: painted after {look.paint_s:.3f} s, the small world's after {base.paint_s:.3f} s")
        html = look.weight["document"]
        paint = (f"{look.paint_s * 1000:.0f}", f"{max(look.painted_s) * 1000:.0f}", f"{pace:.2f}")
        rows.append((look.world, look.page, f"{html / 1000:.0f}", f"{(look.own_bytes - html) / 1000:.0f}", *paint))
    for world, times in seen.items():
        if median(times) > MOST_LOOKS * LOOK_S:
            wrong.append(f"posts are seen {median(times):.2f} s after they are published in the world that is {world}")
    feed = by_name["large", "feed"]
    figures = {
        "posts": MANY,
        "people": MANY,
        "page_bytes": feed.own_bytes,
        "html_bytes": feed.weight["document"],
        "css_bytes": feed.weight["stylesheet"],
        "js_bytes": feed.weight["script"],
        "first_paint_s": round(feed.paint_s, 3),
        "first_paint_growing_s": round(by_name["large, growing", "feed"].paint_s, 3),
        "largest_paint_ratio": round(slower, 2),
        "largest_weight_ratio": round(heavier, 2),
        "seconds_to_sight": round(median(seen["large, growing"]), 3),
        "seconds_to_sight_worst": round(max(seen["large, growing"]), 3),
        "seconds_to_sight_small": round(median(seen["small, growing"]), 3),
        "look_s": LOOK_S,
        "wrong": wrong,
    }
    return Report(ok=not wrong, figures=figures, headings=HEADINGS, rows=rows, remarks=wrong)


if __name__ == "__main__":
    run("pages", __doc__.splitlines()[0], harness)
