"""The cases of ``make bench``, one entry each: the measurement and its bound.

Not here: making and costs (session.py), the arithmetic of bounds (bounds.py).
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from bench import span_cost
from bench.ceiling import CEILING, CONFIGURED, measure
from bench.first_call import GRID_SECONDS, way_of
from bench.speed import bounds
from bench.speed.session import Costs, Made, Session, Until, World, has_post, is_over
from generia_assets.durable.status import HIGHEST_PRIORITY
from generia_assets.queries.statistics import percentile
from resources.gateway.calls import Api


@dataclass(frozen=True)
class Line:
    """One value of one measurement. ``bound``: None where there is none; ``rate``: more is better."""

    name: str
    unit: str
    value: float
    bound: float | None = None
    rate: bool = False


@dataclass(frozen=True)
class Measured:
    """The result of one run of a case. ``costs``: those of its worlds; None if it made none."""

    lines: Sequence[Line]
    costs: Costs | None = None


Measure = Callable[[Session], Measured]
Look = Callable[[Session, Made], Iterator[Line]]


@dataclass(frozen=True)
class Case:
    """A case. ``seconds``: the usual duration of one run; ``llm``, ``pictures``: seconds that an answer and a picture take."""

    name: str
    what: str
    measure: Measure
    seconds: float
    llm: float = 0.5
    pictures: float = 0.0
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def answer_seconds(self) -> dict[Api, float]:
        return {Api.LLM: self.llm, Api.IMAGE: self.pictures}


def worlds(*sizes: tuple[int, int], looks: Sequence[Look], until: Until = is_over) -> Measure:
    """Make worlds of these sizes at once until this holds, and measure the result."""

    def measured(session: Session) -> Measured:
        made = session.make(*sizes, until=until)
        return Measured([line for look in looks for line in look(session, made)], made.costs)

    return measured


def by_slots(session: Session, made: Made) -> Iterator[Line]:
    """First to last call, compared with the time of the same answers if every slot of the model is in use."""
    least = len(made.of(Api.LLM)) * session.seconds[Api.LLM] / session.slots[Api.LLM]
    yield Line("first to last call, against slots", "s", made.span, least)


def by_graph(session: Session, made: Made) -> Iterator[Line]:
    """First to last call, compared with a schedule of the world's graph."""
    yield Line("first to last call, against a schedule", "s", made.span, bounds.schedule(made.graph, session.slots))


def cpu(session: Session, made: Made) -> Iterator[Line]:
    """CPU for each outside call; the bound is the fixed loop, so that the ratio is a share of it."""
    yield Line("CPU of the run per call", "ms", made.costs.run_ms, made.costs.loop_ms)
    yield Line("CPU of all processes per call", "ms", made.costs.all_ms, made.costs.loop_ms)


def to_first_post(session: Session, made: Made) -> Iterator[Line]:
    """From the first call to the first post, compared with the longest path to it."""
    (world,) = made.worlds
    begun = min(call.at.timestamp() for call in made.calls)
    yield Line("first call to first post", "s", world.first_post - begun, bounds.first_post(made.graph))


def slots_used(session: Session, made: Made) -> Iterator[Line]:
    """The share of the model's slots in use, from the first call to the last one."""
    used = len(made.of(Api.LLM)) * session.seconds[Api.LLM]
    yield Line("slots used", "%", 100 * used / session.slots[Api.LLM] / bounds.span(made.of(Api.LLM)), 100.0, rate=True)


def pace(session: Session, made: Made) -> Iterator[Line]:
    """Outside calls a second, compared with a schedule of the graphs."""
    least = bounds.schedule(made.graph, session.slots)
    yield Line("outside calls a second", "/s", len(made.calls) / made.span, len(made.calls) / least, rate=True)


def starts(session: Session, orders: int = 20) -> Measured:
    """From the message to the first call, warm, at random moments of the sensor's grid."""
    dice, ways = random.Random(session.stack.seed), []
    session.answer()
    for _ in range(orders):
        time.sleep(dice.uniform(0, GRID_SECONDS))
        ways.append(way_of(session.stack))
    seconds = [way.stations[-1] for way in ways]
    least = sum(map(min, zip(*(way.legs for way in ways), strict=True)))
    return Measured(
        [
            Line(f"message to first call, median of {orders}", "s", statistics.median(seconds), least),
            Line(f"message to first call, 95 % of {orders}", "s", percentile(seconds, 0.95), least),
        ]
    )


def ceiling(session: Session, calls: int = 240) -> Measured:
    """The throughput below a hard ceiling of the provider, and the time until all slots are in use after it."""
    found = measure(session.stack, calls, until_back=True)
    lines = [
        Line(f"{calls} calls, ceiling of {CEILING}", "s", found.seconds, found.bound),
        Line("refused by the ceiling", "calls", found.refused),
    ]
    if found.back is not None:
        lines.append(Line(f"until {CONFIGURED} at once again", "s", found.back))
    return Measured(lines)


def long_tail(session: Session) -> Measured:
    """Idle slots while calls wait, where 5 % of the answers take ten times as long and 2 % never come."""
    made = session.make((25, 150), slow=0.05, hang=0.02)
    calls, answered = made.of(Api.LLM), bounds.as_answered(made.graph, made.calls)
    used, idle = bounds.slot_seconds(calls, session.slots[Api.LLM])
    return Measured(
        [
            Line("slot seconds used, and idle while calls waited", "s", used + idle, used),
            Line("first to last call, against a schedule", "s", made.span, bounds.schedule(answered, session.slots)),
            Line("longest call", "s", max(call.duration_ms for call in calls) / 1000),
        ],
        made.costs,
    )


