"""The cases of ``bench.outages``: each makes one service unavailable while a world is made, and judges the result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from pymongo.errors import AutoReconnect

from bench.ceiling import CEILING, measure
from bench.in_process import change_settings
from bench.outage_world import World
from bench.stack import ROOT, TestStack, wait_for
from generia_assets.durable.collections import STATUS
from generia_assets.durable.orders.decisions import GENERATION_TAG
from generia_assets.durable.status import State, SuspendReason, WorldStatus
from resources.gateway.breaker import BreakerState
from resources.gateway.calls import Api
from resources.mongodb.connection import MongoDatabase
from sensors.run_status import abandoned, order_again

END_SECONDS = 300.0
"""A world of this size ends well within it once everything is there."""
CALLS_BEFORE = 3
"""A world is in the middle of its work after so many calls."""
OUT_OF_PATIENCE = "2"
HELD_SECONDS = 20.0
SLOW_PACE = 1.4
"""Seconds for each second of the bound that a hard ceiling may cost."""


_WORLDS = uuid.UUID("3d1c5b0a-8f0f-4a6e-9d3a-6f6d1f0b7c55")


@dataclass
class Verdict:
    """The result of a case. ``seconds``: its duration; ``seen``: what was observed; ``figures``: for the last line of the
    report."""

    name: str
    seconds: float
    seen: str
    complaints: list[str]
    figures: dict[str, object] = field(default_factory=dict)


class Cases:
    """All cases, in one stack. Worlds are made in this process, with the stack's settings."""

    def __init__(self, stack: TestStack, database: MongoDatabase, *, users: int, posts: int, seed: int) -> None:
        self._stack = stack
        self._database = database
        self._users, self._posts = users, posts
        self._seed = seed
        self._worlds = 0
        change_settings(stack.env)

    def undisturbed(self) -> Verdict:
        """No outage: the other cases are compared with this one."""
        began = time.monotonic()
        world = self._world()
        world.start()
        made = world.end(seconds=END_SECONDS)
        return Verdict("nothing is away", time.monotonic() - began, made.failure, world.complaints())

    def gemini_is_away(self, faults: Mapping[str, float], seconds: float) -> Verdict:
        """Gemini answers only with errors for this long."""
        world = self._world()
        began = time.monotonic()
        world.start(calls=CALLS_BEFORE)
        self._stack.gemini.set_faults(**faults)
        taken = datetime.now(UTC)
        world.watch(seconds)
        self._stack.gemini.set_faults(**dict.fromkeys(faults, 0.0))
        return self._waited(f"Gemini: {', '.join(faults)} for {seconds:.0f} s", world, began, taken)

    def gemini_hangs(self, seconds: float) -> Verdict:
        """Gemini accepts calls and answers none; after the breaker opened, one probe at a time is in flight."""
        world = self._world()
        began = time.monotonic()
        world.start(calls=CALLS_BEFORE)
        self._stack.gemini.set_faults(hang=1.0)
        taken = datetime.now(UTC)
        world.watch(seconds, timeout=float(self._stack.settings["GEMINI_TIMEOUT_SECONDS"]))
        self._stack.gemini.set_faults(hang=0.0)
        verdict = self._waited(f"Gemini: hangs for {seconds:.0f} s", world, began, taken)
        verdict.seen += f", {world.seen.probes} probe at a time"
        if world.seen.probes != 1:
            verdict.complaints.append(f"{world.seen.probes} probes at a time while the breaker was half open")
        return verdict

    def cost_of_an_outage(self, seconds: float) -> Verdict:
        """Compare a larger world that meets an outage with the same world without one, with the default breaker."""
        change_settings({"BREAKER_OPEN_SECONDS": "2", "BREAKER_OPEN_MAX_SECONDS": "60"})
        times = []
        complaints = []
        for away in (0.0, seconds):
            world = self._world(users=10, posts=60)
            self._stack.gemini.set_faults(latency=0.5)
            began = time.monotonic()
            world.start(calls=50)
            if away:
                self._stack.gemini.set_faults(unavailable=1.0)
                world.watch(away)
                self._stack.gemini.set_faults(unavailable=0.0)
            world.end(seconds=END_SECONDS * 3)
            times.append(time.monotonic() - began)
            complaints += world.complaints()
        change_settings(self._stack.env)
        without, with_outage = times
        figures = {"world_s": round(without, 1), "world_with_outage_s": round(with_outage, 1), "outage_s": seconds}
        return Verdict(
            "cost of an outage", sum(times), f"{with_outage:.1f} s with, {without:.1f} s without", complaints, dict(figures)
        )

    def mongodb_stops(self, seconds: float) -> Verdict:
        """MongoDB is stopped and started again on its port, with its data."""
        world = self._world()
        began = time.monotonic()
        world.start(calls=CALLS_BEFORE)
        port = urlsplit(self._stack.env["MONGODB_URI"]).port
        self._stack.forget("mongod")
        time.sleep(seconds)
        self._stack.start_mongod(port=port or 0)
        world.end(seconds=END_SECONDS)
        return Verdict(f"MongoDB: stopped for {seconds:.0f} s", time.monotonic() - began, "", world.complaints())

    def primary_steps_down(self, seconds: int) -> Verdict:
        """MongoDB's primary steps down, and there is no other primary for this long."""
        world = self._world()
        began = time.monotonic()
        world.start(calls=CALLS_BEFORE)
        with suppress(AutoReconnect):  # it may close the connection of the request
            self._database.client.admin.command({"replSetStepDown": seconds, "force": True})
        world.end(seconds=END_SECONDS)
        return Verdict(f"MongoDB: no primary for {seconds} s", time.monotonic() - began, "", world.complaints())

    def patience_ends(self) -> Verdict:
        """An outage longer than the outage timeout suspends the world; after the outage a run of the watchdog completes it."""
        change_settings({"PATIENCE_SECONDS": OUT_OF_PATIENCE})
        world = self._world()
        began = time.monotonic()
        world.start(calls=CALLS_BEFORE)
        self._stack.gemini.set_faults(unavailable=1.0)
        made = world.end(seconds=END_SECONDS)
        complaints = self._wrong_while_suspended(world, made.success, "PATIENCE_SECONDS")
        change_settings(self._stack.env)
        self._stack.gemini.set_faults(unavailable=0.0)
        complaints += self._resumed_by_watchdog(world)
        return Verdict("an outage longer than its timeout", time.monotonic() - began, "suspended, then resumed", complaints)

    def day_quota(self) -> Verdict:
        """A used-up daily quota suspends the world until the reset; only then is it resumed, and no attempt is used."""
        world = self._world()
        self._stack.gemini.set_faults(requests_per_day=6, day=4.0)
        began = time.monotonic()
        world.start(calls=CALLS_BEFORE)
        made = world.end(seconds=END_SECONDS)
        complaints = self._wrong_while_suspended(world, made.success, "429")
        refused = self._stack.gemini.stats().by_outcome.get("quota_day", 0)
        until = world.status.parked.until if world.status.parked else None
        if until is None or not timedelta(0) < until - datetime.now(UTC) <= timedelta(days=1):
            complaints.append(f"it is suspended until {until}")
        elif self._abandoned(world) is not None:
            complaints.append("the watchdog would take it up before the reset")
        self._stack.gemini.set_faults(requests_per_day=None)  # the moment of the reset
        self._database[STATUS].update_one({"_id": world.order.world_id}, {"$set": {"parked.until": datetime.now(UTC)}})
        complaints += self._resumed_by_watchdog(world)
        return Verdict("429: the day's quota", time.monotonic() - began, f"suspended after {refused} refusals", complaints)

    def minute_quota(self) -> Verdict:
        return self._paced("429: a minute's quota", {"requests_per_minute": 8, "minute": 4.0}, "quota_minute")

    def too_many_requests(self) -> Verdict:
        """Calls refused with RetryInfo, with Retry-After and with neither are repeated at the requested time."""
        rates = {"rate_limited": 0.15, "rate_limited_header": 0.15, "rate_limited_bare": 0.15, "retry_after": 0.3}
        return self._paced("429: RetryInfo, Retry-After, neither", rates, *list(rates)[:3])

    def ceiling(self, calls: int) -> Verdict:
        pace = measure(self._stack, calls)
        complaints = [] if pace.share < SLOW_PACE else [f"{pace.seconds:.1f} s for a bound of {pace.bound:.1f} s"]
        seen = f"{calls} calls of 0.5 s, ceiling {CEILING}: bound {pace.bound:.1f} s, {pace.refused} refused"
        figures = {"ceiling_s": round(pace.seconds, 1), "ceiling_bound_s": pace.bound, "ceiling_refused": pace.refused}
        return Verdict("a hard ceiling", pace.seconds, seen, complaints, dict(figures))

    def dead_process_held_slots(self) -> Verdict:
        """A process dies while it holds all slots: they are free when its lease ends, and another world uses them."""
        self._stack.gemini.reset()
        self._stack.gemini.set_faults(latency=HELD_SECONDS)
        narrow = {"LLM_CONCURRENCY": "1"}
        command = [sys.executable, "-m", "bench.one_world", "the-dead-one", "--users", "1", "--posts", "1"]
        began = time.monotonic()
        holder = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **narrow}, stdout=subprocess.DEVNULL)
        try:
            self._stack.gemini.wait_until(lambda stats: stats.in_flight == 1, timeout=END_SECONDS)
        finally:
            holder.send_signal(signal.SIGKILL)
            holder.wait()
        died = time.monotonic()
        change_settings(narrow)
        world = self._world(users=1, posts=1)
        world.start(calls=1)
        back = time.monotonic() - died
        world.end(seconds=END_SECONDS)
        change_settings(self._stack.env | {"LLM_CONCURRENCY": ""})
        return Verdict("slots of a dead process", time.monotonic() - began, f"used again after {back:.1f} s", world.complaints())

    def kafka_is_away(self) -> Verdict:
        """The broker stops for good: no live events arrive, and the world completes."""
        world = self._world()
        began = time.monotonic()
        world.start(calls=CALLS_BEFORE)
        os.kill(self._stack.parts["broker"].pid, signal.SIGKILL)
        self._stack.forget("broker")
        world.end(seconds=END_SECONDS)
        return Verdict("Kafka: gone", time.monotonic() - began, "", world.complaints())

    def _world(self, *, users: int | None = None, posts: int | None = None) -> World:
        """The next world; its id follows from the seed, and so do its people, its prompts and the faults of its calls."""
        self._stack.gemini.reset()
        self._stack.gemini.set_faults(seed=self._seed)
        self._worlds += 1
        world_id = str(uuid.uuid5(_WORLDS, f"{self._seed}/{self._worlds}"))
        return World(self._stack, self._database, world_id, users=users or self._users, posts=posts or self._posts)

    def _waited(self, name: str, world: World, began: float, taken: datetime) -> Verdict:
        """The verdict on a world that had to wait for the language model since ``taken``."""
        complaints = []
        since = world.seen.waited_for.get(Api.LLM.value)
        if since is None:
            complaints.append("the record never said that Gemini is waited for")
        elif since < taken - timedelta(seconds=2):
            complaints.append(f"the record says since {since}, but Gemini went away at {taken}")
        if not world.seen.breaker >= {BreakerState.OPEN.value}:
            complaints.append(f"the board never showed the breaker open, only {sorted(world.seen.breaker)}")
        if attempts := world.attempts() - {0, 1}:
            complaints.append(f"attempts used up: {sorted(attempts)}")
        world.end(seconds=END_SECONDS)
        wait_for("the board's word that the breaker has closed", world.closed, seconds=60.0)
        complaints += world.complaints()
        states = ", ".join(sorted(world.seen.breaker))
        return Verdict(
            name, time.monotonic() - began, f"waited for {', '.join(world.seen.waited_for)}; breaker {states}", complaints
        )

    def _wrong_while_suspended(self, world: World, success: bool, word: str) -> list[str]:
        """The faults of a world that an outage suspended; its message must contain ``word``."""
        status = world.status
        found = {
            "run succeeded": (success, False),
            "status": (status.status, State.IN_PROGRESS),
            "parked": (status.parked.kind if status.parked else None, SuspendReason.OUTAGE.value),
            "resumable": (status.resumable, True),
            "tasks_failed": (status.tasks_failed, 0),
            "owner": (status.owner.run_id, None),
            "attempts beyond the first": (world.attempts() - {0, 1}, set()),
            f"'{word}' in the message": (word in status.message, True),
        }
        return [f"{what}: {is_!r} instead of {must!r}" for what, (is_, must) in found.items() if is_ != must]

    def _resumed_by_watchdog(self, world: World) -> list[str]:
        """Let the watchdog find the world and execute its run; return the faults of the world."""
        found = wait_for("the watchdog's tick that finds the suspended world", lambda: self._abandoned(world), seconds=60.0)
        tags = order_again(found, None).tags
        world.start(generation=tags[GENERATION_TAG])
        world.end(seconds=END_SECONDS)
        return world.complaints()

    def _abandoned(self, world: World) -> WorldStatus | None:
        found = abandoned(self._database, lease_seconds=2.0, outage_retry_seconds=0.0)
        return next((status for status in found if status.world_id == world.order.world_id), None)

    def _paced(self, name: str, faults: Mapping[str, float], *outcomes: str) -> Verdict:
        world = self._world()
        self._stack.gemini.set_faults(**faults)
        began = time.monotonic()
        world.start()
        world.end(seconds=END_SECONDS)
        counted = self._stack.gemini.stats().by_outcome
        refused = sum(counted.get(outcome, 0) for outcome in outcomes)
        complaints = world.complaints() + ([] if refused else ["no call was refused, so nothing was tried"])
        return Verdict(name, time.monotonic() - began, f"{refused} refused", complaints)
