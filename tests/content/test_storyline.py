"""Storylines: the plan of each post of a person, drawn before any idea is requested."""

import time
from collections import Counter
from itertools import pairwise

import pytest

from generia_assets.content import ask_posts, axes, data_files
from generia_assets.content.data_files import LONGEST_OPENING, MOST_COMMENTS
from generia_assets.content.plot import plot_posts
from generia_assets.content.seeding import world_seed
from generia_assets.content.social import acquaintances
from generia_assets.content.storyline import ACCOUNT, ARC_FROM, ENDING, REPLY, STEP, VIGNETTE, storyline, wishes_of
from generia_assets.content.timeline import hot_events, timeline
from tests.support.worlds import a_character, a_post_brief, a_request, a_world, acquaintances_of

SIZES = [(1, 0), (1, 5), (3, 6), (5, 3), (5, 12), (10, 10), (25, 150), (100, 1000)]
WORLD = a_world()


def worlds_of(people, posts):
    """Requests of enough worlds of this size that rare draws occur, with all storylines."""
    for number in range(max(3, min(60, 2000 // (posts + people)))):
        request = a_request(users=people, posts=posts, seed=world_seed(f"{people}-{posts}-{number}"))
        yield request, [storyline(request, WORLD, index) for index in range(people)]


def in_order(lines):
    """The slots of a world along its timeline."""
    return sorted((slot for line in lines for slot in line.slots), key=lambda slot: slot.t)


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_a_post_has_a_form_that_fits_its_length_and_company(people, posts):
    """A form fits the length, has a person to name if it needs one, and the replies are those of the timeline."""
    for request, lines in worlds_of(people, posts):
        line = timeline(request.seed, people, posts)
        for index, story in enumerate(lines):
            assert [slot.order for slot in story.slots] == list(range(line.count_of(index)))
            ties = acquaintances(request.seed, people, index)
            for slot in story.slots:
                assert slot.t == line.t_of(index, slot.order)
                assert slot.form.least <= slot.length.most
                assert slot.partner or not slot.form.needs_someone
                assert slot.partner == 0 or (ties[slot.partner - 1].names and line.joined(ties[slot.partner - 1].index) <= slot.t)
                assert (slot.form.name == REPLY) == bool(slot.reply_to) == (line.replies[slot.t] >= 0)
                assert (slot.form.name == ENDING) == (slot.t == line.ending)
                assert (slot.form.name == VIGNETTE) == bool(line.vignettes[slot.t])
                assert slot.form.name != VIGNETTE or not (slot.event or slot.partner)
                if slot.reply_to:
                    answered = line.replies[slot.t]
                    assert ties[slot.partner - 1].index == line.people[answered]
                    assert slot.reply_to == f"c{line.people[answered]:04d}-p{line.orders[answered]:04d}"


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_a_post_that_is_answered_names_who_answers_or_nobody(people, posts):
    """A post has the author of its first answer; if it is not a reply, it names nobody else."""
    for request, lines in worlds_of(people, posts):
        line = timeline(request.seed, people, posts)
        first = {post: t for t, post in reversed([*enumerate(line.replies)])}
        for index, story in enumerate(lines):
            ties = acquaintances(request.seed, people, index)
            for slot in story.slots:
                assert bool(slot.answered) == (slot.t in first)
                assert not slot.answered or ties[slot.answered - 1].index == line.people[first[slot.t]]
                assert not slot.answered or slot.reply_to or slot.partner in (0, slot.answered)


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_acquaintances_and_the_author_comment_on_posts(people, posts):
    """A post that is not a reply has comments, unless its author knows only the person who replies. An acquaintance begins; nobody
    writes two comments in a row, or both comments and replies. A step of the plot has three comments, if two
    can write them."""
    for request, lines in worlds_of(people, posts):
        line = timeline(request.seed, people, posts)
        for index, story in enumerate(lines):
            known = [tie.index for tie in acquaintances(request.seed, people, index)]
            for slot in story.slots:
                writers = slot.comments
                replying = {author for author, post in zip(line.people, line.replies, strict=True) if post == slot.t}
                assert bool(writers) == (not slot.reply_to and not replying.issuperset(known))
                assert replying.isdisjoint(known[writer - 1] for writer in writers if writer)
                assert not writers or writers[0] > 0
                assert slot.form.name not in (STEP, ENDING) or len(set(known) - replying) < 2 or len(writers) >= 3
                assert all(one != other for one, other in pairwise(writers))
                assert len(writers) <= MOST_COMMENTS


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_the_first_post_of_a_world_is_short(people, posts):
    """It has at most 35 words, whoever writes it."""
    assert all(slot.length.most <= LONGEST_OPENING == 35 for _, lines in worlds_of(people, posts) for slot in in_order(lines)[:1])


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_a_post_has_only_past_events(people, posts):
    """The event of a post is one of those before it; a reply and a vignette have none."""
    for _, lines in worlds_of(people, posts):
        for slot in in_order(lines):
            assert 0 <= slot.event <= slot.after <= len(WORLD.calendar)
            assert not (slot.event and slot.form.name in (REPLY, STEP))


def test_nearly_everybody_posts_about_a_hot_event():
    """Among 25 people with 150 posts, three fifths of those with a free post after it, which is not their first, post about it."""
    could = did = 0
    for request, lines in worlds_of(25, 150):
        for event in hot_events(request.seed, 150, len(WORLD.calendar)):
            for story in lines:
                free = (slot for slot in story.slots[1:] if slot.form.name not in (REPLY, VIGNETTE, STEP, ENDING))
                could += any(slot.after >= event for slot in free)
                did += any(slot.event == event for slot in story.slots)
    assert did / could >= 0.6


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_the_first_post_of_each_person_is_about_the_account(people, posts):
    """It is no vignette, tells no step of the plot and no event; it is a reply only where nobody has a second post."""
    for _, lines in worlds_of(people, posts):
        for slot in (line.slots[0] for line in lines if line.slots):
            if not slot.reply_to:
                assert (slot.form.name, slot.event) == (ACCOUNT, 0) or slot.form.name == ENDING
            assert not (slot.reply_to and posts > people)


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_every_wish_is_used_equally_often(people, posts):
    """Along the timeline the counts of the wishes never differ by more than one."""
    for request, lines in worlds_of(people, posts):
        count = len(wishes_of(request, WORLD))
        dealt = Counter(dict.fromkeys(range(1, count + 1), 0))
        for slot in in_order(lines):
            dealt[slot.wish] += 1
            assert len(dealt) == count
            assert max(dealt.values()) - min(dealt.values()) <= 1


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_the_label_of_time_never_goes_back(people, posts):
    """Along the timeline the labels are the calendar's days in order, those of each event after those of the event before."""
    days = [day for event in WORLD.calendar for day in event.days]
    for _, lines in worlds_of(people, posts):
        places = [days.index(slot.moment) for slot in in_order(lines)]
        assert places == sorted(places)
        assert posts < 1000 or set(places) == set(range(len(days)))


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_neighbouring_posts_of_a_person_do_different_things(people, posts):
    """Two posts of a person have different drawn forms while there are enough that fit."""
    for _, lines in worlds_of(people, posts):
        for line in lines:
            forms = [slot.form.name for slot in line.slots if slot.form.name not in (REPLY, VIGNETTE, STEP, ENDING, ACCOUNT)]
            fitting = (
                min(
                    sum(form.least <= slot.length.most and not form.needs_someone for form in data_files.post_kinds().forms)
                    for slot in line.slots
                )
                if line.slots
                else 0
            )
            assert len(set(forms)) >= min(len(forms), fitting)


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_only_people_with_six_posts_have_an_arc(people, posts):
    """People with at least six posts have an arc, and in a small world all arcs differ."""
    for _, lines in worlds_of(people, posts):
        assert all(bool(line.arc) == (len(line.slots) >= ARC_FROM == 6) for line in lines)
        arcs = [line.arc for line in lines[: len(data_files.post_kinds().arcs)] if line.arc]
        assert len(set(arcs)) == len(arcs)


@pytest.mark.parametrize(("people", "posts"), SIZES)
def test_a_second_person_is_in_the_picture_only_if_the_post_names_one(people, posts):
    """A picture of two people has a partner; faces are in a third of the pictures of a large world at least."""
    for _, lines in worlds_of(people, posts):
        slots = in_order(lines)
        assert all(slot.partner for slot in slots if slot.picture.shows == "both")
        assert posts < 100 or sum(slot.picture.shows != "nobody" for slot in slots) > posts / 4


@pytest.mark.parametrize(("people", "posts"), [(3, 6), (25, 150)])
@pytest.mark.slow
def test_a_regenerated_character_keeps_time_events_wishes_and_replies(people, posts):
    """The places in the timeline stay; form, length and arc are new."""
    for request, lines in worlds_of(people, posts):
        regenerated = [storyline(request, WORLD, index, 1) for index in range(people)]
        plot = {t for index in range(people) for t in plot_posts(request.seed, request.size, index)}
        for before, after in zip(lines, regenerated, strict=True):
            for one, other in zip(before.slots, after.slots, strict=True):
                kept = [
                    (
                        slot.order,
                        slot.t,
                        slot.after,
                        slot.moment,
                        slot.event,
                        slot.wish,
                        slot.reply_to,
                        slot.t in plot and slot.partner,
                    )
                    for slot in (one, other)
                ]
                assert kept[0] == kept[1]
        assert posts < 100 or sum(one != other for one, other in zip(lines, regenerated, strict=True)) > people * 0.7


def test_two_worlds_have_different_arcs():
    """The first ten people of each of two worlds have ten arcs, and share fewer than six."""
    arcs = [{line.arc for line in lines[:10]} for _, lines in list(worlds_of(10, 160))[:2]]
    assert all(len(world) == 10 for world in arcs)
    assert len(arcs[0] & arcs[1]) < 6


@pytest.mark.parametrize("missing", [{"calendar": ()}, {"wishes": ()}, {"hashtags": ()}])
def test_a_world_without_calendar_or_wishes_has_storylines(missing):
    """Without a calendar posts have no event and no label of time; without wishes they get the ideas of the sentence, or the
    sentence."""
    world, request = WORLD.model_copy(update=missing), a_request(users=5, posts=12)
    for bare in (
        world,
        world.model_copy(update={"user_preferences": world.user_preferences.model_copy(update={"other_preferences": ()})}),
    ):
        for index in range(5):
            for slot in storyline(request, bare, index).slots:
                assert 1 <= slot.wish <= len(wishes_of(request, bare))
                if not bare.calendar:
                    assert (slot.event, slot.after, slot.moment) == (0, 0, "")
            character, known = a_character(index, request), acquaintances_of(index, request, bare)
            assert ask_posts.post(request, bare, character, a_post_brief(0, character), known, ()).item


def test_an_event_without_days_gives_its_moment_as_the_label():
    """In an older world without days, the time of a post is the moment of the latest event."""
    world = WORLD.model_copy(update={"calendar": tuple(event.model_copy(update={"days": ()}) for event in WORLD.calendar)})
    for slot in storyline(a_request(), world, 3).slots:
        assert slot.moment == world.calendar[slot.after - 1].moment


def test_a_request_for_a_post_is_made_in_two_milliseconds():
    """All 150 requests of a world are rendered in sequence, although each reads the whole plan."""
    request = a_request()
    asked = [
        (character, known, a_post_brief(order, character))
        for index in range(25)
        for character, known in [(a_character(index, request), acquaintances_of(index, request, WORLD))]
        for order in range(character.posts_count)
    ]
    character, known, brief = asked[0]
    ask_posts.post(request, WORLD, character, brief, known, ())  # templates are compiled once
    begun = time.process_time()
    for character, known, brief in asked:
        ask_posts.post(request, WORLD, character, brief, known, ())
    assert time.process_time() - begun < 0.002 * len(asked)


@pytest.mark.slow
def test_ten_thousand_posts_of_one_person_are_planned_in_two_seconds():
    """Even if few forms fit a laconic person, the time for a plan grows no faster than its length."""
    laconic = next(seed for seed in range(100) if axes.profile(seed, 0).talker.name == "laconic")
    request = a_request(users=1, posts=10_000, seed=laconic)
    begun = time.process_time()
    assert len(storyline(request, WORLD, 0).slots) == 10_000
    assert time.process_time() - begun < 2
