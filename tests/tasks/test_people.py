"""Tasks of people: concepts in batches, persons, avatars."""

import pytest

from generia_assets.content import seeding as seeding
from generia_assets.content.ask_people import by_index, happened_when_joining, slots_of, steps_to_invent
from generia_assets.content.axes import OR, character_axes
from generia_assets.content.documents import PlotStep, Quality
from generia_assets.content.names import CharacterIndex, fold
from generia_assets.content.pictures import neutral_prompt
from generia_assets.content.shares import shares
from generia_assets.content.social import acquaintances, introduce
from generia_assets.tasks.clients import MediaType
from generia_assets.tasks.generate_character import generate_character
from generia_assets.tasks.generate_character_avatar import generate_character_avatar
from generia_assets.tasks.generate_character_batch import fallback_character, generate_character_batch
from generia_assets.tasks.task_definition import BatchParameters, TaskParameters
from resources.gateway.outcomes import InvalidAnswerError, RefusedError
from tests.support.answers import character_answer, people_answer
from tests.support.fake_clients import a_bench, refused
from tests.support.worlds import RUSSIAN, a_brief, a_character, a_request, a_world, acquaintances_of

TEN = BatchParameters(key="b001", first=10, count=10)
THIRD = TaskParameters(key="c0003")


def renamed(answer, number, **fields):
    """The answer with another name for one number."""
    people = [person | fields if person["number"] == number else person for person in answer["people"]]
    return {**answer, "people": people}


async def test_a_batch_is_made_in_one_call():
    """Ten concepts come with the keys, axes and shares of their indices, which the program decides."""
    request, bench = a_request(), a_bench(people_answer(range(1, 11)))
    made = await generate_character_batch(TEN, bench.clients, request, a_world(), CharacterIndex())
    assert [brief.key for brief in made.briefs] == [f"c{index:04d}" for index in range(10, 20)]
    assert [brief.posts_count for brief in made.briefs] == list(shares(request.seed, 25, 150)[10:20])
    assert made.briefs[4].axes == character_axes(request.seed, 14)
    assert len(bench.text.prompts) == 1


def facts_of(briefs, request=None):
    """The fact of each tie between these people for each side, by the two indices."""
    request, there = request or a_request(), by_index(briefs)
    return {(index, int(other.key[1:])): other.fact for index in there for other in introduce(request, a_world(), index, there)}


async def test_the_fact_between_two_people_is_invented_once_and_the_same_for_both():
    """Each tie of a batch, and each bridge to the batch before, has one fact from one field, which both sides get."""
    request, characters, asked = a_request(), CharacterIndex(), []
    for first in (0, 10, 20):
        count = min(10, 25 - first)
        answer = people_answer(range(1, count + 1), name=f"Lane{first}")
        answer["ties"] = {slot: f"{first}: {text}" for slot, text in answer["ties"].items()}
        for person in answer["people"]:
            person["concept"] = " ".join(seeding.code(first + person["number"], word) for word in range(8))
        bench = a_bench(answer)
        parameters = BatchParameters(key=f"b{first}", first=first, count=count)
        characters.add(*(await generate_character_batch(parameters, bench.clients, request, a_world(), characters)).briefs)
        asked += [slot for prompt in bench.text.prompts for slot in prompt.schema["properties"]["ties"]["properties"]]
    facts = facts_of(characters.latest)
    assert len(facts) == sum(len(acquaintances(request.seed, 25, index)) for index in range(25)) == 2 * len(asked)
    assert all(fact and facts[other, index] == fact for (index, other), fact in facts.items())
    assert len(set(facts.values())) == len(asked)
    assert all(other < brief.key for brief in characters.latest for other in brief.facts)


