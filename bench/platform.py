"""``python -m bench.platform``: worlds published through the platform's services while a fifth of the calls hits a fault.

One world for each fault. After its run the feed must have the order of the timeline. After the fault a further run makes the
missing items; then the world must be exact: nothing missing, nothing twice, each orphan recorded. Not here: killing our own
processes (kills.py).
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console

from bench.exact import Findings, exactness
from bench.in_process import Order, change_settings, make
from bench.report import Options, Report, run
from bench.stack import IMPATIENT, PROMPT, TestStack, known_status
from emulators.platform.client import PlatformControl
from emulators.platform.faults import CODES, PlatformFaults
from generia_assets.catalog import TaskType
from generia_assets.durable.collections import TASKS
from generia_assets.durable.status import State, WorldStatus
from generia_assets.durable.tasks.control import ResumeOptions, resume_world
from resources.mongodb.connection import MongoDatabase
from resources.settings import SERVICE_NAMES

SETTINGS = {
    **IMPATIENT,
    "PLATFORM_TIMEOUT_SECONDS": "1",
    "IMAGE_STUB_REFUSED_WORDS": "",
    "BUDGET_SPARE": "9",  # an item that is rejected is painted again
}
SLOW_SECONDS = 2.0
"""A slow call ends, or commits, a second after its deadline."""
RATE, CONSUL_RATE = 0.2, 0.6
"""Consul is asked a few times in a world, and has to meet its faults."""
MOST_RUNS = 3
CONSUL = frozenset({"no_instance", "consul_500"})
REJECTIONS = frozenset(
    {"invalid_argument", "not_found", "already_exists", "permission_denied", "failed_precondition", "out_of_range"}
)
"""Codes that call a request wrong: the item fails. For one of the world's own requests the world does."""
ITEMS = ("CreateCharacter", "UpdateCharacter", "CreateAIPost")
LATE_POSTS = ("order on the platform", "order of the events")
"""What is not exact where a failed post was published after the others."""
FAULTS = (
    *("reset", "lost_reset", "lost_unavailable", "lost_internal", "slow", "slow_committed", "slow_commits_late"),
    *("no_instance", "consul_500", "url_expired", "put_403", "put_500", "put_reset", "put_lost_reset"),
    *CODES,
)
QUICK = {"unavailable": 0.1, "internal": 0.1, "lost_reset": 0.1, "url_expired": 0.1, "put_500": 0.1}
HEADINGS = ("fault", "calls", "met", "seconds", "ended", "people", "posts", "runs", "twice", "orphans", "spare pictures", "verdict")
_WORLDS = uuid.UUID("6b0f2f64-52b5-4f0e-8d5b-1d7f5c3f9a21")


@dataclass
class PlatformTrial:
    """The result of a fault. ``status``: the record after the first run; ``runs``: the number of runs in all."""

    name: str
    calls: int
    met: int
    seconds: float
    status: WorldStatus
    runs: int
    feed: list[int]
    """The posts' places in the timeline, in the order of the platform's feed after the first run."""
    findings: Findings = field(default_factory=Findings)

    @property
    def wrong(self) -> list[str]:
        """The faults found. A task may have needed its second attempt."""
        allowed = ("attempts of tasks", *(LATE_POSTS if self.status.tasks_failed else ()))
        order = [] if self.feed == sorted(self.feed) else [f"order of the feed after the first run: {self.feed}"]
        return [*order, *(complaint for complaint in self.findings.complaints if not complaint.startswith(allowed))]

    @property
    def row(self) -> Sequence[object]:
        status, found = self.status, self.findings
        ended = f"{status.status.value}{f', {status.tasks_failed} failed' if status.tasks_failed else ''}"
        counts = (f"{status.users_created}/{status.users_predicted}", f"{status.posts_created}/{status.posts_predicted}", self.runs)
        end = (found.doubled, found.orphans, found.spare, "WRONG" if self.wrong else "exact")
        return (self.name, self.calls, self.met, f"{self.seconds:.1f}", ended, *counts, *end)


