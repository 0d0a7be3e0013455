"""The draws of the program: axes, shares, the social graph. Not here: storylines (test_storyline.py)."""

from collections import Counter
from itertools import combinations

import pytest

from generia_assets.content import ask_people, data_files
from generia_assets.content.axes import OR, SITUATIONS, character_axes, profile, years
from generia_assets.content.keys import character_index
from generia_assets.content.names import CharacterIndex
from generia_assets.content.seeding import world_seed
from generia_assets.content.shares import shares
from generia_assets.content.social import acquaintances, batch_of, introduce, ready_after
from generia_assets.content.storyline import storyline
from generia_assets.content.timeline import timeline
from tests.support.worlds import a_brief, a_request, a_world

SEEDS = [world_seed(name) for name in ("a", "b", "c")]


def test_a_seed_depends_only_on_the_world_id():
    """The same id gives the same seed in every process; it fits a signed 64-bit integer."""
    assert world_seed("7f0c") == world_seed("7f0c") == 7718935546230271933
    assert 0 <= world_seed("x") < 2**63


@pytest.mark.parametrize("seed", SEEDS)
def test_axes_spread_like_a_latin_square(seed):
    """Of the values of an axis each occurs once before any occurs twice; of an axis that only some people have, none twice."""
    for axis in data_files.axes().axes:
        size, people = len(axis.values), len(axis.values) // axis.choices
        for block in range(4):
            drawn = [character_axes(seed, index).get(axis.name, "") for index in range(block * people, (block + 1) * people)]
            values = [value for value in axis.values for said in drawn if value in said.split(OR)]
            assert len(set(values)) == len(values)
            assert len(values) == size or (axis.some and size // 4 < len(values) < size)


def test_each_person_has_two_of_the_axes_that_some_have():
    """Each person has every axis that all have, and two of the others; ten people have all pairs of these."""
    always = {"age"} | {axis.name for axis in data_files.axes().axes if not axis.some}
    pairs = [frozenset(character_axes(SEEDS[0], index).keys() - always) for index in range(10)]
    assert all(len(pair) == 2 for pair in pairs)
    assert len(set(pairs)) == 10
    assert all(always <= character_axes(SEEDS[0], index).keys() for index in range(10))


def test_two_worlds_begin_with_different_people():
    """The first ten people of two worlds share at most a quarter of their values, and have different arcs and relations."""
    world, size = a_world(), 10 * (3 + sum(not axis.some for axis in data_files.axes().axes))
    for one, other in combinations(SEEDS, 2):
        drawn = [{pair for index in range(10) for pair in character_axes(seed, index).items()} for seed in (one, other)]
        assert all(len(pairs) == size for pairs in drawn)
        assert len(drawn[0] & drawn[1]) <= 0.25 * size
        requests = [a_request(users=10, posts=80, seed=seed) for seed in (one, other)]
        arcs = [{storyline(request, world, index).arc for index in range(10)} for request in requests]
        assert len((arcs[0] & arcs[1]) - {""}) < 5
        kinds = [{tie.relation for index in range(10) for tie in acquaintances(seed, 10, index)} for seed in (one, other)]
        assert len(kinds[0] & kinds[1]) < 0.35 * len(kinds[0] | kinds[1])


def test_the_request_for_the_first_concepts_says_whose_post_is_the_first():
    """Exactly one person of a world is asked for as the one who opens the feed: the author of its first post."""
    request, world = a_request(), a_world()
    opens = [
        first + place
        for first, count in ((0, 10), (10, 10), (20, 5))
        for place, notes in enumerate(
            ask_people.character_batch(request, world, first=first, numbers=range(1, count + 1), characters=CharacterIndex())
            .item.partition("The people asked for now.")[2]
            .split("\nNumber ")[1:]
        )
        if "opens the feed" in notes
    ]
    assert opens == [timeline(request.seed, 25, 150).people[0]]


def test_axes_are_independent():
    """Values of two axes are drawn independently: the longer list's values do not decide those of the shorter one."""
    people = [character_axes(SEEDS[0], index) for index in range(200)]
    assert len({(drawn["register"], drawn["temper"]) for drawn in people}) > 1.5 * len({drawn["temper"] for drawn in people})


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("people", "posts"),
    [
        (1, 0),
        (1, 1),
        (1, 9),
        (2, 2),
        (2, 3),
        (2, 4),
        (2, 16),
        (3, 0),
        (5, 3),
        (7, 56),
        (25, 150),
        (25, 200),
        (25, 201),
        (10, 5000),
        (1000, 7777),
    ],
)
def test_shares_are_exact_capped_and_fair(seed, people, posts):
    """Shares sum exactly, everybody has a post if there are enough, and up to eight posts for each person one answer holds each
    share."""
    drawn = shares(seed, people, posts)
    assert len(drawn) == people
    assert sum(drawn) == posts
    assert min(drawn) >= (1 if posts >= people else 0)
    if posts <= people:
        assert max(drawn) <= 1
    if posts <= 8 * people:
        assert max(drawn) <= 10


