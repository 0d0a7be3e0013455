"""Tasks of the world as a whole: order, description, pictures."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from generia_assets.catalog import TaskType
from generia_assets.content.pictures import neutral_prompt
from generia_assets.content.seeding import world_seed
from generia_assets.tasks.clients import MediaType
from generia_assets.tasks.generate_world_description import RefusedSentenceError, generate_world_description
from generia_assets.tasks.generate_world_image import generate_world_image
from generia_assets.tasks.init_world_creation import InitWorldParameters, init_world_creation
from generia_assets.tasks.task_definition import TaskParameters
from resources.gateway.outcomes import InvalidAnswerError
from tests.support.fake_clients import a_bench, refused
from tests.support.worlds import RUSSIAN, a_request, a_world, world_answer

WORLD = TaskParameters(key="world")


def an_order(**changed):
    fields = {"world_id": "w-1", "user_prompt": "A town on a tortoise", "users_count": 3, "posts_count": 5, **changed}
    return InitWorldParameters.model_validate({"created_at": datetime(2026, 11, 1, tzinfo=UTC), **fields})


async def test_an_order_becomes_a_request():
    """Prompt and counts are kept, and the seed is that of the world's id; no API is called."""
    bench = a_bench()
    request = await init_world_creation(an_order(), bench.clients)
    assert request.user_prompt == "A town on a tortoise"
    assert (request.users_count, request.posts_count, request.seed) == (3, 5, world_seed("w-1"))
    assert not bench.text.prompts
    assert not bench.platform.published
    assert (init_world_creation.task_type, init_world_creation.attempts) == (TaskType.INIT_WORLD_CREATION, 4)


async def test_an_ordered_seed_is_the_world_s_seed():
    """Two worlds with the same ordered seed have that seed, including 0, whatever their ids are."""
    requests = [await init_world_creation(an_order(world_id=name, seed=0), a_bench().clients) for name in ("w-1", "w-2")]
    assert [request.seed for request in requests] == [0, 0]


async def test_a_description_is_published_with_the_platform_s_fields():
    """One call makes the world; the platform gets exactly the fields of its contract and the ordered counts."""
    bench = a_bench(world_answer("Russian"))
    world = await generate_world_description(WORLD, bench.clients, a_request(RUSSIAN))
    assert world.user_preferences.language == "Russian"
    assert world.user_preferences.other_preferences == ("дождь из книг", "суд за погоду")
    assert world.description.count("\n\n") == 6
    assert len(world.calendar) == 5
    assert len(bench.text.prompts) == 1
    ((kind, (name, params, users, posts)),) = bench.platform.published
    assert (kind, name, users, posts) == ("world_params", "Мокрая Слободка", 25, 150)
    assert set(params) == {
        *("name", "description_short", "description", "theme", "technology_level", "social_structure", "culture", "geography"),
        *("visual_style", "history", "common_activities", "typical_stories", "user_preferences", "additional_details"),
    }
    assert set(params["additional_details"]) == {
        *("climate", "resources", "conflicts", "traditions", "technology", "magic_system", "time_period", "language"),
        "custom_details",
    }


async def test_an_ordered_language_overrides_the_language_in_the_answer():
    """If a world was ordered in Russian, an English answer is refused, whatever language the answer names."""
    bench = a_bench(world_answer("English"))
    with pytest.raises(ValidationError, match="Russian"):
        await generate_world_description(WORLD, bench.clients, a_request(RUSSIAN, language="Russian"))


async def test_a_world_in_another_script_than_its_sentence_is_requested_again():
    """An English answer to a Russian sentence is requested again with the question; a second English answer is accepted."""
    bench = a_bench(world_answer("English"), world_answer("Russian"))
    world = await generate_world_description(WORLD, bench.clients, a_request(RUSSIAN))
    assert world.user_preferences.language == "Russian"
    assert "seems to be in Russian" in bench.text.prompts[1].complaints[0]
    bench = a_bench(*[world_answer("English")] * 3)
    world = await generate_world_description(WORLD, bench.clients, a_request(RUSSIAN))
    assert world.user_preferences.language == "English"


async def test_a_world_with_banned_names_is_requested_once_more():
    """A banned name, trade or word in the world's name or its naming examples is sent back once, and then accepted."""
    with_banned_names = world_answer() | {"name": "Eldoria", "naming_examples": ["Elara of the Hill", "The Baker's Tapestry"]}
    bench = a_bench(with_banned_names, world_answer())
    assert (await generate_world_description(WORLD, bench.clients, a_request())).name == "Underhill"
    assert "Eldoria, Elara, baker, tapestry" in bench.text.prompts[1].complaints[0]
    bench = a_bench(with_banned_names, with_banned_names)
    assert (await generate_world_description(WORLD, bench.clients, a_request())).name == "Eldoria"
    bench = a_bench(with_banned_names)
    wished = a_request("Eldoria, where Elara the baker weaves a tapestry")
    assert (await generate_world_description(WORLD, bench.clients, wished)).name == "Eldoria"