async def test_a_fact_about_a_person_who_was_sent_back_is_requested_again():
    """If one of two people is sent back, the tie is requested again with the replacement; the first fact is not used."""
    request = a_request()
    one, other = next((index, tie.index) for index in range(10) for tie in acquaintances(request.seed, 25, index) if tie.index < 10)
    first = renamed(people_answer(range(1, 11)), other + 1, display_name="Elara") | {
        "ties": {f"tie_{place}": f"first {place}" for place in range(1, 41)}
    }
    second = people_answer([other + 1], name="Bell") | {"ties": {f"tie_{place}": f"second {place}" for place in range(1, 41)}}
    bench = a_bench(first, second)
    parameters = BatchParameters(key="b000", first=0, count=10)
    facts = facts_of((await generate_character_batch(parameters, bench.clients, request, a_world(), CharacterIndex())).briefs)
    for (index, whom), fact in facts.items():
        assert fact.startswith("second" if other in (index, whom) else "first")
        assert fact == facts[whom, index]
    assert f"Chock {one + 1} Lane (@Chock_{one + 1})" in bench.text.prompts[1].item


async def test_missing_people_are_requested_again_by_number():
    """The missing people are requested again, with the list of existing people, and nobody is requested twice."""
    bench = a_bench(people_answer([1, 2, 3, 4, 6, 7]), people_answer([5, 8], name="Bell"), people_answer([9, 10], name="Stair"))
    made = await generate_character_batch(TEN, bench.clients, a_request(), a_world(), CharacterIndex())
    assert len(made.briefs) == 10
    assert made.briefs[4].display_name == "Bell 5 Lane"
    second = bench.text.prompts[1]
    assert second.complaints == ("The last answer was short. Still missing: 5, 8, 9, 10. Give exactly these 4.",)
    assert "Chock 7 Lane" in second.item
    assert second.schema["properties"]["people"]["maxItems"] == 4


async def test_only_people_from_before_an_extension_have_the_plot_of_their_batch():
    """A batch that is made again after people were added: the added people have no part in the plot."""
    request = a_request(users=30, posts=120, former_sizes=((12, 70),))
    steps = steps_to_invent(request, a_world(), 10)
    answer = people_answer(range(1, 11)) | {"plot": {slot: f"{slot} of the cart." for slot in slots_of("step", steps)}}
    made = await generate_character_batch(TEN, a_bench(answer).clients, request, a_world(), CharacterIndex())
    plot = tuple(PlotStep(t=step.t, what=f"step_{place} of the cart.") for place, step in enumerate(steps, start=1))
    assert plot
    assert [brief.plot for brief in made.briefs] == [plot] * 2 + [()] * 8


async def test_surplus_people_are_cut():
    """An answer with twelve gives the ten requested people."""
    bench = a_bench(people_answer(range(1, 13)))
    made = await generate_character_batch(TEN, bench.clients, a_request(), a_world(), CharacterIndex())
    assert [brief.display_name for brief in made.briefs] == [f"Chock {number} Lane" for number in range(1, 11)]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"display_name": "WICKET 3 háll"}, "exists already"),
        ({"username": "@Wicket-3"}, "exists already"),
        ({"username": "chock_2"}, "exists already"),
        ({"display_name": "Elara Voss"}, "worn out (Elara, Voss)"),
        ({"username": "?!"}, "no letter or digit"),
    ],
)
async def test_invalid_names_are_requested_again(fields, reason):
    """A name that exists in the world or in the same answer, or is on the ban list, is sent back with the reason; the others
    stay."""
    characters = CharacterIndex(a_brief(index, a_request()) for index in range(10))
    bench = a_bench(renamed(people_answer(range(1, 11)), 5, **fields), people_answer([5], name="Bell"))
    made = await generate_character_batch(TEN, bench.clients, a_request(), a_world(), characters)
    assert made.briefs[4].display_name == "Bell 5 Lane"
    assert len({brief.username for brief in made.briefs}) == 10
    (complaint,) = bench.text.prompts[1].complaints
    assert complaint.startswith("Number 5: ")
    assert reason in complaint


