"""``python -m bench.tiers``: the cost of a world and the time of its first post, at standard, flex and economy.

Every world is made at each tier with the same seed, so that the requests are the same. An answer at flex takes ten times as long,
and a tenth of the calls at flex is shed. Compared with the documented bounds: the text bill at flex and economy, and the first post
at economy.
"""

from __future__ import annotations

import random
import statistics
import uuid
from dataclasses import dataclass

from rich.console import Console

from bench.in_process import Order, change_settings, make
from bench.report import Options, Report, run
from bench.stack import PROMPT, TestStack, known_status
from generia_assets.durable.collections import HISTORY
from resources.gemini.tiers import ServiceTier

MODEL = "gemini-3.5-flash-lite"
"""What is asked from 2026-12-01 on where nothing is set."""
LATENCY_S, FLEX_SLOWER, SHED = 0.3, 10.0, 0.1
TIERS = (ServiceTier.STANDARD, ServiceTier.FLEX, ServiceTier.ECONOMY)
MOST_OF_BILL = {ServiceTier.STANDARD: 1.0, ServiceTier.FLEX: 0.52, ServiceTier.ECONOMY: 0.55}
"""Part of the standard bill. Cached input costs at flex as much as at standard, which is why flex may take more than a half."""
MOST_OF_FIRST_POST = 1.1
ENOUGH_POSTS = 100
"""In a smaller world the first post alone takes more than economy's share (content/plan.py)."""


@dataclass(frozen=True)
class World:
    """A world of one tier: dollars for text, seconds until the first post and until the end, calls that were shed."""

    bill: float
    first_post: float
    seconds: float
    shed: int
    calls: int


def harness(options: Options, console: Console) -> Report:
    sizes = ((3, 12),) if options.quick else ((25, 150), (10, 30))
    seeds = range(options.seed, options.seed + (1 if options.quick else options.tries or 2))
    rows: list[tuple[object, ...]] = []
    figures: dict[str, object] = {}
    wrong: list[str] = []
    with TestStack(seed=options.seed, settings={"LOG_LEVEL": "ERROR", "GEMINI_MODEL": MODEL}) as stack:
        stack.start_servers()
        change_settings(stack.env)
        _world(stack, 2, 4, ServiceTier.STANDARD, options.seed)  # the first world of a process is slower
        for users, posts in sizes:
            made = {tier: [_world(stack, users, posts, tier, seed) for seed in seeds] for tier in TIERS}
            for tier, worlds in made.items():
                pairs = list(zip(worlds, made[ServiceTier.STANDARD], strict=True))
                bill = [one.bill / standard.bill for one, standard in pairs]
                first = [one.first_post / standard.first_post for one, standard in pairs]
                name = f"{users}/{posts} {tier}"
                figures |= {f"{name} bill": round(max(bill), 3), f"{name} first post": round(statistics.median(first), 2)}
                rows.append((name, *_spread([one.bill for one in worlds], 4), _of(bill), *_row(worlds), _of(first)))
                console.print(" ".join(map(str, rows[-1])))
                if posts >= ENOUGH_POSTS and max(bill) > MOST_OF_BILL[tier]:
                    wrong.append(f"{name}: {max(bill):.3f} of the standard bill, at most {MOST_OF_BILL[tier]} are promised")
                if tier is ServiceTier.ECONOMY and statistics.median(first) > MOST_OF_FIRST_POST:
                    wrong.append(f"{name}: the first post took {statistics.median(first):.2f} times as long as at standard")
    headings = ("world", "text $", "of standard", "first post s", "all s", "shed", "first of standard")
    return Report(not wrong, figures, headings, rows, wrong)


def _world(stack: TestStack, users: int, posts: int, tier: ServiceTier, seed: int) -> World:
    stack.gemini.reset()
    stack.gemini.set_faults(latency=LATENCY_S, flex_slower=FLEX_SLOWER, flex_shed=SHED)
    world_id = str(uuid.UUID(int=random.Random(f"{users}/{posts}/{tier}/{seed}").getrandbits(128), version=4))
    made = make(Order(world_id, users, posts, PROMPT, service_tier=tier.value, seed=seed))
    with stack.database() as database:
        status = known_status(database, world_id)
        first_call = database[HISTORY].find_one({"world_id": world_id, "api_type": "llm"}, sort=[("created_at", 1)])
        shed = database[HISTORY].count_documents({"world_id": world_id, "outcome": "shed"})
    if not made.success or first_call is None or status.first_post_at is None or status.finished_at is None:
        raise RuntimeError(f"world {world_id} was not made: {made.failure}")
    began = first_call["created_at"].replace(tzinfo=status.first_post_at.tzinfo)
    return World(
        status.llm_cost_total,
        (status.first_post_at - began).total_seconds(),
        (status.finished_at - began).total_seconds(),
        shed,
        status.api_calls_made_LLM,
    )


def _row(worlds: list[World]) -> tuple[str, ...]:
    first, seconds = [one.first_post for one in worlds], [one.seconds for one in worlds]
    return (*_spread(first, 2), *_spread(seconds, 1), f"{sum(one.shed for one in worlds)} of {sum(one.calls for one in worlds)}")


def _spread(values: list[float], digits: int) -> tuple[str]:
    return (f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})",)


def _of(shares: list[float]) -> str:
    return f"{statistics.median(shares):.3f} ({max(shares):.3f})"


if __name__ == "__main__":
    run("tiers", __doc__.splitlines()[0], harness)
