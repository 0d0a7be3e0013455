"""``python -m bench.quote``: how far the bills of worlds are from their quotes, which use figures of other worlds.

Small worlds give the figures, and worlds of mixed sizes are measured, in four languages, with damaged, looped and refused answers.
The emulator's texts are too similar without ``length_spread`` (tokens of a call differ by 3 % between worlds); with it some people
write twice as much as others. The quote of each measured world uses other worlds only, and is compared with its bill. Only texts
count, because pictures have a fixed price and would hide the errors of texts.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from rich.console import Console

from bench.in_process import Order, change_settings, make
from bench.report import Options, Report, run
from bench.stack import IMPATIENT, TestStack, status_of
from emulators.gemini.faults import Faults
from generia_assets.catalog import TaskType
from generia_assets.durable.calls.usage import Usage
from generia_assets.durable.collections import GENERATIONS
from generia_assets.durable.orders.order import parse_stored
from generia_assets.durable.status import WorldStatus
from generia_assets.quotes import Knowledge, Quote, quote_of
from generia_assets.settings import settings

MODEL, OTHER_MODEL = "gemini-3.5-flash-lite", "gemini-2.5-flash-lite"
SENTENCES = {
    "English": "A town on the back of a tortoise that has just started walking again; trams, bees, no kings",
    "Russian": "Город на спине спящей черепахи, где по утрам продают вчерашние сны; трамваи, пчёлы, без королей",
    "Japanese": "眠る亀の背中の町。朝には昨日の夢が売られている。路面電車と蜂がいて、王はいない",
    "Hindi": "सोते हुए कछुए की पीठ पर एक शहर, जहाँ सुबह कल के सपने बिकते हैं",
}
SMALL = ((2, 5), (3, 6), (4, 10), (5, 12))
MIXED = ((3, 6), (5, 12), (8, 30), (12, 60), (25, 150))
FAULTS = {"truncated_json": 0.02, "broken_json": 0.02, "too_few": 0.01, "looped": 0.005, "answer_blocked": 0.01}
FAULTS |= {"after_calls": 1, "length_spread": 0.3}
MOST_OFF, LEAST_INSIDE = 0.05, 0.9
HEADINGS = ("learned from", "measured", "inside", "median error", "width")


@dataclass(frozen=True)
class Finished:
    """A made world: its bill, and the usage of its calls."""

    language: str
    users: int
    posts: int
    status: WorldStatus
    usage: Usage


@dataclass
class Comparison:
    """Bills and their quotes. ``errors``: bill minus quote, as a part of the quote; ``widths``: of the intervals."""

    name: str
    errors: list[float] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    inside: int = 0

    def add(self, bill: float, quoted: Quote) -> bool:
        low, high = quoted.texts_interval_usd
        self.errors.append(bill / quoted.texts_usd - 1)
        self.widths.append((high - low) / quoted.texts_usd)
        self.inside += low <= bill <= high
        return low <= bill <= high

    @property
    def off(self) -> float:
        return median(map(abs, self.errors))

    @property
    def share_inside(self) -> float:
        return self.inside / len(self.errors)

    def row(self) -> tuple[object, ...]:
        return self.name, len(self.errors), f"{self.share_inside:.0%}", f"{self.off:.1%}", f"{median(self.widths):.0%}"


class Quotes:
    """Worlds that are made in one stack, and their quotes."""

    def __init__(self, stack: TestStack, seed: int, console: Console) -> None:
        self._stack = stack
        self._console = console
        self._seed = seed
        self._random = random.Random(seed)

    def worlds(self, count: int, sizes: Sequence[tuple[int, int]], model: str) -> Iterator[Finished]:
        """This number of worlds of these sizes, every second one in English. A world that a fault ended is left out: it has no
        usage."""
        change_settings({"GEMINI_MODEL": model})
        for number in range(count):
            language = list(SENTENCES)[number // 2 % len(SENTENCES)] if number % 2 else "English"
            users, posts = sizes[number % len(sizes)]
            world_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
            with self._stack.gemini as gemini:
                gemini.replace_faults(Faults.model_validate({**FAULTS, "seed": self._seed + number}))
            made = make(Order(world_id, users, posts, SENTENCES[language]))
            with self._stack.database() as database:
                status = status_of(database, world_id)
                generation = database[GENERATIONS].find_one({"world_id": world_id}) or {}
            if status is None or not made.success:
                self._console.print(f"{users}/{posts} in {language} failed: {made.failure[:200]}")
                continue
            yield Finished(language, users, posts, status, Usage.model_validate(generation["usage"]))

    def compare(
        self, name: str, measured: Sequence[Finished], others: Callable[[Finished], Sequence[Finished]], *, spoken: bool = True
    ) -> Comparison:
        """Quote each world from the others. ``spoken``: the quote uses the language."""
        compared = Comparison(name)
        for world in measured:
            known = Knowledge(worlds=[other.usage for other in others(world)])
            order = parse_stored(world.status.parameters)
            language = world.language if spoken else None
            quoted = quote_of(settings(), known, world.status.world_id, order, list(TaskType), language=language)
            if not compared.add(world.status.llm_cost_total, quoted):
                size = f"{world.users}/{world.posts} in {world.language}"
                self._console.print(f"{name}: {size} cost ${world.status.llm_cost_total:.4f}, quoted {quoted.texts_interval_usd}")
        return compared


def harness(options: Options, console: Console) -> Report:
    logging.disable(logging.WARNING)  # a thousand warnings about faults that were ordered
    numbers = (20, 8, 8) if options.quick else (60, 30, 12)
    with TestStack(settings=IMPATIENT, seed=options.seed) as stack:
        stack.start_servers()
        change_settings({**stack.env, "BUDGET_SPARE": "1"})
        quotes = Quotes(stack, options.seed, console)
        other = list(quotes.worlds(numbers[2], SMALL, OTHER_MODEL))
        small = list(quotes.worlds(numbers[0], SMALL, MODEL))
        mixed = list(quotes.worlds(numbers[1], MIXED, MODEL))
        every = [*small, *mixed]
        held = [
            quotes.compare(f"{len(small)} small worlds", mixed, lambda _: small),
            quotes.compare("all but the measured", every, lambda world: [one for one in every if one is not world]),
        ]
        reported = [
            quotes.compare("small worlds, language unknown", mixed, lambda _: small, spoken=False),
            quotes.compare(f"{len(other)} small worlds of {OTHER_MODEL}", mixed, lambda _: other),
            quotes.compare("nothing", mixed, lambda _: ()),
        ]
    most_off = 2 * MOST_OFF if options.quick else MOST_OFF  # a few worlds give less precise figures
    wrong = [one.name for one in held if one.share_inside < LEAST_INSIDE or one.off > most_off]
    return Report(
        ok=not wrong,
        figures={one.name: {"inside": one.share_inside, "off": round(one.off, 4)} for one in (*held, *reported)} | {"wrong": wrong},
        headings=HEADINGS,
        rows=[one.row() for one in (*held, *reported)],
        remarks=[f"The first two must have {LEAST_INSIDE:.0%} inside and a median error of at most {most_off:.0%}."],
    )


if __name__ == "__main__":
    run("quote", __doc__, harness)
