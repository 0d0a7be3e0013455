"""``python -m bench.money``: whether a world can exceed its limits, and whether its recorded cost is correct.

A hundred concurrent calls compete for the last calls that a world may make. A run is killed repeatedly. Several runs of one world
start at the same moment. A cap in dollars is reached, raised and kept. Each fault of the emulator hits a fifth of all calls. The
harness reads the ledger fifty times a second, and compares it with the emulator's count at the end.
"""

from __future__ import annotations

import logging
import multiprocessing
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from rich.console import Console

from bench.exact import exactness
from bench.in_process import Made, Order, change_settings, make
from bench.one_world import run_forked
from bench.report import Options, Report, run
from bench.stack import IMPATIENT, PROMPT, TestStack, known_status, status_of, wait_for
from bench.watching import CENT_FRACTION, Watch
from emulators.gemini.faults import FaultName, Faults
from emulators.gemini.spoil import ILL_WRITTEN
from emulators.gemini.stats import Stats
from generia_assets.durable.collections import GENERATIONS, HISTORY
from generia_assets.durable.status import WorldStatus
from generia_assets.durable.tasks.control import ResumeOptions, resume_world
from resources.gateway.calls import Api, TokenUsage
from resources.gemini.models import asked_at, now

SETTINGS = {
    **IMPATIENT,
    "GEMINI_TIMEOUT_SECONDS": "3",
    "PATIENCE_SECONDS": "90",
    "MAX_TAKEOVERS": "100",
    "IMAGE_STUB_COST_USD": "0.0005",
}
DECLINED = frozenset(
    {
        *("rate_limited", "rate_limited_header", "rate_limited_bare", "internal", "unavailable", "invalid_argument"),
        *("unauthenticated", "somebody_else"),
    }
)
"""What the provider has not carried out, and so is no call made."""
NOT_HERE = frozenset({"no_credit", "error_in_200", "hostile_error"})
"""Faults that stop a world for good, and those of which the emulator does not count whether they were declined."""
FORKS = multiprocessing.get_context("forkserver")
"""Runs are forked from a process that has everything imported, as in production: to import it costs more than a small world."""
HEADINGS = ("scenario", "people/posts", "looks", "made/limit", "emulator", "cost $", "cap $", "ended", "wrong")


@dataclass
class Scenario:
    """One way to overspend, and its result."""

    name: str
    order: Order
    status: WorldStatus
    looks: int
    carried_out: int
    hits: int
    """Calls that did not go well for the emulator's own reasons."""
    wrong: list[str] = field(default_factory=list)

    def row(self) -> tuple[object, ...]:
        status, cap = self.status, self.status.cost_limit_usd
        made = f"{status.api_calls_made_LLM}/{status.api_call_limits_LLM}"
        size = f"{self.order.users}/{self.order.posts}"
        cost = (f"{status.cost_usd:.5f}", "-" if cap is None else f"{cap:.3f}")
        return (self.name, size, self.looks, made, self.carried_out, *cost, status.status.value, len(self.wrong))


