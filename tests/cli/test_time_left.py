"""P23: after a third of the time the estimate of the time left is never wrong by more than half, in several courses of worlds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from math import ceil
from typing import Any

import pytest

from generia_assets.catalog import LLM_CALLS
from generia_assets.cli.watching import TimeLeft
from generia_assets.durable.status import WorldStatus, new_status
from generia_assets.estimates import CallCounts, CallLatency
from generia_assets.queries.in_flight import InFlightCalls
from generia_assets.settings import Settings
from local_services.demo import emulated_latency

SETTINGS = Settings(_env_file=None)
STEPS = ("world_description", "character_batch", "character", "post_batch", "post")


@dataclass(frozen=True)
class Course:
    """A simulated world: ``at_once`` calls at a time, each of ``seconds``, and its pictures at the same time."""

    work: CallCounts
    seconds: float
    image_seconds: float = 0.05
    at_once: int = SETTINGS.llm_concurrency

    @property
    def ends(self) -> float:
        return max(self._texts_end, self.work.images * self.image_seconds / SETTINGS.image_concurrency + 2 * self.seconds)

    @property
    def _texts_end(self) -> float:
        return sum(ceil(self.work.llm[name] / self.at_once) * self.seconds for name in STEPS)

    def at(self, now: float) -> tuple[WorldStatus, InFlightCalls]:
        """The status record, and the calls in flight, at this moment."""
        made, flying, begins = 0, 0, 0.0
        for name in STEPS:
            for first in range(0, self.work.llm[name], self.at_once):
                calls = min(self.at_once, self.work.llm[name] - first)
                if begins <= now:
                    made += calls
                    flying = calls if now < begins + self.seconds else 0
                begins += self.seconds
        images = max(0, min(self.work.images, int((now - 2 * self.seconds) / self.image_seconds * SETTINGS.image_concurrency)))
        record = new_status("w", {}, users=8, posts=60) | {"status": "in_progress", "generation": "g", "task_predicted": 148}
        return (
            WorldStatus.model_validate(record | {"api_calls_made_LLM": made, "api_calls_made_images": images}),
            InFlightCalls(llm=flying, llm_ceiling=self.at_once, images=0, image_ceiling=10),
        )


def work(users: int, batches: int, posts: int) -> CallCounts:
    calls = {"world_description": 1, "character_batch": batches, "character": users, "post_batch": users, "post": posts}
    return CallCounts({**calls, "world_images": 0}, images=2 + users + posts)


def estimates(course: Course, pace: Callable[[], CallLatency], first_look: float = 0.0) -> Mapping[float, float]:
    """The estimate at each quarter of a second, by the moment."""
    now = [0.0]
    remaining, estimated = TimeLeft(course.work, pace, clock=lambda: now[0]), dict[float, Any]()
    for tick in takewhile(lambda tick: first_look + tick / 4 < course.ends, count()):
        now[0] = first_look + tick / 4
        estimated[now[0]] = remaining.seconds(*course.at(now[0]))
        assert estimated[now[0]] is not None
    return estimated


@pytest.mark.parametrize(
    ("course", "pace"),
    [
        pytest.param(Course(work(8, 1, 60), 1.6), emulated_latency(1.5), id="P23 8 people, 60 posts, latency 1.5"),
        pytest.param(Course(work(25, 3, 150), 1.6), emulated_latency(1.5), id="P23 25 people, 150 posts"),
        pytest.param(Course(work(100, 10, 1000), 1.6), emulated_latency(1.5), id="P23 a large world"),
        pytest.param(Course(work(8, 1, 60), 1.6, at_once=5), emulated_latency(1.5), id="P23 a lowered ceiling"),
        pytest.param(Course(work(8, 1, 60), 5.0), emulated_latency(1.5), id="P23 calls are three times as slow as expected"),
        pytest.param(Course(work(25, 3, 150), 0.75), emulated_latency(1.5), id="P23 calls are twice as fast as expected"),
        pytest.param(
            Course(work(8, 1, 60), 1.6, image_seconds=6.0),
            CallLatency(dict.fromkeys(LLM_CALLS, 1.6), image=6.0),
            id="P23 pictures take longer than texts",
        ),
    ],
)
@pytest.mark.parametrize("share", [0.34, 0.5, 0.67, 0.8])
def test_the_time_left_is_right_within_a_factor(course: Course, pace: CallLatency, share: float) -> None:
    """After a third of the time the estimate is at most one and a half times the true time, and at least two thirds of it."""
    estimated = estimates(course, lambda: pace)
    moment = min(estimated, key=lambda at: abs(at - share * course.ends))
    left = course.ends - moment
    assert left / 1.5 - 0.5 <= estimated[moment] <= 1.5 * left + 0.5


@pytest.mark.case("P23")
def test_a_later_watcher_gets_the_same_estimate() -> None:
    """A watcher that starts in the middle of a world, and has the durations of its calls, gives the same estimate as others."""
    course = Course(work(8, 1, 60), 2.0)
    middle = course.ends / 2
    early, late = (
        estimates(course, lambda: emulated_latency(1.9)),
        estimates(course, lambda: emulated_latency(1.9), first_look=middle),
    )
    assert late[middle] == pytest.approx(course.ends - middle, rel=0.5)
    assert late[middle] == pytest.approx(min(early.items(), key=lambda one: abs(one[0] - middle))[1], rel=0.5)


@pytest.mark.case("P23")
def test_there_is_no_estimate_for_a_world_that_waits_or_is_over() -> None:
    """A world that waits, stands still or is over has no estimate, and its waiting does not count toward its throughput."""
    course, now = Course(work(8, 1, 60), 1.6), [0.0]
    remaining = TimeLeft(course.work, lambda: emulated_latency(1.5), clock=lambda: now[0])
    status, air = course.at(0.0)
    before = remaining.seconds(status, air)
    now[0] = 500.0
    waiting = {"api": "llm", "reason": "down", "since": status.created_at}
    assert remaining.seconds(WorldStatus.model_validate({**status.model_dump(by_alias=True), "waiting_for": waiting}), air) is None
    now[0] = 500.25
    assert remaining.seconds(status, air) == pytest.approx(before, rel=0.2)
    assert remaining.seconds(status.model_copy(update={"status": "completed"}), None) is None
    assert remaining.seconds(status.model_copy(update={"tasks_completed": 148}), air) == 0.0
