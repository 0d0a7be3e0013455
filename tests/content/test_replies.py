"""Replies: which post answers which, and how soon."""

from collections import Counter

import pytest

from generia_assets.content.replies import LONGEST_CHAIN, MOST_REPLIES, opening
from generia_assets.content.social import acquaintances
from tests.support.timelines import SIZES, worlds_of


def chain(line, t):
    """The posts from this one back to the first that is not a reply."""
    found = [t]
    while line.replies[found[-1]] >= 0:
        found.append(line.replies[found[-1]])
    return found


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_replies_answer_people_whom_the_author_may_name(people, posts):
    """A reply is later than its post, and may name that author; chains have three posts at most, and a post has two replies at
    most."""
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
def test_one_post_in_five_is_a_reply_if_people_know_each_other(people, posts):
    """About one post in five is a reply, fewer if each person has one post, and none if nobody knows anybody."""
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
    assert mean == 0 if people == 1 or posts < 3 else 0.1 <= mean <= 0.3


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_the_first_posts_and_the_last_one_are_not_replies(people, posts):
    """A new reader understands the first posts, and the end stays open."""
    for _, line in worlds_of(people, posts):
        assert all(line.replies[t] < 0 for t in (*range(opening(posts)), line.ending) if t >= 0)
        assert line.ending == posts - 1


@pytest.mark.parametrize(("people", "posts"), [(3, 6), (5, 12)])
def test_in_a_small_world_no_persons_only_post_is_a_reply(people, posts):
    """Each person has a post that is not a reply, and a reply right after its post has its time."""
    for _, line in worlds_of(people, posts):
        for t, answered in enumerate(line.replies):
            assert answered < 0 or line.count_of(line.people[t]) > 1
            assert not 0 <= answered == t - 1 or line.times[t] == line.times[answered]


@pytest.mark.parametrize(("posts", "apart"), [(150, 16), (1000, 30)])
def test_in_a_large_world_a_reply_comes_within_the_last_posts(posts, apart):
    """The answered post is one of the last few, so that readers still remember it."""
    for seed, line in worlds_of(5, posts):
        assert all(answered < 0 or t - answered <= apart for t, answered in enumerate(line.replies)), seed


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_half_of_the_other_posts_are_vignettes(people, posts):
    """They are numbered from 1. No vignette is a reply, the ending, or its author's first post."""
    for _, line in worlds_of(people, posts):
        others = [t for t in range(posts) if line.replies[t] < 0 and line.orders[t] and t < posts - 1]
        found = [t for t in others if line.vignettes[t]]
        assert [line.vignettes[t] for t in found] == [*range(1, len(found) + 1)] == [number for number in line.vignettes if number]
        assert len(found) == pytest.approx(0.5 * len(others), abs=1.5)
        assert line.ending not in found