async def test_a_concept_like_an_existing_one_is_requested_again():
    """A concept similar to another one, of this batch or an earlier one, is sent back three times; after that only a copy is."""
    parameters, request = BatchParameters(key="b001", first=10, count=2), a_request(users=12)
    there = a_brief(3, request)
    nearly = there.concept.replace("every", "each and every")
    like = [renamed(people_answer([1, 2]), 2, concept=nearly), *[renamed(people_answer([2]), 2, concept=nearly)] * 3]
    bench = a_bench(*like)
    made = await generate_character_batch(parameters, bench.clients, request, a_world(), CharacterIndex([there]))
    assert made.briefs[1].concept == nearly
    assert all("much the same person as" in prompt.complaints[0] for prompt in bench.text.prompts[1:])
    assert there.display_name in bench.text.prompts[1].complaints[0]
    bench = a_bench(*[renamed(answer, 2, concept=there.concept) for answer in like], people_answer([2]))
    made = await generate_character_batch(parameters, bench.clients, request, a_world(), CharacterIndex([there]))
    assert made.briefs[1].concept != there.concept
    itself = people_answer([1])["people"][0]["concept"]
    bench = a_bench(renamed(people_answer([1, 2]), 2, concept=itself), people_answer([2]))
    await generate_character_batch(parameters, bench.clients, request, a_world(), CharacterIndex())
    assert "Chock 1 Lane" in bench.text.prompts[1].complaints[0]


async def test_a_name_in_the_users_sentence_is_not_banned():
    """A banned name in the user's sentence is accepted at once."""
    bench = a_bench(renamed(people_answer(range(1, 11)), 5, display_name="Elara"))
    made = await generate_character_batch(TEN, bench.clients, a_request("A town where Elara lives"), a_world(), CharacterIndex())
    assert made.briefs[4].display_name == "Elara"


async def test_after_three_answers_a_banned_name_is_accepted():
    """It is counted."""
    bench = a_bench(
        *[
            renamed(people_answer(range(1, 11)), 5, display_name="Elara"),
            *[renamed(people_answer([5]), 5, display_name="Elara")] * 3,
        ]
    )
    made = await generate_character_batch(TEN, bench.clients, a_request(), a_world(), CharacterIndex())
    assert made.briefs[4].display_name == "Elara"
    assert made.worn == ("Elara",)
    assert len(bench.text.prompts) == 4


async def test_a_model_that_repeats_itself_fails_the_batch():
    """Six answers without a new name fail the batch with the reason; names are never made unique with digits."""
    taken = CharacterIndex([a_brief(10, a_request()).model_copy(update={"display_name": "Chock 1 Lane"})])
    parameters = BatchParameters(key="b001", first=10, count=1)
    bench = a_bench(*[people_answer([1])] * 6)
    with pytest.raises(InvalidAnswerError, match=r"0 of the 1 people.*exists already"):
        await generate_character_batch(parameters, bench.clients, a_request(users=11), a_world(), taken)
    assert len(bench.text.prompts) == 6


async def test_after_a_refusal_the_batch_is_requested_as_other_people():
    """The request has the same numbers, and the reason."""
    bench = a_bench(refused("SAFETY"), people_answer(range(1, 11)))
    assert len((await generate_character_batch(TEN, bench.clients, a_request(), a_world(), CharacterIndex())).briefs) == 10
    assert "refused by moderation (SAFETY)" in bench.text.prompts[1].complaints[0]


async def test_a_russian_world_has_russian_concepts():
    """Concepts in the world's language are accepted; the draft class of the request refuses others
    (tests/content/test_drafts.py)."""
    bench = a_bench(people_answer(range(1, 11), russian=True))
    made = await generate_character_batch(TEN, bench.clients, a_request(RUSSIAN), a_world("Russian"), CharacterIndex())
    assert made.briefs[0].concept.startswith("Продаёт")


async def test_a_person_is_written_and_created():
    """One call; there is one relation with each acquaintance; the platform gets exactly its fields and returns the id."""
    request, world = a_request(), a_world()
    known, brief = acquaintances_of(3, request, world), a_brief(3, request)
    bench = a_bench(character_answer(len(known)))
    person = await generate_character(THIRD, bench.clients, request, world, brief, known)
    assert len(known) > 1
    assert [tie.username for tie in person.relationships] == [other.username for other in known]
    assert (person.character_id, person.username, person.posts_count) == ("character-1", brief.username, brief.posts_count)
    ((kind, created),) = bench.platform.published
    assert kind == "character"
    assert set(created.meta) == {
        *("username", "display_name", "bio", "background_story", "personality", "appearance", "interests", "speaking_style"),
        *("common_topics", "avatar_description", "avatar_style", "relationships", "secret", "daily_routine"),
    }
    assert set(created.meta["relationships"][0]) == {"username", "relationship_type", "description"}