@pytest.mark.parametrize("people", [2, 3, 10, 25, 100])
def test_shares_are_uneven_if_possible(people):
    """With more posts than people the shares always differ."""
    for seed in range(40):
        for posts in (people + 1, 2 * people, 6 * people, 8 * people, 30 * people):
            drawn = shares(seed, people, posts)
            assert max(drawn) > min(drawn), (seed, people, posts)


def test_few_people_write_one_post_only():
    """Of 5 people with 12 posts about one in ten writes one post; of 3 people with 6 posts, in one of fifty worlds one person has
    all spare posts."""
    lonely = sum(shares(world_seed(f"five {number}"), 5, 12).count(1) for number in range(400)) / (400 * 5)
    greedy = sum(max(shares(world_seed(f"three {number}"), 3, 6)) == 4 for number in range(400)) / 400
    assert lonely <= 0.13
    assert greedy <= 0.04


@pytest.mark.parametrize("seed", SEEDS)
def test_each_part_of_a_profile_is_used_once_before_any_is_repeated(seed):
    """As many people as there are openings, secrets or portraits have different ones, and each has three different situations."""
    deals = data_files.profile_options()
    for part, values in (("entrance", deals.entrances), ("profile_line", deals.profile_lines), ("secret", deals.secrets)):
        assert {getattr(profile(seed, index), part) for index in range(len(values))} == set(values)
    shown = [profile(seed, index).situations for index in range(len(deals.situations) // SITUATIONS)]
    assert all(len(set(situations)) == SITUATIONS for situations in shown)
    assert len({situation for situations in shown for situation in situations}) == SITUATIONS * len(shown)


def test_a_regenerated_character_has_a_new_draw_and_the_same_age():
    """A regenerated character has a new draw and profile, and the same age, because relations were drawn to fit it."""
    for index in range(20):
        assert character_axes(SEEDS[0], index, 1) != character_axes(SEEDS[0], index)
        assert profile(SEEDS[0], index, 1) != profile(SEEDS[0], index)
        assert character_axes(SEEDS[0], index, 1)["age"] == character_axes(SEEDS[0], index)["age"]


def test_all_ages_are_represented():
    """Of every five people in a row one is of the youngest fifth of the ages, one of the oldest, and three are between them."""
    least = sorted(age.years[0] for age in data_files.axes().ages)
    for number in range(40):
        for first in (0, 5):
            of_five = sorted(years(world_seed(f"five {number}"), first + place) for place in range(5))
            assert of_five[0] < 25
            assert of_five[1] >= 18
            assert of_five[3] < 75
            assert of_five[4] >= 50
    for seed in SEEDS:
        assert len({character_axes(seed, index)["age"].partition(" (as grown")[0] for index in range(len(least))}) == len(least)


def test_every_relation_has_two_sides():
    """A relation is the same for both people, with the same sentence and fact; one of the two names the other."""
    for seed in SEEDS:
        for count in (1, 2, 3, 5, 11, 25, 40):
            for index in range(count):
                for tie in acquaintances(seed, count, index):
                    assert 0 <= tie.index < count
                    assert tie.index != index
                    (back,) = (other for other in acquaintances(seed, count, tie.index) if other.index == index)
                    assert (back.between, back.turn, back.kind) == (tie.between, tie.turn, tie.kind)
                    assert {tie.relation, back.relation} == {tie.kind.one, tie.kind.other}
                    assert tie.sentence("Ada", "Bo") == back.sentence("Bo", "Ada")
                    assert tie.names or back.names


def test_relations_fit_the_ages_of_both():
    """A tie is between people of the right ages, in the direction of its sentence."""
    for number in range(40):
        seed = world_seed(f"ages {number}")
        for index in range(25):
            for tie in acquaintances(seed, 25, index):
                if tie.is_first:
                    first, second = years(seed, index), years(seed, tie.index)
                    least, most = tie.kind.older_by or (-200, 200)
                    assert least <= second - first <= most, tie.sentence(f"one of {first}", f"one of {second}")
                    assert min(first, second) >= tie.kind.both_from, tie.sentence(f"one of {first}", f"one of {second}")


def test_nobody_is_the_partner_of_two():
    """A person has at most one of the ties that exclude each other (``once``)."""
    for number in range(40):
        seed = world_seed(f"once {number}")
        for index in range(25):
            words = Counter(tie.kind.once for tie in acquaintances(seed, 25, index) if tie.kind.once)
            assert max(words.values(), default=0) <= 1


def test_few_mentions_are_returned():
    """Over many worlds 15 to 30 % of the mentions are returned; in each world of a hundred people 10 to 40 %."""
    portions = []
    for number in range(20):
        seed = world_seed(f"names {number}")
        known = [{tie.index for tie in acquaintances(seed, 100, index) if tie.names} for index in range(100)]
        returned = [index in known[other] for index in range(100) for other in known[index]]
        portions.append(sum(returned) / len(returned))
    assert 0.15 <= sum(portions) / len(portions) <= 0.30
    assert all(0.1 <= portion <= 0.4 for portion in portions)


def test_the_graph_has_circles_bridges_and_people_without_ties():
    """A world has few people without ties, nobody has too many ties, and neighbouring batches are connected."""
    for seed in SEEDS:
        degrees = [len(acquaintances(seed, 40, index)) for index in range(40)]
        assert 1 <= degrees.count(0) <= 6
        assert max(degrees) <= 8
        for batch in range(1, 4):
            bridges = [
                tie
                for index in range(batch * 10, batch * 10 + 10)
                for tie in acquaintances(seed, 40, index)
                if batch_of(tie.index) == batch - 1
            ]
            assert 1 <= len(bridges) <= 2


def test_no_character_waits_for_the_whole_world():
    """A character needs the concepts of its own batch; at most two of ten need those of the next batch."""
    for seed in SEEDS:
        for batch in range(4):
            late = [index for index in range(batch * 10, batch * 10 + 10) if ready_after(seed, 40, index) > batch]
            assert len(late) <= 2
            assert all(ready_after(seed, 40, index) == batch + 1 for index in late)


def test_a_large_world_needs_no_stored_graph():
    """The ties of one index in a world of 100,000 people are computed without those of others."""
    ties = acquaintances(SEEDS[0], 100_000, 73_456)
    assert all(abs(batch_of(tie.index) - 7_345) <= 1 for tie in ties)


def test_introductions_name_existing_people():
    """Acquaintances come from briefs; people without a brief are left out, and both sides get the same story."""
    request, world = a_request(), a_world()
    briefs = {index: a_brief(index, request) for index in range(25)}
    index = next(index for index in range(25) if len(acquaintances(request.seed, 25, index)) > 1)
    known = introduce(request, world, index, briefs)
    assert {other.username for other in known} <= {brief.username for brief in briefs.values()}
    absent = acquaintances(request.seed, 25, index)[0].index
    without = introduce(request, world, index, {key: brief for key, brief in briefs.items() if key != absent})
    assert len(without) == len(known) - 1


def test_both_sides_of_a_tie_have_the_same_texts():
    """The tie of two people, what happened, and the event that changed it are the same words for both."""
    request, world = a_request(), a_world()
    briefs = {index: a_brief(index, request) for index in range(25)}
    shown = {(index, other.key): other for index in briefs for other in introduce(request, world, index, briefs)}
    assert any(other.changed_by for other in shown.values())
    for (index, key), other in shown.items():
        back = shown[character_index(key), briefs[index].key]
        assert (other.between, other.tie, other.fact, other.changed_by) == (back.between, back.tie, back.fact, back.changed_by)
        assert (other.kind, other.age, other.trade) == tuple(
            getattr(briefs[character_index(key)], of) for of in ("kind", "age", "trade")
        )
        assert 0 <= other.changed_by <= len(world.calendar)
        assert other.fact


def test_without_a_calendar_no_tie_was_changed():
    """A world without a calendar has no event that could change a tie."""
    request, world = a_request(), a_world().model_copy(update={"calendar": ()})
    briefs = {index: a_brief(index, request) for index in range(25)}
    assert not any(other.changed_by for index in briefs for other in introduce(request, world, index, briefs))
