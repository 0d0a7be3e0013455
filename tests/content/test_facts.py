"""What happened between two people: one fact for each tie, the same for both, also after one of them was regenerated."""

from __future__ import annotations

import pytest

from generia_assets.content import social
from generia_assets.content.documents import CharacterBrief
from generia_assets.content.keys import character_key
from tests.support.worlds import a_brief, a_request, a_world

REQUEST = a_request()
ONE = 0
OTHER = social.acquaintances(REQUEST.seed, REQUEST.users_count, ONE)[0].index


def fact_of(briefs: dict[int, CharacterBrief], whose: int, of: int) -> str:
    """The fact about the tie in the request for one of them."""
    known = social.introduce(REQUEST, a_world(request=REQUEST), whose, briefs)
    return next(acquaintance.fact for acquaintance in known if acquaintance.key == character_key(of))


@pytest.mark.parametrize("regenerated", [(), (ONE,), (OTHER,), (ONE, OTHER)])
@pytest.mark.parametrize("first_with_fact", [ONE, OTHER])
def test_both_sides_of_a_tie_get_the_same_fact(first_with_fact: int, regenerated: tuple[int, ...]) -> None:
    """One of the two concepts has the fact; a regenerated character has another fact, which then counts for both."""
    keys = {ONE: character_key(OTHER), OTHER: character_key(ONE)}

    def brief(index: int) -> CharacterBrief:
        fact = f"{index} lost it." if index in regenerated else "They shared an umbrella." if index == first_with_fact else ""
        changes = {"facts": {keys[index]: fact} if fact else {}, "selves": int(index in regenerated)}
        return a_brief(index, REQUEST).model_copy(update=changes)

    briefs = {index: brief(index) for index in (ONE, OTHER)}
    fact = fact_of(briefs, ONE, OTHER)
    assert fact == fact_of(briefs, OTHER, ONE)
    assert (fact == "They shared an umbrella.") is (not regenerated)
