"""Tasks of posts: ideas in batches, posts, their pictures and publication."""

import pytest

from generia_assets.content import ask_posts
from generia_assets.content.documents import Quality
from generia_assets.content.ideas import Ideas
from generia_assets.content.pictures import neutral_prompt
from generia_assets.tasks.generate_post import generate_post
from generia_assets.tasks.generate_post_batch import PostBatchParameters, generate_post_batch
from generia_assets.tasks.generate_post_image import generate_post_image
from generia_assets.tasks.kinds import TaskParameters
from generia_assets.tasks.tools import MediaType
from resources.outcomes import InvalidAnswerError, RefusedError
from tests.unit.answers import ideas_answer, post_answer
from tests.unit.fake_tools import a_bench, refused
from tests.unit.worlds import RUSSIAN, a_character, a_post_brief, a_request, a_world, acquaintances_of

SIX = PostBatchParameters(key="c0003-b000", first=0, count=6)
REQUEST = a_request()
WORLD = a_world()
PERSON = a_character(3, REQUEST)
KNOWN = acquaintances_of(3, REQUEST, WORLD)
POST = TaskParameters(key="c0003-p0000")


async def ideas(bench, parameters=SIX, character=PERSON, earlier=()):
    return await generate_post_batch(parameters, bench.tools, REQUEST, WORLD, character, KNOWN, Ideas(earlier))


async def a_post(bench, brief=None, world=WORLD, request=REQUEST, known=KNOWN):
    return await generate_post(POST, bench.tools, request, world, PERSON, brief or a_post_brief(0, PERSON), known, ())


async def test_ideas_come_in_one_call_and_in_order():
    """Six ideas have the keys and orders of the character's posts, the program's forms, and existing events and people."""
    bench = a_bench(ideas_answer(range(1, 7), mentions=(1, 2, 1, 99), event=2))
    made = (await ideas(bench)).briefs
    assert [brief.key for brief in made] == [f"c0003-p{order:04d}" for order in range(6)]
    assert [brief.order for brief in made] == list(range(6))
    assert len({brief.form for brief in made}) == 6
    assert made[0].event == "The Tram Vote"
    assert made[0].mentions == (KNOWN[0].username, KNOWN[1].username)
    assert len(bench.writer.prompts) == 1


async def test_a_later_batch_goes_on_where_the_earlier_ended():
    """The second batch of fourteen posts has orders 10 to 13 and is told the ten ideas before."""
    person = a_character(3, REQUEST, posts=14)
    earlier = [a_post_brief(order, person) for order in range(10)]
    bench = a_bench(ideas_answer(range(1, 5)))
    made = await ideas(bench, PostBatchParameters(key="c0003-b001", first=10, count=4), person, earlier)
    assert [brief.order for brief in made.briefs] == [10, 11, 12, 13]
    assert all(brief.idea in bench.writer.prompts[0].item for brief in earlier)


async def test_too_few_and_too_many_ideas_become_exactly_enough():
    """What is missing is asked for again with its numbers; what is too much is cut."""
    bench = a_bench(ideas_answer([1, 2, 4]), ideas_answer([3, 5, 6, 7, 8]))
    assert len((await ideas(bench)).briefs) == 6
    assert "Still missing: 3, 5, 6" in bench.writer.prompts[1].complaints[0]


async def test_repeated_ideas_are_asked_for_again():
    """An idea that says what another one says, also one of an earlier batch, is sent back with the reason."""
    bench = a_bench(ideas_answer(range(1, 7), words="the cart rolled away at lunch"), ideas_answer(range(2, 7)))
    made = (await ideas(bench)).briefs
    assert len({brief.idea for brief in made}) == 6
    assert len(bench.writer.prompts[1].complaints) == 5
    assert "repeats another one" in bench.writer.prompts[1].complaints[0]


async def test_a_model_without_ideas_ends():
    """Six answers that repeat one idea fail the batch; ideas are never copied."""
    bench = a_bench(*[ideas_answer(range(1, 7), words="the cart rolled away at lunch")] * 6)
    with pytest.raises(InvalidAnswerError, match="1 of the 6 ideas"):
        await ideas(bench)


async def test_refused_ideas_are_asked_for_more_softly():
    """After a refusal the batch is asked for a general audience, each time in another request; then the plan gives the ideas."""
    bench = a_bench(refused("SAFETY"), ideas_answer(range(1, 7)))
    assert len((await ideas(bench)).briefs) == 6
    assert "refused by moderation (SAFETY)" in bench.writer.prompts[1].item
    bench = a_bench(refused(), refused(), refused())
    planned = (await ideas(bench)).briefs
    assert len({prompt.parts for prompt in bench.writer.prompts}) == 3
    assert [brief.order for brief in planned] == list(range(6))
    assert all(brief.moderation.endswith("SAFETY") for brief in planned)


async def test_a_post_mentions_only_people_who_exist():
    """An @ that leads to nobody loses its sign, hashtags are words without repeats."""
    known = KNOWN[0].username
    brief = a_post_brief(0, PERSON, (KNOWN[1].username,))
    post = await a_post(a_bench(post_answer(content=f"hello @{known.upper()} and @nobody")), brief)
    assert post.content == f"hello @{known} and nobody"
    assert post.mentions == (known,)
    assert post.hashtags == ("Tilt_Watch", "wedges")
    assert (post.character_id, post.moment, post.deleted_reason) == ("id-3", brief.moment, "")