async def test_an_event_with_a_banned_name_is_accepted():
    """Because of a banned name in one event of the calendar the whole world is not requested again."""
    first = world_answer()
    calendar = [first["calendar"][0] | {"name": "The Baker's Tapestry"}, *first["calendar"][1:]]
    bench = a_bench(first | {"calendar": calendar})
    world = await generate_world_description(WORLD, bench.clients, a_request())
    assert world.calendar[0].name == "The Baker's Tapestry"
    assert len(bench.text.prompts) == 1


async def test_a_world_in_another_language_than_it_names_is_requested_once_more():
    """An English description that calls itself Spanish is sent back once, whether Spanish was ordered or only named."""
    english = world_answer()
    english |= {
        "content_language": "Spanish",
        "paragraphs": [*english["paragraphs"], "And it is what the bees and the trams of the hill are for."],
    }
    for request in (a_request(), a_request(language="Spanish")):
        bench = a_bench(english, english)
        await generate_world_description(WORLD, bench.clients, request)
        assert "calls itself Spanish and reads as if it were in English" in bench.text.prompts[1].complaints[0]


async def test_a_refused_world_is_requested_more_softly_once():
    """A refused sentence is requested once more for a general audience, with the user's words unchanged."""
    bench = a_bench(refused("SAFETY"), world_answer())
    request = a_request()
    assert (await generate_world_description(WORLD, bench.clients, request)).name == "Underhill"
    assert "refused by moderation (SAFETY)" in bench.text.prompts[1].item
    assert all(request.user_prompt in prompt.item for prompt in bench.text.prompts)


async def test_a_world_refused_twice_says_what_the_user_can_do():
    """After two refusals nothing is published, no further attempt is made, and the message is for the user."""
    bench = a_bench(refused("SAFETY"), refused("PROHIBITED_CONTENT"))
    with pytest.raises(RefusedSentenceError, match=r"\(PROHIBITED_CONTENT\)\. Word it differently"):
        await generate_world_description(WORLD, bench.clients, a_request())
    assert not bench.platform.published


@pytest.mark.parametrize("problem", [refused(), InvalidAnswerError("not JSON")], ids=type)
async def test_the_refusal_of_a_question_about_a_world_does_not_fail_the_world(problem):
    """Any result of the question about the language or about banned names leaves the accepted world."""
    bench = a_bench(world_answer("English"), problem, world_answer("Russian"))
    world = await generate_world_description(WORLD, bench.clients, a_request(RUSSIAN))
    assert world.user_preferences.language == "Russian"
    bench = a_bench(world_answer("English") | {"name": "Elara"}, problem)
    world = await generate_world_description(WORLD, bench.clients, a_request())
    assert world.name == "Elara"
    assert len(bench.text.prompts) == 2


async def test_a_world_gets_a_wide_header_and_a_square_icon():
    """One call writes both prompts; both prompts begin with the visual style; the pictures belong to the world and are published
    last."""
    bench, world = a_bench({"header_prompt": "A tilted market", "icon_prompt": "A brass wedge"}), a_world()
    images = await generate_world_image(WORLD, bench.clients, a_request(), world)
    header, icon = bench.images.pictures
    assert (header.media_type, header.width, header.height) == (MediaType.WORLD_HEADER, 1536, 640)
    assert (icon.media_type, icon.width, icon.height) == (MediaType.WORLD_ICON, 512, 512)
    assert "A tilted market." in header.prompt
    assert "A brass wedge." in icon.prompt
    assert all(picture.prompt.startswith(world.visual_style) for picture in (header, icon))
    assert bench.images.owners == [None, None]
    assert bench.platform.published == [("world_images", (images.header.media_id, images.icon.media_id))]


@pytest.mark.parametrize("bench", [a_bench({"header_prompt": "x", "icon_prompt": "y"}, refused_pictures=1), a_bench(refused())])
async def test_a_world_has_pictures_whatever_is_refused(bench):
    """A refused header, or refused prompts, are replaced by neutral pictures of the same style."""
    world = a_world()
    images = await generate_world_image(WORLD, bench.clients, a_request(), world)
    assert images.header.prompt == neutral_prompt(world, "header")
    assert len(bench.platform.published) == 1
