"""Tasks of a regenerated character: another concept under the same name, new relations, a post in other words."""

from typing import Any

import pytest

from generia_assets.content.axes import OR, character_axes
from generia_assets.content.documents import Relationship
from generia_assets.content.names import CharacterIndex
from generia_assets.content.social import acquaintances, introduce
from generia_assets.tasks.generate_character import generate_character
from generia_assets.tasks.generate_character_batch import PreviousCharacter, generate_character_batch
from generia_assets.tasks.task_definition import BatchParameters, TaskParameters
from resources.gateway.outcomes import InvalidAnswerError
from tests.support.answers import character_answer
from tests.support.fake_clients import a_bench, refused
from tests.support.worlds import a_brief, a_character, a_request, a_world, acquaintances_of

THIRD = BatchParameters(key="c0003", first=3, count=1)
NEW = "Sells shade by the hour from under a rented awning, and is in the middle of a lawsuit with the noon."


def a_concept(text: str = NEW) -> dict[str, Any]:
    return {"obvious": "a keeper of something", "concept": text, "one_line": "sells shade, sues the noon"}


def formerly(others: int = 2) -> PreviousCharacter:
    request = a_request()
    concepts = ("Counts the bees at dusk and is one short.", "Drives the last tram, which has never once been full.")
    there = [a_brief(index, request).model_copy(update={"concept": concepts[index]}) for index in range(others)]
    return PreviousCharacter(a_brief(3, request), there, ())


async def test_a_regenerated_character_keeps_key_and_names_and_has_a_new_draw():
    """Key, names and share of the posts stay; concept and draw are new; the request contains what must not be repeated."""
    request, former = a_request(), formerly()
    bench = a_bench(a_concept())
    (brief,) = (await generate_character_batch(THIRD, bench.clients, request, a_world(), CharacterIndex(), former)).briefs
    kept = ("key", "username", "display_name", "posts_count")
    assert [getattr(brief, name) for name in kept] == [getattr(former.brief, name) for name in kept]
    assert (brief.concept, brief.selves) == (NEW, 1)
    assert brief.axes == character_axes(request.seed, 3, 1) != former.brief.axes
    (prompt,) = bench.text.prompts
    assert former.brief.concept in prompt.item
    assert all(other.concept in prompt.item for other in former.others)
    assert prompt.request_type == "character_batch", "planned, priced and counted as what it is"


async def test_facts_of_the_former_character_are_not_used_for_the_regenerated_one():
    """Both sides of every tie get the facts of the new concept, also if the other character is regenerated after it."""
    request, world = a_request(), a_world()
    there = {index: a_brief(index, request) for index in range(10)}
    second = next(tie.index for tie in acquaintances(request.seed, 25, 3) if tie.index < 10)
    for index in (3, second):
        others = {other: brief for other, brief in there.items() if other != index}
        former = PreviousCharacter(there[index], (), introduce(request, world, index, others))
        ties = {f"person_{place}": f"With {index} now: {place}" for place in range(1, 9)}
        concept = a_concept() if index == 3 else a_concept("Rents out the echo of the cistern by the quarter hour.")
        one = BatchParameters(key=there[index].key, first=index, count=1)
        made = await generate_character_batch(
            one, a_bench(concept | {"ties": ties}).clients, request, world, CharacterIndex(), former
        )
        there[index] = made.briefs[0]
        for other in introduce(request, world, index, there):
            back = next(tie for tie in introduce(request, world, int(other.key[1:]), there) if tie.key == there[index].key)
            assert other.fact.startswith(f"With {index} now")
            assert other.fact == back.fact


async def test_a_concept_like_the_former_one_or_a_neighbours_is_sent_back():
    """An answer like the former concept, or like that of another person, is sent back with the name; in the end the task fails."""
    former = formerly()
    bench = a_bench(a_concept(former.brief.concept), a_concept(former.others[0].concept), refused("SAFETY"), a_concept())
    made = await generate_character_batch(THIRD, bench.clients, a_request(), a_world(), CharacterIndex(), former)
    assert made.briefs[0].concept == NEW
    assert former.brief.display_name in bench.text.prompts[1].complaints[0]
    assert former.others[0].display_name in bench.text.prompts[2].complaints[0]
    assert "SAFETY" in bench.text.prompts[3].complaints[0]
    stubborn = a_bench(*[a_concept(former.brief.concept)] * 4)
    with pytest.raises(InvalidAnswerError, match="no new concept for c0003"):
        await generate_character_batch(THIRD, stubborn.clients, a_request(), a_world(), CharacterIndex(), former)


