"""``generia quote --compare`` for people: one row for each model at each service tier, one column for each image provider.

Here: the table, in any width. Not here: the quotes (generia_assets/quotes.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text as Line

from generia_assets.cli.console import labels
from generia_assets.cli.rendering.formats import FittedTable, about
from generia_assets.content.text import about_dollars, plural
from generia_assets.quotes import Quote
from resources.gemini.tiers import ServiceTier

MODEL, TIER, TEXTS, BETWEEN, TIME = "model", "tier", "texts", "between", "time"


def print_comparison(console: Console, size: str, quotes: Sequence[Quote], configured: Quote) -> None:
    """The table, the cheapest row first; the row that is configured is bold and has a star."""
    rows: dict[tuple[str, ServiceTier], dict[str, Quote]] = {}
    for quote in quotes:  # the cheapest is the first
        rows.setdefault((quote.model, quote.service_tier), {})[quote.images] = quote
    providers = [quote for quote in next(iter(rows.values())).values() if quote.pictures_usd > 0]
    titles = _titles([quote.images for quote in providers])
    gives_way = (BETWEEN, *titles[:0:-1], TIME, TEXTS)
    table = FittedTable((MODEL, TIER, TEXTS, BETWEEN, *titles, TIME), 2, gives_way if titles else (BETWEEN, TIME))
    for kind, row in rows.items():
        of = next(iter(row.values()))
        star = kind == (configured.model, configured.service_tier)
        cells = (
            of.model.removeprefix("gemini-") + ("*" if star else ""),
            of.service_tier.value,
            _cents(of.texts_usd),
            "-".join(map(_cents, of.texts_interval_usd)),
            *(_cents(row[quote.images].cost_usd) for quote in providers),
            about(60 * max(quote.minutes for quote in row.values())),
        )
        table.rows.append([Line(cell, "bold" if star else "") for cell in cells])
    calls = f"{plural(configured.llm_calls, 'call')} of the model, {plural(configured.image_calls, 'picture')}"
    console.print(f"{size}: {calls}. In US dollars, by Gemini's models; * is configured.")
    table.print(console)
    between = "19 of 20 bills for texts are there" if configured.learned_worlds else "assumed, until worlds were finished here"
    console.print(f"{TEXTS}: texts alone; {BETWEEN}: {between}; the columns with +: texts and pictures.")
    pictures = (f"with pictures of {quote.images}, {_cents(quote.pictures_usd)} of it for these" for quote in providers)
    labels(console, zip(titles, pictures, strict=True))


def _titles(providers: Sequence[str]) -> list[str]:
    """A short title for each image provider: gemini-3.1-flash-lite-image is +flash-lite, if no other is."""
    short = [re.sub(r"^gemini-[\d.]+-|-image$|^.*:", "", name) for name in providers]
    return [f"+{title}" for title in (short if len({*short}) == len(short) else providers)]


def _cents(usd: float) -> str:
    return about_dollars(usd).removeprefix("$")
