"""The data from which people and posts are drawn: enough entries, no recognizable repetitions, no contradictions."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from statistics import mean
from typing import Any

import pytest
from pydantic import ValidationError

from generia_assets.content import banlist, data_files
from generia_assets.content.axes import OR, character_axes
from generia_assets.content.data_files import LONGEST_OPENING, Axes, Axis, PostKinds
from generia_assets.content.documents import WorldDescription, WorldRequest
from generia_assets.content.samples import sample
from generia_assets.content.seeding import world_seed
from generia_assets.content.storyline import storyline

AXES = {axis.name: axis for axis in data_files.axes().axes}
POSTS = data_files.post_kinds()
TIES = data_files.relations()
PEOPLE = data_files.profile_options()
CONCRETE = 80
"""Values from which on an axis may hold things that one knows again."""


def _lists() -> Iterator[tuple[str, Sequence[str]]]:
    yield "ages", [age.words for age in data_files.axes().ages]
    yield from ((name, axis.values) for name, axis in AXES.items())
    yield "forms", [form.how for form in POSTS.forms]
    yield "pictures", [kind.how for kind in (*POSTS.pictures, *POSTS.wonders)]
    yield from (("vignettes", POSTS.vignettes), ("arcs", POSTS.arcs), ("between", TIES.between))
    yield from PEOPLE


@pytest.mark.parametrize(("name", "values"), [pytest.param(*entry, id=entry[0]) for entry in _lists()])
def test_no_list_has_repeated_openings_or_banned_words(name, values):
    """No value of a list is repeated, at most three begin with the same two words, and none has a banned word."""
    assert len(set(values)) == len(values)
    openings = Counter(" ".join(value.casefold().split()[:2]) for value in values)
    assert {words: count for words, count in openings.items() if count > 3} == {}
    assert {value: found for value in values if (found := banlist.find_banned(value, "English"))} == {}


def test_ages_below_eighteen_say_which_notes_do_not_apply():
    """Exactly the ages that begin below eighteen say that notes on love, drink or marriage do not apply."""
    marked = {age.words: "notes on love, drink or marriage do not apply" in age.words for age in data_files.axes().ages}
    assert marked == {age.words: age.years[0] < 18 for age in data_files.axes().ages}


def test_every_list_is_long_enough():
    """Each list is so long that a second world has other entries."""
    least = {"register": 24, "voice": 30, "work": 80, "heart": 80, "appetite": 110}
    sizes = {name: len(axis.values) for name, axis in AXES.items()}
    least |= {"plain happiness": 110} | dict.fromkeys(sizes.keys() - least.keys(), 40)
    sizes |= {"forms": len(POSTS.forms), "pictures": len(POSTS.pictures), "arcs": len(POSTS.arcs)}
    sizes |= {"vignettes": len(POSTS.vignettes), "wonders": len(POSTS.wonders)}
    least |= {"forms": 44, "pictures": 14, "arcs": 40, "vignettes": 20, "wonders": 10}
    sizes |= {"near": len(TIES.near), "far": len(TIES.far), "between": len(TIES.between)}
    least |= {"near": 40, "far": 30, "between": 60}
    sizes |= {name: len(values) for name, values in PEOPLE}
    least |= {"situations": 30, "entrances": 30, "formats": 30, "typing": 9, "profile_lines": 20, "portraits": 20, "secrets": 60}
    assert {name: size for name, size in sizes.items() if size < least[name]} == {}


def test_two_worlds_of_ten_share_few_values():
    """Two worlds of ten people share about as many values of an axis of concrete values as chance gives."""
    concrete = [name for name, axis in AXES.items() if len(axis.values) >= CONCRETE]
    assert {"work", "heart", "appetite", "plain happiness"} <= set(concrete)
    worlds = [[character_axes(world_seed(f"world {number}"), index) for index in range(10)] for number in range(30)]
    drawn = [
        {name: {value for person in world for value in person.get(name, "").split(OR) if value} for name in concrete}
        for world in worlds
    ]
    for name in concrete:
        shared = mean(len(one[name] & other[name]) for one, other in combinations(drawn, 2))
        assert shared <= 1.5 * (10 * AXES[name].choices) ** 2 / len(AXES[name].values)


@pytest.mark.parametrize("kind", [*TIES.near, *TIES.far], ids=lambda kind: kind.one)
def test_a_tie_has_one_meaning(kind):
    """No text of a tie offers a choice, a tie of love is between adults, and a child is younger than the parent."""
    assert not any(re.search(r"\bor\b|/", words) for words in (kind.one, kind.other, kind.says))
    assert not re.search(r"[{}]", kind.says.format(first="", second=""))
    if re.search(r"\b(couple|love|married|partner of)\b", kind.says):
        assert kind.both_from >= 18
    if kind.one in {"parent", "step-parent", "grandparent", "godparent"}:
        assert kind.older_by
        assert kind.older_by[0] >= 12
        assert kind.once == "family"


def test_a_word_for_a_tie_names_one_kind_of_tie():
    """No two kinds of tie describe the other person with the same words: these words identify the tie."""
    words = Counter(word for kind in (*TIES.near, *TIES.far) for word in {kind.one, kind.other})
    assert [word for word, count in words.items() if count > 1] == []


def test_every_length_leaves_a_choice_of_forms():
    """Even for the shortest post of a person without company there are at least twenty forms."""
    shortest = min(length.most for length in POSTS.lengths)
    assert sum(form.least <= shortest and not form.needs_someone for form in POSTS.forms) >= 20


def test_half_of_the_pictures_have_faces():
    """About half of the kinds of picture show a face, and some show nobody."""
    faces = [kind for kind in POSTS.pictures if kind.shows != "nobody" or "face" in kind.how]
    assert 0.45 <= len(faces) / len(POSTS.pictures) <= 0.7


def test_posts_are_short_with_some_long_ones():
    """With four fifths of the most words of each length, a post has 45 words on average at most, nearly half of the posts have
    20 to 65, some more than 100."""
    world, most = sample(WorldDescription), list[int]()
    for number in range(4):
        fields: dict[str, Any] = {
            "user_prompt": "A town",
            "users_count": 25,
            "posts_count": 150,
            "seed": world_seed(f"world {number}"),
        }
        request = sample(WorldRequest, **fields)
        of_this = [slot.length.most for index in range(25) for slot in storyline(request, world, index).slots]
        assert len(of_this) == 150
        assert 0.8 * mean(of_this) <= 45
        most += of_this
    assert 0.15 <= sum(words < 20 for words in most) / len(most) <= 0.45
    assert sum(20 <= words <= 65 for words in most) / len(most) >= 0.45
    assert 0.01 <= sum(words > 100 for words in most) / len(most) <= 0.1


def _axis(values: int, **more: Any) -> dict[str, Any]:
    return {"name": f"axis {values} {more}", "values": [f"value {number}" for number in range(values)], **more}


def test_values_that_no_person_could_have_are_mistakes():
    """The number of values is a multiple of the choices; two axes are for some people; some length is short enough for the first
    post, and some pattern of comments long enough for a step of the plot."""
    ages = [{"words": words, "years": [20, 30]} for words in ("young", "old")]
    with pytest.raises(ValidationError, match="no multiple of choices"):
        Axis.model_validate(_axis(7, choices=3))
    with pytest.raises(ValidationError, match="two axes at least"):
        Axes.model_validate({"ages": ages, "axes": [_axis(2), _axis(3, some=True)]})
    kinds = POSTS.model_dump()
    long = [length for length in kinds["lengths"] if length["most"] > LONGEST_OPENING]
    with pytest.raises(ValidationError, match="for the first post of a world"):
        PostKinds.model_validate({**kinds, "lengths": long})
    with pytest.raises(ValidationError, match="for the steps of the plot"):
        PostKinds.model_validate({**kinds, "comments": [("friend",)]})