async def test_a_regenerated_character_that_is_always_refused_is_a_fallback_character():
    """The third request leaves out the former concept and the user's sentence; after it, the character consists of its draw."""
    request, former = a_request(), formerly()
    bench = a_bench(refused(), refused(), refused("SPII"))
    (brief,) = (await generate_character_batch(THIRD, bench.clients, request, a_world(), CharacterIndex(), former)).briefs
    assert (brief.username, brief.display_name, brief.selves) == (former.brief.username, former.brief.display_name, 1)
    assert brief.axes == character_axes(request.seed, 3, 1)
    assert brief.axes["work"].partition(OR)[0].casefold() in brief.concept.casefold()
    assert brief.moderation.endswith("SPII")
    assert (brief.kind, brief.age, brief.trade, brief.look, brief.facts) == ("", "", "", "", {}), "all of that was the former one"
    last = "\n".join(bench.text.prompts[2].parts)
    assert not [text for text in (former.brief.concept, former.others[0].concept, request.user_prompt) if text in last]
    again = PreviousCharacter(brief, former.others, ())
    (mended,) = (
        await generate_character_batch(THIRD, a_bench(a_concept()).clients, request, a_world(), CharacterIndex(), again)
    ).briefs
    assert (mended.concept, mended.moderation) == (NEW, "")


async def test_relations_with_a_refused_character_have_its_one_line():
    """Whatever moderation leaves of a regenerated character, no relation still describes the former one, here and on the
    platform."""
    request, world = a_request(), a_world()
    known, brief = acquaintances_of(3, request, world), a_brief(3, request)
    tie = Relationship(username=brief.username, relationship_type="rival", description="Who they were before.")
    teller = a_character(int(known[0].key[1:]), request).model_copy(update={"relationships": (tie,), "character_id": "id-teller"})
    bench = a_bench(refused(), refused(), refused())
    former = a_character(3, request)
    person = await generate_character(TaskParameters(key="c0003"), bench.clients, request, world, brief, known, former, [teller])
    assert person.character_id == former.character_id
    assert person.seen_by == {teller.username: brief.one_line}
    assert [kind for kind, _ in bench.platform.published] == ["character_changed", "character_changed"]
    assert bench.platform.published[1][1][0] == "id-teller"
    assert bench.platform.published[1][1][1].meta["relationships"][0]["description"] == brief.one_line
    assert "speaks like this" in bench.text.prompts[0].item.casefold()


async def test_without_unchanged_relations_the_request_is_the_usual_one():
    """The other side of a relation is requested only if another person's document must be changed."""
    request, world = a_request(), a_world()
    known = acquaintances_of(3, request, world)
    bench = a_bench(character_answer(len(known)))
    person = await generate_character(TaskParameters(key="c0003"), bench.clients, request, world, a_brief(3, request), known)
    assert person.seen_by == {}
    assert "their_description" not in str(bench.text.prompts[0].schema)


def test_only_relations_with_that_person_are_changed():
    """Type and order of relations, and everything else of a document, stay; a person without such a relation is the same object."""
    request = a_request()
    regenerated = a_character(3, request).model_copy(update={"seen_by": {a_character(4, request).username: "Sues the noon now."}})
    ties = (
        Relationship(username="somebody_else", relationship_type="cousin", description="As before."),
        Relationship(username=regenerated.username, relationship_type="rival", description="Who they were."),
    )
    teller = a_character(4, request).model_copy(update={"relationships": ties})
    now = teller.with_updated_relationships({regenerated.username: regenerated})
    assert now.relationships == (ties[0], ties[1].model_copy(update={"description": "Sues the noon now."}))
    assert now.model_copy(update={"relationships": ties}) == teller
    other = a_character(5, request)
    assert other.with_updated_relationships({regenerated.username: regenerated}) is other