async def test_invalid_relations_are_dropped_and_missing_ones_requested_once():
    """A relation with a person who is not an acquaintance is dropped; a missing one is requested once."""
    request, world = a_request(), a_world()
    known = acquaintances_of(3, request, world)
    bench = a_bench(character_answer(1), character_answer(len(known) + 3))
    person = await generate_character(THIRD, bench.clients, request, world, a_brief(3, request), known)
    assert [tie.username for tie in person.relationships] == [other.username for other in known]
    assert "person_2" in bench.text.prompts[1].complaints[0]


@pytest.mark.parametrize(("problem", "marked"), [(refused("SPII"), True), (InvalidAnswerError("not JSON"), False)], ids=type)
async def test_the_refusal_of_a_missing_relation_does_not_fail_the_person(problem, marked):
    """The request for a missing relation never fails the person; a refusal is marked."""
    request, world = a_request(), a_world()
    known = acquaintances_of(3, request, world)
    bench = a_bench(character_answer(1), problem)
    person = await generate_character(THIRD, bench.clients, request, world, a_brief(3, request), known)
    assert person.personality
    assert [tie.username for tie in person.relationships] == [known[0].username]
    assert person.moderation == ("the relations that are missing were refused by moderation: SPII" if marked else "")


async def test_a_refused_person_is_requested_more_softly_then_mildly():
    """After the first refusal the same concept for a general audience; after the second only the name and one line; it is
    marked."""
    request, world, brief = a_request(), a_world(), a_brief(3, a_request())
    bench = a_bench(refused(), refused(), character_answer(0))
    person = await generate_character(THIRD, bench.clients, request, world, brief, ())
    assert "softer words" in person.moderation
    first, second, third = (prompt.item for prompt in bench.text.prompts)
    assert brief.concept in first
    assert brief.concept in second
    assert "general audience" in second
    assert brief.concept not in third


async def test_a_person_refused_at_every_step_has_the_text_of_the_concept():
    """The profile has the concept that moderation accepted, and is marked with the reason."""
    request, world, brief = a_request(), a_world(), a_brief(3, a_request())
    bench = a_bench(refused(), refused(), refused("SPII"))
    person = await generate_character(THIRD, bench.clients, request, world, brief, ())
    assert (person.username, person.background_story) == (brief.username, brief.concept)
    assert person.moderation.endswith("SPII")
    assert person.character_id == "character-1"


async def test_a_batch_refused_twice_is_requested_without_refusable_texts():
    """Moderation judges the request: the last one has neither the user's sentence nor an event, but still the customs of naming."""
    request, world = a_request(), a_world()
    bench = a_bench(refused(), refused(), people_answer(range(1, 11)))
    made = await generate_character_batch(TEN, bench.clients, request, world, CharacterIndex())
    assert not any(brief.moderation for brief in made.briefs)
    first, second, third = ("\n".join(prompt.parts) for prompt in bench.text.prompts)
    assert len({first, second, third}) == 3
    happened = world.calendar[: happened_when_joining(request, world, 10)]
    for text in (request.user_prompt, world.history, *(event.name for event in happened)):
        assert text in first
        assert text in second
        assert text not in third
    assert world.naming.rules in third
    assert all(value in third for value in made.briefs[3].axes.values())