def growth(session: Session, sizes: Sequence[tuple[int, int]] = ((1, 10), (50, 500), (1000, 10_000))) -> Measured:
    """The cost of a call in a large world, compared with a world of a twentieth of its size; Dagster's events compared with a tiny
    world."""
    tiny, small, large = (session.make(size) for size in sizes)
    return Measured(
        [
            Line("CPU of the run per call, against 500 posts", "ms", large.costs.run_ms, small.costs.run_ms),
            Line("memory of the run, against 500 posts", "MB", large.costs.peak_mb, small.costs.peak_mb),
            Line("Dagster events, against 10 posts", "events", _events(session, large), _events(session, tiny)),
        ],
        large.costs,
    )


def _events(session: Session, made: Made) -> int:
    with session.stack.instance() as instance:
        runs = instance.get_run_records(dg.RunsFilter(tags={"dagster/partition": made.worlds[0].world_id}))
        return sum(len(instance.all_logs(run.dagster_run.run_id)) for run in runs)


def beside(session: Session) -> Measured:
    """A small world alone, and ordered while a large one uses all slots: from the message to its first post."""
    alone = session.make((3, 6)).worlds[0]
    large, _ = session.order(500, 5000)
    session.wait(large, lambda status: status.api_calls_made_LLM >= 300)
    world_id, sent = session.order(3, 6)
    together = World(world_id, 3, 6, sent, session.wait(world_id, has_post))
    session.stop(large)
    value, bound = (world.first_post - world.ordered for world in (together, alone))
    return Measured([Line("message to first post", "s", value, bound)])


def ahead(session: Session, others: int = 20, size: tuple[int, int] = (10, 30)) -> Measured:
    """A world of the highest priority alone, and ordered while others use all slots and all places for runs: to its first post."""
    session.answer()

    def made() -> tuple[str, float, float]:
        world_id, sent = session.order(*size, priority=HIGHEST_PRIORITY, seed=session.stack.seed)
        posted = World(world_id, *size, sent, session.wait(world_id, has_post)).first_post
        return world_id, posted - sent, posted - min(call.at.timestamp() for call in session.calls(world_id))

    world_id, *alone = made()
    session.stop(world_id)
    crowd = [session.order(*size)[0] for _ in range(others)]
    for other in crowd[: others // 2]:
        session.wait(other, lambda status: status.api_calls_made_LLM > 1)
    world_id, *among_others = made()
    session.stop(world_id, *reversed(crowd))  # first the worlds that wait for a place
    names = ("message to first post", "first call to first post")
    return Measured([Line(name, "s", value, bound) for name, value, bound in zip(names, among_others, alone, strict=True)])


def spans(session: Session) -> Measured:
    """The cost of a call's span, recorded and sent, compared with a bare span of the SDK."""
    del session
    cost = span_cost.measure()
    return Measured(
        [
            Line("CPU of a call's span", "us", cost.on, cost.bare),
            Line("CPU of a call's span, with its sending", "us", cost.sent, cost.bare),
            Line("CPU of a call's span, off", "us", cost.off),
        ]
    )


_WIDE = {"LLM_CONCURRENCY": "150", "IMAGE_CONCURRENCY": "100"}

CASES = (
    Case("B1+B4", "50 people, 500 posts, pictures at once", worlds((50, 500), looks=(by_slots, by_graph, cpu)), 35),
    Case("B2", "25 people, 150 posts", worlds((25, 150), looks=(by_graph, cpu)), 20, pictures=0.5),
    *(
        Case(f"B3.{users}", f"{users} people", worlds((users, 2 * users), looks=(to_first_post,), until=has_post), 12)
        for users in (10, 100, 500)
    ),
    Case("B3.start", "20 warm starts", starts, 150),
    Case("B4.fleet", "20 worlds of 10 people, 30 posts", worlds(*[(10, 30)] * 20, looks=(cpu, slots_used)), 240, llm=2.0),
    Case("B5.one", "100 people, 1,000 posts", worlds((100, 1000), looks=(pace, cpu)), 90, pictures=0.5, settings=_WIDE),
    Case("B5.two", "two such worlds at once", worlds(*[(100, 1000)] * 2, looks=(pace, cpu)), 180, pictures=0.5, settings=_WIDE),
    Case("B6", "a ceiling of 8 for 15 slots", ceiling, 40),
    Case("B7", "25 people, 150 posts, a long tail", long_tail, 300),
    Case("B8", "1,000 people, 10,000 posts", growth, 900, llm=0.05),
    Case("B9", "3 people, 6 posts beside 500 people, 5,000 posts", beside, 60),
    Case("B10", "spans of calls, to a receiver on loopback", spans, 5),
    Case("B11", "10 people, 30 posts at priority 10 among 20 such worlds", ahead, 150, llm=2.0),
)
"""``B1+B4`` is the same worlds for both. What one run takes is that of two cores, with the stack's start shared by all runs."""

QUICK = (Case("quick", "2 people, 4 posts", worlds((2, 4), looks=(by_slots, by_graph, to_first_post, cpu)), 10, llm=0.1),)
"""The tiny form, as ``make test`` runs it."""
