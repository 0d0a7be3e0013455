"""Ideas of one person's posts: which ideas repeat, which are in later requests, and that neither takes longer with more ideas."""

import random
import time

import pytest

from generia_assets.content.similarity import COPY, REPEATED_IDEA, Ideas
from tests.support.worlds import a_character, a_post_brief, a_request

PERSON = a_character(3, a_request())


def an_idea(order: int, text: str):
    return a_post_brief(order, PERSON).model_copy(update={"idea": text})


def similarity(one: str, other: str) -> float:
    """The similarity itself, without a short cut."""
    left, right = set(one.split()), set(other.split())
    return len(left & right) / len(left | right)


def test_near_copies_repeat_and_others_do_not():
    """An idea with other case and punctuation is a repeat, another idea is not; an idea without words is compared unchanged."""
    ideas = Ideas([an_idea(0, "The cart rolled away during lunch again"), an_idea(1, "🐢🐢")])
    assert ideas.repeats("the cart rolled away, during lunch, AGAIN!")
    assert not ideas.repeats("Bees moved into the tram")
    assert ideas.repeats(" 🐢🐢 ")
    assert not ideas.repeats("🐢")


@pytest.mark.slow
def test_the_short_cut_finds_the_same_as_comparing_with_all():
    """An idea with some other words is a repeat exactly if an earlier idea shares enough words, at both thresholds."""
    rng = random.Random(3)
    vocabulary = ["".join(rng.choices("abcdefgh", k=rng.randint(1, 9))) for _ in range(60)]
    earlier = [" ".join(rng.sample(vocabulary, rng.randint(5, 30))) for _ in range(300)]
    ideas = Ideas(an_idea(order, text) for order, text in enumerate(earlier))
    seen = set()
    for _ in range(600):
        kept = rng.choice(earlier).split()
        rng.shuffle(kept)
        candidate = " ".join([*kept[rng.randint(0, 3) :], *rng.sample(vocabulary, rng.randint(0, 3))])
        for threshold in (REPEATED_IDEA, COPY):
            expected = any(similarity(candidate, other) >= threshold for other in earlier)
            assert ideas.repeats(candidate, threshold) == expected
            seen.add((threshold, expected))
    assert len(seen) == 4


@pytest.mark.slow
def test_thousands_of_ideas_are_checked_in_seconds():
    """Each of four thousand ideas is compared with all earlier ones in seconds, not minutes."""
    rng = random.Random(5)
    vocabulary = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 10))) for _ in range(3_000)]
    texts = [" ".join(rng.choices(vocabulary, k=35)) for _ in range(4_000)]
    ideas = Ideas()
    begun = time.process_time()
    for order, text in enumerate(texts):
        assert not ideas.repeats(text)
        ideas.add(an_idea(order, text))
    assert time.process_time() - begun < 10
    assert ideas.repeats(texts[0], COPY)
    assert ideas.count == 4_000


def test_the_latest_ideas_are_requested_in_full_and_older_ones_in_one_line():
    """For any number of ideas, a request has thirty in full and twenty more in short, starting with the first one."""
    few = Ideas(an_idea(order, f"Thing {order}") for order in range(12))
    assert len(few.latest) == 12
    assert few.spread == ()
    many = Ideas(an_idea(order, f"Thing {order}\nwith a very long tail " + "of words " * 90) for order in range(990))
    assert [brief.order for brief in many.latest] == list(range(960, 990))
    assert len(many.spread) == Ideas.MOST_LINES
    assert many.spread[0].startswith("1. Thing 0 with")
    assert many.spread[-1].startswith("913. Thing 912 ")
    assert all(len(line) < 100 and "\n" not in line for line in many.spread)