@pytest.mark.parametrize("language", ["English", "Russian"])
async def test_people_whom_moderation_always_refuses_are_fallback_characters(language):
    """The number of people is the same, with unique names in the world's style; accepted people stay, the others are marked."""
    request, world = a_request(), a_world(language)
    taken = CharacterIndex([a_brief(0, request).model_copy(update={"display_name": world.naming.examples[0]})])
    first = people_answer([2, 5, 9], russian=language == "Russian")
    bench = a_bench(first, refused(), refused(), refused("SPII"))
    made = await generate_character_batch(TEN, bench.clients, request, world, taken)
    assert len(bench.text.prompts) == 4
    assert [brief.key for brief in made.briefs] == [f"c{index:04d}" for index in range(10, 20)]
    assert [brief.posts_count for brief in made.briefs] == list(shares(request.seed, 25, 150)[10:20])
    drawn = [brief for brief in made.briefs if brief.moderation]
    assert [brief.key for brief in drawn] == [f"c{index:04d}" for index in (10, 12, 13, 15, 16, 17, 19)]
    assert all(brief.moderation.endswith("SPII") for brief in drawn)
    assert all(brief.axes["work"].partition(OR)[0].casefold() in brief.concept.casefold() for brief in drawn)
    assert len({fold(brief.display_name) for brief in made.briefs} | {fold(world.naming.examples[0])}) == 11
    assert len({fold(brief.username) for brief in made.briefs}) == 10
    assert all(brief.username.isascii() for brief in made.briefs)
    assert len({brief.concept for brief in drawn}) == 7


async def test_readers_never_see_what_was_drawn():
    """If moderation also refuses the profile of a fallback character, the profile has neutral texts in the world's language."""
    request, world = a_request(RUSSIAN), a_world("Russian")
    brief = fallback_character(request, world, 3, "SAFETY", ())
    bench = a_bench(refused(), refused(), refused())
    person = await generate_character(THIRD, bench.clients, request, world, brief, ())
    assert person.bio == person.background_story == "Об этом человеке пока ничего не рассказано."
    assert brief.concept in bench.text.prompts[0].item


async def test_an_avatar_needs_no_call_of_the_model():
    """The prompt has the world's style, the person's looks and description; the picture is uploaded and set as the avatar."""
    request, world = a_request(), a_world()
    person, bench = a_character(3, request), a_bench()
    avatar = await generate_character_avatar(THIRD, bench.clients, request, world, person)
    (picture,) = bench.images.pictures
    assert (picture.media_type, picture.width, picture.height) == (MediaType.AVATAR, 512, 512)
    assert picture.prompt.startswith(world.visual_style)
    assert person.look in picture.prompt
    assert person.avatar_description in picture.prompt
    assert bench.images.owners == ["id-3"]
    assert bench.platform.published == [("avatar", ("id-3", avatar.avatar.media_id))]
    assert not bench.text.prompts


async def test_a_refused_avatar_becomes_a_neutral_one():
    """A refused portrait is requested neutrally, then without a text of the world; the document has the reason."""
    request, world = a_request(), a_world()
    bench = a_bench(refused_pictures=1)
    avatar = await generate_character_avatar(THIRD, bench.clients, request, world, a_character(3, request))
    assert avatar.avatar.prompt == neutral_prompt(world, "avatar")
    assert avatar.avatar.moderation == "refused by moderation: SAFETY"
    avatar = await generate_character_avatar(THIRD, a_bench(refused_pictures=2).clients, request, world, a_character(3, request))
    assert world.visual_style not in avatar.avatar.prompt
    with pytest.raises(RefusedError):
        await generate_character_avatar(THIRD, a_bench(refused_pictures=3).clients, request, world, a_character(3, request))


@pytest.mark.parametrize(
    ("answer", "seen"), [({"image_prompt": "From below, a cart"}, "From below, a cart"), (refused(), "Seen from behind")]
)
async def test_high_quality_refines_the_avatar(answer, seen):
    """Quality high makes one call for a better prompt, and uses the first prompt if that is refused."""
    request, bench = a_request(quality=Quality.HIGH), a_bench(answer)
    await generate_character_avatar(THIRD, bench.clients, request, a_world(), a_character(3, request))
    assert [prompt.request_type for prompt in bench.text.prompts] == ["refine_avatar"]
    assert seen in bench.images.pictures[0].prompt
