"""The plot: which posts have its steps, and what requests contain about it."""

from itertools import pairwise

import pytest

from generia_assets.content import ask_people, ask_posts
from generia_assets.content.documents import PlotStep, Post
from generia_assets.content.names import CharacterIndex
from generia_assets.content.plot import MOST_STEPS, plot_posts
from generia_assets.content.samples import sample
from generia_assets.content.seeding import world_seed
from generia_assets.content.shares import BATCH, Size
from generia_assets.content.social import acquaintances
from generia_assets.content.storyline import VIGNETTE, storyline, wishes_of
from generia_assets.content.timeline import timeline
from generia_assets.tasks.generate_post_batch import brief_of
from tests.support.worlds import a_character, a_post_brief, a_request, a_world, acquaintances_of

SIZES = [(1, 0), (1, 5), (3, 6), (5, 12), (10, 10), (25, 150), (100, 1000)]
WORLD = a_world()


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_the_posts_of_a_plot_are_posts_of_its_people_in_order_at_different_times(people, posts):
    """None is a reply, a vignette or a person's first post; the last of the others is among them; one post in four has a step, and
    2 to 5 in all or none have. Where it can be so, all who tell a step know the person who tells the last one."""
    for number in range(20 if posts < 100 else 3):
        seed = world_seed(f"plot {number}")
        line = timeline(seed, people, posts)
        for first in range(0, people, BATCH):
            posts_of_plot = plot_posts(seed, Size(people, posts), first)
            assert all(
                plot_posts(seed, Size(people, posts), other) == posts_of_plot for other in range(first, min(people, first + BATCH))
            )
            able = [
                t
                for t in range(posts)
                if first <= line.people[t] < first + BATCH and line.orders[t] and line.replies[t] < 0 and not line.vignettes[t]
            ]
            assert len(posts_of_plot) <= MOST_STEPS
            assert set(posts_of_plot) <= set(able)
            assert all(line.times[one] < line.times[other] for one, other in pairwise(posts_of_plot))
            wanted = min(len(able), MOST_STEPS, (sum(first <= person < first + BATCH for person in line.people) + 2) // 4)
            assert len(posts_of_plot) == (wanted if wanted > 1 else 0)
            if posts_of_plot:
                last = line.people[able[-1]]
                circle = {last, *(tie.index for tie in acquaintances(seed, people, last))}
                theirs = [t for t in able if line.people[t] in circle]
                in_circle = len(theirs) >= wanted and len({line.people[t] for t in theirs}) > 1
                assert posts_of_plot[-1] == able[-1]
                assert posts_of_plot[0] == (theirs if in_circle else able)[0]
                assert not in_circle or set(posts_of_plot) <= set(theirs)


def test_an_extension_has_no_plot_and_changes_none():
    """The posts of the plot of the old people do not change; new people have no plot."""
    former = Size(12, 40)
    for first in (0, 10, 20):
        posts_of_plot = plot_posts(3, Size(30, 90, former), first)
        assert list(posts_of_plot) == (list(plot_posts(3, former, first)) if first < 12 else [])
    assert not plot_posts(3, Size(30, 90, former), 12)


def test_each_step_is_requested_once_with_its_author():
    """The request for a batch has a field for each step, with the time, the author and the number of words."""
    request = a_request(users=5, posts=12)
    prompt = ask_people.character_batch(request, WORLD, first=0, numbers=range(1, 6), characters=CharacterIndex())
    steps = ask_people.steps_to_invent(request, WORLD, 0)
    assert [step.t for step in steps] == list(plot_posts(request.seed, request.size, 0))
    assert list(prompt.schema["properties"]["plot"]["properties"]) == [f"step_{place}" for place in range(1, len(steps) + 1)]
    for place, step in enumerate(steps, start=1):
        (line,) = (line for line in prompt.item.splitlines() if line.startswith(f"step_{place}: "))
        assert f"step_{place}: {step.slot.moment}, told by number {step.teller + 1}" in line
        assert f"in {step.slot.length.words}." in line


def test_the_request_for_a_post_has_the_plot_so_far_and_no_later_step():
    """The request for a post with a step has that step, the earlier ones and no event; a vignette has none; a reply has those of
    its post."""
    request = a_request(users=5, posts=12)
    line, posts_of_plot = timeline(request.seed, 5, 12), plot_posts(request.seed, request.size, 0)
    plot = tuple(PlotStep(t=t, what=f"Step {t} of the cart.") for t in posts_of_plot)
    for index in range(5):
        character = a_character(index, request).model_copy(update={"plot": plot})
        known = acquaintances_of(index, request, WORLD)
        for slot in storyline(request, WORLD, index).slots:
            answered = sample(Post, t=line.replies[slot.t]) if slot.reply_to else None
            brief = a_post_brief(slot.order, character)
            item = ask_posts.post(request, WORLD, character, brief, known, (), replied_to=answered).item
            until = slot.t if answered is None else answered.t
            expected = [] if slot.form.name == VIGNETTE else [step.what for step in plot if step.t <= until]
            assert [step.what for step in plot if step.what in item] == expected
            assert ("This is what happens now." in item) == (slot.t in posts_of_plot)
            assert not (slot.t in posts_of_plot and brief_of(slot, character, WORLD, known, wishes_of(request, WORLD)).event)
