"""The timeline: one order for all posts of a world, who replies to what, when events happen."""

import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise

import pytest

from generia_assets.content.seeding import world_seed
from generia_assets.content.shares import shares
from generia_assets.content.social import batch_of
from generia_assets.content.timeline import events_before, hot_events, stretch, timeline
from tests.support.timelines import SIZES, worlds_of


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_every_post_has_one_place_and_a_person_s_posts_are_in_order(people, posts):
    """The places are 0 to n-1, each once; a person has their share of them, in order."""
    for seed, line in worlds_of(people, posts):
        assert len(line) == posts
        for index, count in enumerate(shares(seed, people, posts)):
            assert line.count_of(index) == count
            places = [line.t_of(index, order) for order in range(count)]
            assert places == sorted(set(places))
            assert [(line.people[t], line.orders[t]) for t in places] == [(index, order) for order in range(count)]
            assert 0 <= line.joined(index) <= posts
            assert not count or line.joined(index) == places[0]


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_time_never_goes_back_and_at_most_four_posts_share_a_time(people, posts):
    """Every burst has the time of its first post."""
    for _, line in worlds_of(people, posts):
        bursts = Counter(line.times)
        assert list(line.times) == sorted(line.times)
        assert all(line.times[time] == time for time in bursts)
        assert max(bursts.values(), default=0) <= 4


@pytest.mark.parametrize(("people", "posts"), [(25, 150), (100, 100), (100, 1000), (1000, 7000)])
def test_the_first_posts_need_the_first_batch_of_people_only(people, posts):
    """The people of the first batch post first, so that publication need not wait for all people."""
    for number in range(5):
        line = timeline(world_seed(f"first {number}"), people, posts)
        assert max(batch_of(line.people[t]) for t in range(6)) == 0


@pytest.mark.servers
def test_a_timeline_is_the_same_in_every_process():
    """Another process, with another hash seed of Python, draws the same."""
    script = "from generia_assets.content.timeline import timeline; print([timeline(7, *size) for size in ((5, 12), (25, 150))])"
    drawn = [
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, timeout=60, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert drawn[0] == drawn[1] == f"{[timeline(7, 5, 12), timeline(7, 25, 150)]}\n"


@pytest.mark.parametrize("events", [1, 5, 8, 12])
@pytest.mark.parametrize(("people", "posts"), SIZES[1:])
def test_events_happen_one_after_another(people, posts, events):
    """The first event is past when the timeline begins, the number of past events never falls, and the time after each runs from 0
    to below 1."""
    for number in range(5):
        seed = world_seed(f"events {number}")
        moments = [(events_before(seed, posts, events, t), stretch(seed, posts, events, t)) for t in range(posts)]
        assert moments == sorted(moments)
        assert moments[0] == (1, 0.0)
        assert moments[-1][0] <= events
        assert all(0 <= gone < 1 for _, gone in moments)
        assert posts == 1 or moments[-1][0] == events


@pytest.mark.parametrize(("posts", "count"), [(0, 1), (6, 1), (12, 2), (150, 3), (1000, 4)])
def test_a_few_events_are_hot_and_have_more_time(posts, count):
    """One to four, by the size of the world; not the last events, and the time after each is longer than after other events."""
    for number in range(20):
        seed = world_seed(f"hot {number}")
        hot = hot_events(seed, posts, 8)
        assert len(hot) == len(set(hot)) == count
        assert 1 <= min(hot) <= max(hot) <= 6
        assert hot_events(seed, posts, 0) == ()
        if posts >= 150:
            begins = [next(t for t in range(posts) if events_before(seed, posts, 8, t) == event) for event in range(1, 9)]
            lengths = [after - before for before, after in pairwise((*begins, posts))]
            assert min(lengths[event - 1] for event in hot) > max(lengths[event - 1] for event in {*range(1, 9)} - {*hot})


def test_without_a_calendar_no_event_has_happened():
    """No post of a world without a calendar has a past event."""
    assert {events_before(1, 12, 0, t) for t in range(12)} == {0}


@pytest.mark.slow
def test_a_hundred_thousand_posts_are_ordered_in_seconds():
    """For ten thousand people: each run of a large world draws this again."""
    begun = time.process_time()
    assert len(timeline(world_seed("large"), 10_000, 100_000)) == 100_000
    assert time.process_time() - begun < 5  # one second on an idle machine
