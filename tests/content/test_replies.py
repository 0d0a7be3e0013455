"""Who replies to what: in threads in a small world, when the text of the post is written in a large one."""

from collections import Counter

import pytest

from generia_assets.content.replies import LONGEST_CHAIN, MOST_REPLIES, opening
from generia_assets.content.social import acquaintances
from tests.support.timelines import SIZES, worlds_of


def chain(line, t):
    """The posts from this one back to the first that replies to none."""
    found = [t]
    while line.replies[found[-1]] >= 0:
        found.append(line.replies[found[-1]])
    return found


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_replies_go_back_to_people_whom_the_author_may_name(people, posts):
    """A reply is later than its post, whose author it may name; chains have three posts at most, and a post two replies."""
    for seed, line in worlds_of(people, posts):
        for t, answered in enumerate(line.replies):
            if answered >= 0:
                assert answered < t
                ties = acquaintances(seed, people, line.people[t])
                assert line.people[answered] in [tie.index for tie in ties if tie.names]
                assert len(chain(line, t)) <= LONGEST_CHAIN == 3
        answers = Counter(answered for answered in line.replies if answered >= 0)
        assert max(answers.values(), default=0) <= MOST_REPLIES == 2


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_one_post_in_three_is_a_reply_where_somebody_is_there_to_reply_to(people, posts):
    """About a third of the posts reply, in a small world up to half, fewer where each person has one post; none where nobody knows
    anybody."""
    portions = []
    for seed, line in worlds_of(people, posts):
        replies = [t for t, answered in enumerate(line.replies) if answered >= 0]
        portions.append(len(replies) / max(1, posts))
        writers = set(line.people)
        if not any(tie.index in writers for index in writers for tie in acquaintances(seed, people, index)):
            assert not replies
        if posts >= 150:
            assert sum(t < posts / 2 for t in replies) == pytest.approx(len(replies) / 2, abs=0.05 * posts)
    mean = sum(portions) / len(portions)
    assert mean == 0 if people == 1 or posts < 3 else (0.14 if posts > people else 0.1) <= mean <= (0.5 if posts < 40 else 0.35)


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_the_first_posts_and_the_ending_reply_to_nobody(people, posts):
    """So that a new reader understands the first ones, and the end is open. In a small world one reply may follow the ending."""
    for _, line in worlds_of(people, posts):
        assert all(line.replies[t] < 0 for t in range(opening(posts) if posts >= 40 else min(1, posts)))
        assert line.ending == posts - 1 or (posts < 40 and line.ending == line.replies[posts - 1] == posts - 2)
        assert line.ending < 0 or line.replies[line.ending] < 0


@pytest.mark.parametrize(("people", "posts"), [(4, 8), (5, 12)])
def test_a_small_world_mostly_ends_with_a_reply_and_its_first_posters_come_back(people, posts):
    """In two of three worlds somebody replies to the ending; in half of the threads of three or more their author comes back."""
    ends, returns = [], []
    for _, line in worlds_of(people, posts):
        ends.append(line.ending < posts - 1)
        begun = [chain(line, t)[-1] for t in range(posts)]
        threads = [[t for t in range(posts) if begun[t] == first] for first in set(begun)]
        returns += [line.people[thread[0]] in [line.people[t] for t in thread[1:]] for thread in threads if len(thread) > 2]
    assert sum(ends) > len(ends) * 2 / 3
    assert sum(returns) > len(returns) / 2


@pytest.mark.parametrize(("people", "posts"), [(3, 6), (5, 12), (8, 39)])
def test_the_replies_of_a_small_world_stand_in_threads(people, posts):
    """A reply, its post and what is between them are one thread of four posts at most, all at the same time."""
    for seed, line in worlds_of(people, posts):
        threads = Counter(chain(line, t)[-1] for t in range(posts))
        for t, answered in enumerate(line.replies):
            if answered >= 0:
                begun = chain(line, t)[-1]
                assert all(chain(line, between)[-1] == begun for between in range(begun, t)), seed
                assert line.times[t] == line.times[begun] == begun, seed
        assert max(threads.values()) <= 4


@pytest.mark.parametrize(("people", "posts"), [(3, 6), (5, 12)])
def test_in_a_small_world_many_people_are_answered(people, posts):
    """Nobody gets a second thread before others had one, but for the ending; nobody's only post is a reply."""
    for _, line in worlds_of(people, posts):
        begun = Counter(line.people[t] for t in set(line.replies) - {-1, line.ending} if line.replies[t] < 0)
        assert max(begun.values(), default=0) <= 1 + sum(begun.values()) // people
        assert all(line.count_of(line.people[t]) > 1 for t, answered in enumerate(line.replies) if answered >= 0)


@pytest.mark.parametrize(("posts", "apart"), [(150, 16), (1000, 30)])
def test_in_a_large_world_a_reply_comes_within_the_last_posts(posts, apart):
    """Within the last few posts, so that readers still know what it is about."""
    for seed, line in worlds_of(5, posts):
        assert all(answered < 0 or t - answered <= apart for t, answered in enumerate(line.replies)), seed


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_two_in_five_of_the_other_posts_are_vignettes(people, posts):
    """They are numbered from 1. No vignette is a reply, the ending, or its author's only post."""
    for _, line in worlds_of(people, posts):
        others = [t for t in range(posts) if line.replies[t] < 0 and line.count_of(line.people[t]) > 1 and t < posts - 1]
        found = [t for t in others if line.vignettes[t]]
        assert [line.vignettes[t] for t in found] == [*range(1, len(found) + 1)] == [number for number in line.vignettes if number]
        assert len(found) == pytest.approx(0.4 * len(others), abs=2.2)
        assert line.ending not in found
