"""``generia quote``: what a world takes, before it is ordered; with ``--compare`` by every model, service tier and image provider.

Here: the command, and its table in any width. Not here: the quotes (generia_assets/quotes.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text as Line

from generia_assets.cli import order as ordering
from generia_assets.cli.connections import settings
from generia_assets.cli.console import CommandError, command_name, labels, results
from generia_assets.cli.options import Json, flag, option
from generia_assets.cli.rendering.formats import FittedTable, about, as_json, share
from generia_assets.content import languages
from generia_assets.content.documents import Quality
from generia_assets.content.text import about_dollars, plural
from resources.gemini.tiers import ServiceTier

if TYPE_CHECKING:
    from generia_assets.quotes import Quote

MODEL, TIER, TEXTS, BETWEEN, TIME = "model", "tier", "texts", "between", "time"


def _language(given: str) -> str:
    if not languages.tag(given):
        raise typer.BadParameter(f"{given[:60]!r} is no language; name one in English or by its tag, such as Japanese or ja.")
    return languages.canonical(given)


LanguageOption = Annotated[
    str | None,
    option(
        "--language",
        "NAME",
        "Estimate from the finished worlds in this language; without it, from those in all languages.",
        _language,
    ),
]
Compare = Annotated[bool, flag("--compare", "A table of all service tiers, models and image providers.")]


def quote(
    users: ordering.Users = ordering.DEFAULT_USERS,
    posts: ordering.Posts = ordering.DEFAULT_POSTS,
    quality: ordering.QualityOption = Quality.STANDARD,
    service_tier: ordering.TierOption = None,
    language: LanguageOption = None,
    compare: Compare = False,
    json: Json = False,
) -> None:
    """Calls and pictures are exact, if every answer is usable. Tokens, US dollars and minutes are estimates: texts by what the
    worlds used that were finished here, at today's price of the model that is asked (GEMINI_MODEL or who took over from it), or
    else by assumptions; minutes by the pace of recent calls, or else of a fast model. 19 of 20 bills are in the interval in
    brackets, once enough worlds were finished here. Says what ends or changes when. `--compare` has all service tiers, models and
    image providers in one table, the cheapest first. Needs no server and spends nothing.

    \b
    generia quote --users 25 --posts 150 --language Japanese
    generia quote --users 25 --posts 150 --compare
    generia quote --users 1000 --posts 10000 --quality high --json | jq .cost_usd
    """
    from generia_assets import quotes

    chosen = settings()
    order = ordering.world_parameters(
        chosen, users=users, posts=posts, prompt="a quote", quality=quality, service_tier=service_tier
    )
    size, console = f"{plural(users, 'person')}, {plural(posts, 'post')}, quality {quality.value}", results()
    if compare and service_tier is not None:
        raise CommandError("--service-tier: --compare shows all of them; leave one of the two out", 2)
    known = ordering.knowledge(chosen)
    quoted = quotes.quote_for(chosen, known, order, language=language)
    compared = quotes.compare(chosen, known, order, language=language) if compare else []
    if json:
        typer.echo(as_json({"quotes": compared} if compare else quoted))
        return
    if compared:
        print_comparison(console, size, compared, quoted)
        return
    console.print(f"{size}, with {quoted.model} at {quoted.service_tier.value}:")
    labels(console, _lines(quoted))
    console.print(f"To order it: {command_name()} send --users {users} --posts {posts} --prompt TEXT [--max-cost-usd DOLLARS]")


def _lines(quoted: Quote) -> Iterator[tuple[str, str]]:
    from generia_assets.queries.learned import FEWEST_WORLDS
    from generia_assets.quotes import price_sentence

    pace = "by the pace of calls made here lately" if quoted.measured else "assumed of a fast model; here nothing was measured yet"
    yield "calls", f"{quoted.llm_calls} of the language model, {plural(quoted.image_calls, 'picture')}"
    yield "tokens", f"about {quoted.input_tokens:,} in ({quoted.cached_tokens:,} of them cached), {quoted.output_tokens:,} out"
    yield "dollars", f"about {quoted.price}"
    of_texts, of_pictures = (share(usd / (quoted.cost_usd or 1)) for usd in (quoted.texts_usd, quoted.pictures_usd))
    yield "  texts", f"{price_sentence(quoted.texts_usd, quoted.texts_interval_usd)}, {of_texts}"
    yield "  pictures", f"{price_sentence(quoted.pictures_usd, quoted.pictures_interval_usd)}, {of_pictures}, by {quoted.images}"
    if quoted.learned_worlds:
        yield "learned", f"from {plural(quoted.learned_worlds, 'world')} that were finished here {quoted.learned}"
    else:
        until = f"until {FEWEST_WORLDS} worlds were finished here"
        yield "assumed", f"of texts in English, {until}; other scripts take up to twice as much"
    yield "time", f"about {about(60 * quoted.minutes)}, {pace}"
    limits = f"{plural(quoted.llm_call_limit, 'call')}, {plural(quoted.image_call_limit, 'picture')}"
    yield "never more", f"than {limits} (BUDGET_SPARE)"
    for change in quoted.changes:
        yield "model", change


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