class PlatformTrials:
    """Worlds in one stack, one after the other."""

    def __init__(self, stack: TestStack, control: PlatformControl, database: MongoDatabase, *, seed: int) -> None:
        self._stack = stack
        self._control = control
        self._database = database
        self._seed = seed

    def make(self, name: str, rates: Mapping[str, float], *, users: int, posts: int) -> PlatformTrial:
        """Make a world under these faults, then its missing items without faults."""
        order = Order(str(uuid.uuid5(_WORLDS, f"{self._seed}/{name}")), users, posts, PROMPT)
        self._control.reset()
        self._control.add_world(order.world_id)
        methods = list(ITEMS if REJECTIONS & set(rates) else ())
        faults = {"seed": self._seed, "rates": rates, "slow_seconds": SLOW_SECONDS, "methods": methods}
        self._control.replace_faults(PlatformFaults.model_validate(faults))
        change_settings(self._stack.env | (self._by_consul() if CONSUL & set(rates) else {}))
        began = time.monotonic()
        made = make(order)
        seconds = time.monotonic() - began
        first, stats = known_status(self._database, order.world_id, made.failure), self._control.stats()
        met = sum(stats.outcomes.get(fault, 0) for fault in rates)
        trial = PlatformTrial(name, sum(stats.calls.values()), met, seconds, first, runs=1, feed=self._feed(order.world_id))
        self._control.set_faults(rates={})
        while trial.runs < MOST_RUNS and not _whole(status := known_status(self._database, order.world_id, made.failure)):
            resume_world(self._database, order.world_id, ResumeOptions(retry_failed=True))
            made = make(order, generation=status.generation)
            trial.runs += 1
        trial.findings = exactness(self._stack, self._database, order.world_id)
        return trial

    def _feed(self, world_id: str) -> list[int]:
        published = {"world_id": world_id, "type": TaskType.GENERATE_POST_IMAGE.value, "status": State.COMPLETED.value}
        results = [task["result"] for task in self._database[TASKS].find(published, {"result": 1})]
        place_of = {result["post_id"]: int(result["t"]) for result in results}
        return [place_of[post.id] for post in self._control.world(world_id).posts if post.id in place_of]

    def _by_consul(self) -> dict[str, str]:
        return {
            "CONSUL_ADDRESS": self._control.base_url.removeprefix("http://"),
            **dict.fromkeys(map(str.upper, SERVICE_NAMES), ""),
        }


def _whole(status: WorldStatus) -> bool:
    return status.status is State.COMPLETED and not status.tasks_failed


def harness(options: Options, console: Console) -> Report:
    logging.disable(logging.WARNING)  # a thousand warnings about injected faults
    each = {fault: {fault: CONSUL_RATE if fault in CONSUL else RATE} for fault in FAULTS}
    wanted = {"several": QUICK} if options.quick else {"none": {}, **each}
    users, posts = (2, 5) if options.quick else (25, 150)
    made: list[PlatformTrial] = []
    with TestStack(settings=SETTINGS, seed=options.seed) as stack:
        stack.start_servers()
        with stack.start_platform() as control, stack.database() as database:
            trials = PlatformTrials(stack, control, database, seed=options.seed)
            for name, rates in wanted.items():
                made.append(trial := trials.make(name, rates, users=users, posts=posts))
                console.print(f"{' | '.join(map(str, trial.row))}: {'; '.join(trial.wrong) or 'exact'}", markup=False)
    return Report(
        ok=not any(trial.wrong for trial in made),
        figures={
            "worlds": len(made),
            "met": sum(trial.met for trial in made),
            "missing": sum(trial.findings.missing for trial in made),
            "doubled": sum(trial.findings.doubled for trial in made),
            "orphans": sum(trial.findings.orphans for trial in made),
        },
        headings=HEADINGS,
        rows=[trial.row for trial in made],
        remarks=[
            *(f"{trial.name}: {complaint}" for trial in made for complaint in trial.wrong),
            *(f"{trial.name}: the first run ended with: {trial.status.message}" for trial in made if trial.status.message),
        ],
    )


if __name__ == "__main__":
    run("platform", "Publishes worlds through the platform's services under faults, and checks that each ends exact.", harness)
