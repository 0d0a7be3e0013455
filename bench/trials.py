"""A trial: one small world made in this process under faults of the Gemini emulator, and what came of it.

Here: what the harnesses of answers share. Not here: which faults, and what must be true (answers.py).
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.exact import exactness
from bench.in_process import Made, Order, change_settings, make
from bench.stack import TestStack, status_of
from bench.undamaged import damage
from emulators.gemini.faults import FaultName, Faults
from emulators.gemini.stats import RecordedRequest, Stats
from generia_assets.durable.status import WorldStatus
from generia_assets.durable.tasks.control import ResumeOptions, resume_world

SETTINGS = {
    "WORLD_LEASE_SECONDS": "2",
    "SLOT_LEASE_SECONDS": "2",
    "BREAKER_OPEN_SECONDS": "0.3",
    "BREAKER_OPEN_MAX_SECONDS": "2",
}
GENEROUS = {"BUDGET_SPARE": "9", "IMAGE_STUB_REFUSED_WORDS": ""}
"""Re-asks are paid out of the spare calls, by default a quarter of those computed. A trial of answers is none of budgets."""

SENTENCES = {
    "Russian": "Город на спине спящей черепахи, где по утрам продают вчерашние сны; трамваи, пчёлы, без королей",
    "English": "A town on the back of a tortoise that has just started walking again; trams, bees, no kings",
}
_WORLDS = uuid.UUID("0c0f6d5e-5a43-4c7c-9b55-2f6d6f1c2a10")


@dataclass(frozen=True)
class Trial:
    """Which world is made, under which faults and settings. ``number`` tells trials of one name apart."""

    name: str
    faults: Mapping[str, float]
    users: int
    posts: int
    language: str = "Russian"
    number: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)

    def order(self, seed: int) -> Order:
        """The same seed gives the same world id, and so the same people, plans and prompts."""
        world_id = uuid.uuid5(_WORLDS, f"{seed}/{self.name}/{self.language}/{self.number}")
        return Order(str(world_id), self.users, self.posts, SENTENCES[self.language])


@dataclass(frozen=True)
class Outcome:
    """What came of a trial. ``wrong``: what should not be, in one sentence each."""

    trial: Trial
    world_id: str
    made: Made
    status: WorldStatus
    stats: Stats
    requests: Sequence[RecordedRequest]
    wrong: list[str]

    @property
    def hits(self) -> Counter[str]:
        faults = set(FaultName.__args__)  # type: ignore[attr-defined]
        return Counter({name: count for name, count in self.stats.by_outcome.items() if name in faults})


class Bench:
    """Trials, one after the other, in one stack."""

    def __init__(self, stack: TestStack, seed: int) -> None:
        logging.disable(logging.WARNING)  # a thousand warnings about faults that were ordered
        stack.start_servers()
        change_settings({**stack.env, **GENEROUS})
        self._stack = stack
        self._seed = seed

    def run(self, trial: Trial) -> Outcome:
        """Make the trial's world and look at it; ``wrong`` says whether it is exact and undamaged."""
        change_settings({**GENEROUS, **trial.settings})
        with self._stack.gemini as gemini:
            gemini.reset()
            gemini.replace_faults(Faults.model_validate({"seed": self._seed, **trial.faults}))
            order = trial.order(self._seed)
            made = make(order)
            return self._outcome(trial, order, made, gemini.stats(), gemini.requests(500))

    def go_on(self, before: Outcome, wishes: ResumeOptions, faults: Mapping[str, float]) -> Outcome:
        """Let the trial's world go on under these wishes and faults."""
        with self._stack.database() as database:
            resume_world(database, before.world_id, wishes)
        with self._stack.gemini as gemini:
            gemini.replace_faults(Faults.model_validate({"seed": self._seed, **faults}))
            order = before.trial.order(self._seed)
            made = make(order, generation=before.status.generation)
            return self._outcome(before.trial, order, made, gemini.stats(), gemini.requests(500))

    def _outcome(self, trial: Trial, order: Order, made: Made, stats: Stats, requests: Sequence[RecordedRequest]) -> Outcome:
        with self._stack.database() as database:
            status = status_of(database, order.world_id)
            if status is None:
                raise RuntimeError(f"{trial.name}: the world has no status record: {made.failure}")
            wrong = [] if made.success else [f"the run failed: {made.failure or status.message}"]
            exact = exactness(self._stack, database, order.world_id)
            # A task may have needed its second attempt: that is what attempts are for.
            wrong += [complaint for complaint in exact.complaints if not complaint.startswith("attempts of tasks")]
            wrong += damage(database, order.world_id, language=trial.language)
        return Outcome(trial, order.world_id, made, status, stats, requests, wrong)