class Money:
    """The scenarios, in one stack."""

    def __init__(self, stack: TestStack, options: Options) -> None:
        self._stack = stack
        self._quick = options.quick
        self._seed = options.seed
        self._random = random.Random(options.seed)

    def scenarios(self) -> Iterator[Scenario]:
        yield from self.deaths_and_mistakes()
        yield self.crowd()
        yield from self.cap()
        yield self.every_fault()

    def crowd(self) -> Scenario:
        """A hundred concurrent calls, half of whose answers are useless, reach the limit of calls and never exceed it."""
        order = self._order(users=4, posts=16) if self._quick else self._order(users=25, posts=150)
        hundred = {"LLM_CONCURRENCY": "100", "IMAGE_CONCURRENCY": "100", "TASK_CONCURRENCY": "100"}
        scenario, made = self._made("a crowd", order, {"broken_json": 0.5, "latency": 0.05}, hundred)
        self._expect(scenario, scenario.status.status == "failed" and not made.success, "the limit of calls was not reached")
        self._expect(scenario, "--more-calls" in scenario.status.message, f"it says {scenario.status.message!r}")
        self._counted(scenario)
        return scenario

    def cap(self) -> Iterator[Scenario]:
        """A world that reaches its cap in dollars says so and keeps its items; with a higher cap it completes exactly and within
        it."""
        users, posts = (4, 10) if self._quick else (15, 90)
        order = self._order(users=users, posts=posts, max_cost_usd=0.05 if self._quick else 0.15)
        first, _ = self._made("a cap", order, {}, {})
        self._expect(first, first.status.status == "failed" and first.status.resumable, "the cap was not reached")
        self._expect(first, "--max-cost-usd" in first.status.message, f"it says {first.status.message!r}")
        self._counted(first)
        yield first
        higher = first.status.cost_usd + (0.1 if self._quick else 0.4)
        with self._stack.database() as database:
            resume_world(database, order.world_id, ResumeOptions(max_cost_usd=higher))
        second, made = self._made("a higher cap", order, {}, {}, generation=first.status.generation, reset=False)
        self._finished(second, made.failure)
        self._counted(second)
        yield second

    def every_fault(self) -> Scenario:
        """All faults of the emulator together, except ``NOT_HERE`` and bad writing, hit a fifth of all calls."""
        order = self._order(users=4, posts=12) if self._quick else self._order(users=25, posts=150)
        kinds = sorted(set(FaultName.__args__) - NOT_HERE - ILL_WRITTEN)  # type: ignore[attr-defined]
        faults = {**dict.fromkeys(kinds, 0.2 / len(kinds)), "retry_after": 0.2, "after_calls": 1}
        scenario, made = self._made("every fault", order, faults, {"BUDGET_SPARE": "2"})
        self._finished(scenario, made.failure)
        self._expect(scenario, scenario.hits > 0, "no call was met by a fault")
        self._counted(scenario)
        return scenario

    def deaths_and_mistakes(self) -> Iterator[Scenario]:
        """The run of one world is killed repeatedly; at the same time several runs of another world start at one moment."""
        killed = self._order(users=4, posts=10) if self._quick else self._order(users=15, posts=90)
        mistaken = self._order(users=2, posts=5)
        go = self._stack.folder / "go"
        with self._stack.gemini as gemini:
            gemini.reset()
            gemini.replace_faults(Faults(seed=self._seed, latency=1.0))
            with Watch(self._uri, killed.world_id, mistaken.world_id) as watch:
                count = 2 if self._quick else 3
                runs = [self._child(f"mistake-{place}", mistaken, go) for place in range(count)]
                deaths = self._kill_again_and_again(killed, go)
                ends = [self._end(child) for child in runs]
            stats = gemini.stats()
        with self._stack.database() as database:
            generations = database[GENERATIONS].count_documents({"world_id": mistaken.world_id})
        carried_out = _carried_out(stats)
        dead = Scenario(f"{deaths} x kill -9", killed, self._status(killed), watch.looks, carried_out, 0, list(watch.wrong))
        beside = Scenario(f"{len(runs)} runs at once", mistaken, self._status(mistaken), watch.looks, carried_out, 0)
        made = dead.status.api_calls_made_LLM + beside.status.api_calls_made_LLM
        self._expect(dead, carried_out <= made, f"{carried_out} calls were carried out, and {made} counted")
        self._finished(dead, "")
        said = [self._log(child.name).read_text() for child in runs]
        self._expect(beside, sorted(ends) == [0, *[1] * (count - 1)], f"the runs ended with {ends}: {said}")
        self._expect(beside, generations == 1, f"{generations} generations were begun")
        clean = sum("is being generated by run" in text or "already ordered" in text for text in said)
        self._expect(beside, clean == count - 1, f"the others said {said}")
        self._finished(beside, "")
        yield from (dead, beside)

    def _kill_again_and_again(self, order: Order, go: Path) -> int:
        """Kill the world's run at seeded moments; each time another run continues. Returns the number of kills."""
        times = 1 if self._quick else 10
        for death in range(times):
            child = self._child(f"killed-{death}", order)
            wait_for("calls to die in", self._moment(child, order), seconds=600)
            go.touch()
            if child.exitcode is not None:  # it finished before the moment of its kill
                return death
            child.kill()
            child.join()
        self._end(self._child("survivor", order))
        return times

    def _moment(self, child: ForkServerProcess, order: Order) -> Callable[[], bool | None]:
        """True when the run has made a seeded number of further calls, or has ended."""
        enough = self._calls(order) + self._random.randint(1, 6)
        return lambda: self._calls(order) >= enough or child.exitcode is not None or None

    def _calls(self, order: Order) -> int:
        with self._stack.database() as database:
            status = status_of(database, order.world_id)
        return 0 if status is None else status.api_calls_made_LLM

    def _child(self, name: str, order: Order, after: Path | None = None) -> ForkServerProcess:
        environment = {**self._stack.env, "BUDGET_SPARE": "4"}  # a kill loses the calls in flight
        child = FORKS.Process(target=run_forked, name=name, args=(order, environment, self._log(name), after))
        child.start()
        return child

    def _log(self, name: str) -> Path:
        return self._stack.folder / f"{name}.log"

    def _end(self, child: ForkServerProcess) -> int:
        """Wait for it; its exit status."""
        return wait_for("the end of a run", lambda: child.exitcode, seconds=600)

    def _made(
        self,
        name: str,
        order: Order,
        faults: dict[str, float],
        settings: dict[str, str],
        *,
        generation: str | None = None,
        reset: bool = True,
    ) -> tuple[Scenario, Made]:
        change_settings({"LLM_CONCURRENCY": "15", "IMAGE_CONCURRENCY": "10", "BUDGET_SPARE": "0.25", **settings})
        with self._stack.gemini as gemini:
            if reset:
                gemini.reset()
            gemini.replace_faults(Faults.model_validate({"seed": self._seed, **faults}))
            with Watch(self._uri, order.world_id) as watch:
                made = make(order, generation=generation)
            stats = gemini.stats()
        scenario = Scenario(name, order, self._status(order), watch.looks, _carried_out(stats), _hits(stats), list(watch.wrong))
        self._paid(scenario, stats)
        return scenario, made

    def _counted(self, scenario: Scenario) -> None:
        """Check that our count of calls is the emulator's; only a call that the end of the world cut off may be counted without
        having arrived."""
        status, carried_out = scenario.status, scenario.carried_out
        with self._stack.database() as database:
            cut_off = database[HISTORY].count_documents(
                {"world_id": status.world_id, "api_type": Api.LLM.value, "outcome": "cut_off"}
            )
        agree = carried_out <= status.api_calls_made_LLM <= carried_out + cut_off
        comparison = f"{carried_out} calls were carried out and {cut_off} cut off, {status.api_calls_made_LLM} were counted"
        self._expect(scenario, agree, comparison)

    def _paid(self, scenario: Scenario, stats: Stats) -> None:
        """Check that the recorded cost is the price of the emulator's tokens, plus at most the worst case of calls without an
        answer."""
        price = asked_at("gemini-2.5-flash", now()).price(now())
        tokens = TokenUsage(stats.prompt_tokens, stats.cached_tokens, stats.candidates_tokens + stats.thoughts_tokens)
        with self._stack.database() as database:
            rows = list(database[HISTORY].find({"world_id": scenario.order.world_id, "api_type": "llm"}))
        doubtful = ("transient", "cut_off", "error")
        # An answer whose usage is impossible or missing counts as its worst case.
        unanswered = sum(
            row["cost_usd"]
            for row in rows
            if row["outcome"] in doubtful or not row["tokens"]["prompt"] or row["cost_usd"] >= row["reserved_usd"]
        )
        owed, said = price.cost_usd(tokens), scenario.status.llm_cost_total
        agree = owed - CENT_FRACTION <= said <= owed + unanswered + CENT_FRACTION
        self._expect(scenario, agree, f"${owed:.6f} were owed (and ${unanswered:.6f} perhaps), ${said:.6f} counted")
        dearer = [row for row in rows if row["cost_usd"] > row["reserved_usd"] + CENT_FRACTION]
        # If a total is far above the sum of its parts, the total counts: the more expensive reading.
        odd = stats.by_outcome.get("odd_usage", 0)
        self._expect(scenario, len(dearer) <= odd, f"{len(dearer)} calls cost more than their worst case, {odd} had an odd usage")

    def _finished(self, scenario: Scenario, failure: str) -> None:
        with self._stack.database() as database:
            exact = exactness(self._stack, database, scenario.order.world_id)
        found = [complaint for complaint in exact.complaints if not complaint.startswith("attempts of tasks")]
        scenario.wrong += [f"{failure} {complaint}".strip() for complaint in found]

    def _status(self, order: Order) -> WorldStatus:
        with self._stack.database() as database:
            return known_status(database, order.world_id)

    def _order(self, *, users: int, posts: int, max_cost_usd: float | None = None) -> Order:
        return Order(str(uuid.UUID(int=self._random.getrandbits(128), version=4)), users, posts, PROMPT, max_cost_usd)

    @property
    def _uri(self) -> str:
        return self._stack.env["MONGODB_URI"]

    @staticmethod
    def _expect(scenario: Scenario, right: bool, otherwise: str) -> None:
        if not right:
            scenario.wrong.append(otherwise)


def _carried_out(stats: Stats) -> int:
    return stats.calls - sum(count for outcome, count in stats.by_outcome.items() if outcome in DECLINED)


def _hits(stats: Stats) -> int:
    return stats.calls_finished - stats.by_outcome.get("ok", 0)


def harness(options: Options, console: Console) -> Report:
    logging.disable(logging.WARNING)
    FORKS.set_forkserver_preload(["bench.one_world"])
    rows, wrong, looks = [], [], 0
    with TestStack(settings=SETTINGS, seed=options.seed) as stack:
        stack.start_servers()
        change_settings(stack.env)
        for scenario in Money(stack, options).scenarios():
            rows.append(scenario.row())
            console.print(*rows[-1])
            wrong += [f"{scenario.name}: {sentence}" for sentence in scenario.wrong]
            looks += scenario.looks
    return Report(not wrong, {"scenarios": len(rows), "looks": looks, "wrong": wrong}, HEADINGS, rows, wrong)


if __name__ == "__main__":
    run("money", __doc__.splitlines()[0], harness)