async def test_a_post_mentions_whom_its_text_names():
    """Whom the idea names is mentioned when the text names them, with @ or as they are called, and not when it leaves them out."""
    first, second = KNOWN[:2]
    bench = a_bench(post_answer(content=f"told {first.display_name.upper()} twice, @{second.username} once"))
    post = await a_post(bench, a_post_brief(0, PERSON, (first.username, second.username)))
    assert post.mentions == (second.username, first.username)
    assert f"Names: @{first.username} @{second.username}" in bench.writer.prompts[0].item
    assert (await a_post(a_bench(post_answer(content="nobody listens")), a_post_brief(0, PERSON, (first.username,)))).mentions == ()


async def test_what_a_post_trips_over_is_written_down():
    """Worn-out words in a post are counted with it and not asked for again; those of the user's sentence are none."""
    bench = a_bench(post_answer(content="And yet the lighthouse whispers to the bees"))
    assert (await a_post(bench)).worn == ("and yet", "lighthouse", "whisper*")
    assert len(bench.writer.prompts) == 1
    wished = a_bench(post_answer(content="The lighthouse whispers"))
    assert (await a_post(wished, request=a_request("A lighthouse town"))).worn == ("whisper*",)


async def test_a_form_that_needs_somebody_never_loses_them():
    """An answer, a quarrel or a thanks names who was drawn for it where the model names nobody, also in a planned idea."""
    person = a_character(3, REQUEST, posts=40)
    slots = ask_posts.line_of(REQUEST, WORLD, person, KNOWN).slots
    for needed in (True, False):
        slot = next(slot for slot in slots if slot.form.needs_someone is needed)
        parameters = PostBatchParameters(key="c0003-b000", first=slot.order, count=1)
        for bench in (a_bench(ideas_answer([1])), a_bench(refused(), refused(), refused())):
            (brief,) = (await ideas(bench, parameters, person)).briefs
            assert brief.mentions == ((KNOWN[slot.partner - 1].username,) if needed else ())


async def test_the_author_looks_the_same_in_every_picture():
    """When the author is in the picture their looks are put into its prompt in the same words, else not."""
    assert PERSON.look in (await a_post(a_bench(post_answer(shows_author=True)))).image_prompt
    assert PERSON.look not in (await a_post(a_bench(post_answer()))).image_prompt


async def test_a_refused_post_is_asked_for_in_softer_words():
    """First refusal (R10): the same idea with a modified prompt, and the context says so."""
    bench = a_bench(refused("SAFETY"), post_answer())
    post = await a_post(bench)
    first, second = (prompt.item for prompt in bench.writer.prompts)
    assert first != second
    assert a_post_brief(0, PERSON).idea in second
    assert "SAFETY" in post.context
    assert not post.deleted_reason


async def test_a_post_refused_twice_is_a_placeholder_in_the_world_s_language():
    """Second refusal (R10): a "deleted content" post with a neutral picture, in the user's language, with the reason kept."""
    request, world = a_request(RUSSIAN), a_world("Russian")
    bench = a_bench(refused("SAFETY"), refused("PROHIBITED_CONTENT"))
    post = await a_post(bench, world=world, request=request)
    assert post.content == "Запись удалена."
    assert post.image_prompt == neutral_prompt(world, "post")
    assert "PROHIBITED_CONTENT" in post.deleted_reason
    assert len(bench.writer.prompts) == 2


async def test_the_last_act_publishes_the_post():
    """The picture is painted first, for the character; then the post is published once with its text, picture and tags."""
    post = await a_post(a_bench(post_answer()))
    bench = a_bench()
    published = await generate_post_image(POST, bench.tools, REQUEST, WORLD, PERSON, post)
    (picture,) = bench.painter.pictures
    assert (picture.media_type, picture.width, picture.height) == (MediaType.POST_IMAGE, 1024, 768)
    assert picture.prompt.startswith(WORLD.visual_style)
    assert post.image_prompt in picture.prompt
    assert bench.painter.owners == ["id-3"]
    ((kind, sent),) = bench.publisher.published
    assert (kind, sent.character_id, sent.caption) == ("post", "id-3", post.content)
    assert (sent.media_id, sent.tags) == (published.image.media_id, post.hashtags)
    assert published.post_id == "post-1"


async def test_a_refused_picture_becomes_a_neutral_one():
    """The post is published all the same; when the mildest picture is refused too nothing is published."""
    post = await a_post(a_bench(post_answer()))
    bench = a_bench(refused_pictures=1)
    published = await generate_post_image(POST, bench.tools, REQUEST, WORLD, PERSON, post)
    assert published.image.prompt == neutral_prompt(WORLD, "post")
    bench = a_bench(refused_pictures=3)
    with pytest.raises(RefusedError):
        await generate_post_image(POST, bench.tools, REQUEST, WORLD, PERSON, post)
    assert not bench.publisher.published


@pytest.mark.parametrize("quality", list(Quality))
async def test_a_placeholder_is_published_with_a_neutral_picture(quality):
    """A deleted post is never refined or painted from its former idea."""
    request = a_request(quality=quality)
    post = await a_post(a_bench(refused(), refused()))
    bench = a_bench()
    await generate_post_image(POST, bench.tools, request, WORLD, PERSON, post)
    assert bench.painter.pictures[0].prompt == neutral_prompt(WORLD, "post")


async def test_high_quality_refines_the_picture():
    """Quality high makes one call, told the post's text, and paints what it answers."""
    post = await a_post(a_bench(post_answer()))
    bench = a_bench({"image_prompt": "Low, close, one wedge"})
    await generate_post_image(POST, bench.tools, a_request(quality=Quality.HIGH), WORLD, PERSON, post)
    assert post.content in bench.writer.prompts[0].item
    assert "Low, close, one wedge." in bench.painter.pictures[0].prompt
