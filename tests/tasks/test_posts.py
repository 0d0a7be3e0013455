"""Tasks of posts: ideas in batches, posts, their pictures and publication."""

import re

import pytest

from generia_assets.content import ask_posts, axes
from generia_assets.content.documents import Quality
from generia_assets.content.pictures import neutral_prompt
from generia_assets.content.seeding import world_seed
from generia_assets.content.similarity import Ideas
from generia_assets.content.storyline import REPLY, storyline, wishes_of
from generia_assets.tasks.clients import MediaType
from generia_assets.tasks.generate_post import generate_post
from generia_assets.tasks.generate_post_batch import brief_of, generate_post_batch
from generia_assets.tasks.generate_post_image import generate_post_image
from generia_assets.tasks.task_definition import BatchParameters, TaskParameters, UnfitTaskError
from resources.gateway.outcomes import InvalidAnswerError, RefusedError
from tests.support.answers import ideas_answer, post_answer
from tests.support.fake_clients import a_bench, refused
from tests.support.worlds import RUSSIAN, a_character, a_post_brief, a_request, a_world, acquaintances_of

SIX = BatchParameters(key="c0003-b000", first=0, count=6)
REQUEST = a_request()
WORLD = a_world()
PERSON = a_character(3, REQUEST)
KNOWN = acquaintances_of(3, REQUEST, WORLD)
POST = TaskParameters(key="c0003-p0000")


async def at_once():
    """A turn that is there at once."""


async def ideas(bench, parameters=SIX, character=PERSON, earlier=(), request=REQUEST, known=KNOWN):
    return await generate_post_batch(parameters, bench.clients, request, WORLD, character, known, Ideas(earlier))


async def a_post(bench, brief=None, world=WORLD, request=REQUEST, character=PERSON, known=KNOWN, **more):
    brief = brief or a_post_brief(0, character)
    return await generate_post(POST, bench.clients, request, world, character, brief, known, (), **more)


def planned(wanted, request=REQUEST):
    """The first post of the world with a suitable slot: the slot, the author, the author's acquaintances, and the brief."""
    for index in range(request.users_count):
        author, known = a_character(index, request), acquaintances_of(index, request, WORLD)
        for slot in storyline(request, WORLD, index).slots:
            if wanted(slot, index):
                brief = brief_of(slot, author, WORLD, known, wishes_of(request, WORLD), "The cart rolled away")
                return slot, author, known, brief
    raise AssertionError("no such slot in this world")


async def test_ideas_are_made_in_one_call_and_in_order():
    """Six ideas have the keys of the character's posts; the program sets time, form, event, wish, company and reply."""
    bench = a_bench(ideas_answer(range(1, 7)))
    made = (await ideas(bench)).briefs
    assert [brief.key for brief in made] == [f"c0003-p{order:04d}" for order in range(6)]
    wishes = wishes_of(REQUEST, WORLD)
    for brief, slot in zip(made, ask_posts.line_of(REQUEST, WORLD, PERSON).slots, strict=True):
        assert (brief.order, brief.t, brief.after, brief.moment) == (slot.order, slot.t, slot.after, slot.moment)
        assert (brief.form, brief.in_reply_to, brief.wish) == (slot.form.name, slot.reply_to, wishes[slot.wish - 1])
        assert brief.event == (WORLD.calendar[slot.event - 1].name if slot.event else "")
        assert brief.mentions == ((KNOWN[slot.partner - 1].username,) if slot.partner else ())
    assert len(bench.text.prompts) == 1


async def test_a_later_batch_continues_where_the_earlier_one_ended():
    """The second batch of a person's posts has orders from 10 on, and its request has the ten ideas before."""
    request = a_request(users=1, posts=14)
    person = a_character(0, request)
    earlier = [a_post_brief(order, person) for order in range(10)]
    bench = a_bench(ideas_answer(range(1, 5)))
    made = await ideas(bench, BatchParameters(key="c0000-b001", first=10, count=4), person, earlier, request, ())
    assert [brief.order for brief in made.briefs] == [10, 11, 12, 13]
    assert all(brief.idea in bench.text.prompts[0].item for brief in earlier)


async def test_a_single_post_is_planned_without_a_call():
    """The brief of a person's only post is made without a call, with everything that the program knows; the model chooses the
    occasion."""
    request = a_request(users=5, posts=5)
    person, known = a_character(2, request), acquaintances_of(2, request, WORLD)
    bench = a_bench(post_answer())
    (brief,) = (await ideas(bench, BatchParameters(key="c0002-b000", first=0, count=1), person, (), request, known)).briefs
    assert not bench.text.prompts
    (slot,) = storyline(request, WORLD, 2).slots
    assert (brief.key, brief.t, brief.form, brief.moderation) == ("c0002-p0000", slot.t, slot.form.name, "")
    assert brief.wish in brief.idea, "what others hear of it says something"
    await a_post(bench, brief, request=request, character=person, known=known)
    (prompt,) = bench.text.prompts
    assert f"Wish: {brief.wish}" in prompt.item
    assert brief.idea not in prompt.item


async def test_the_plan_of_another_version_is_refused():
    """A person with another number of posts than this version draws is not planned: the message says what to do."""
    other = PERSON.model_copy(update={"posts_count": 7})
    with pytest.raises(UnfitTaskError, match=r"earlier version.*generia rerun WORLD --part description"):
        await ideas(a_bench(), BatchParameters(key="c0003-b000", first=0, count=7), other)


async def test_too_few_and_too_many_ideas_become_exactly_enough():
    """Missing ideas are requested again by their numbers; surplus ones are cut."""
    bench = a_bench(ideas_answer([1, 2, 4]), ideas_answer([3, 5, 6, 7, 8]))
    assert len((await ideas(bench)).briefs) == 6
    assert "Still missing: 3, 5, 6" in bench.text.prompts[1].complaints[0]


async def test_repeated_ideas_are_requested_again():
    """An idea that repeats another one, also of an earlier batch, is sent back with the reason."""
    bench = a_bench(ideas_answer(range(1, 7), words="the cart rolled away at lunch"), ideas_answer(range(2, 7)))
    made = (await ideas(bench)).briefs
    assert len({brief.idea for brief in made}) == 6
    assert len(bench.text.prompts[1].complaints) == 5
    assert "repeats another one" in bench.text.prompts[1].complaints[0]


async def test_a_model_that_repeats_one_idea_fails_the_batch():
    """Six answers that repeat one idea fail the batch; ideas are never copied."""
    bench = a_bench(*[ideas_answer(range(1, 7), words="the cart rolled away at lunch")] * 6)
    with pytest.raises(InvalidAnswerError, match="1 of the 6 ideas"):
        await ideas(bench)


async def test_refused_ideas_are_requested_more_softly():
    """After a refusal the batch is requested for a general audience, each time in another request; after that the plan is used as
    ideas."""
    bench = a_bench(refused("SAFETY"), ideas_answer(range(1, 7)))
    assert len((await ideas(bench)).briefs) == 6
    assert "refused by moderation (SAFETY)" in bench.text.prompts[1].item
    bench = a_bench(refused(), refused(), refused())
    planned = (await ideas(bench)).briefs
    assert len({prompt.parts for prompt in bench.text.prompts}) == 3
    assert [brief.order for brief in planned] == list(range(6))
    assert all(brief.moderation.endswith("SAFETY") for brief in planned)


async def test_a_post_mentions_only_people_who_exist():
    """An @ with an unknown name loses its sign; hashtags are words without repetitions."""
    known, brief = KNOWN[0].username, a_post_brief(0, PERSON)
    post = await a_post(a_bench(post_answer(content=f"hello @{known.upper()} and @nobody")), brief)
    assert post.content == f"hello @{known} and nobody"
    assert post.mentions == (known,)
    assert post.hashtags == ("Tilt_Watch", "wedges")
    assert (post.character_id, post.moment, post.deleted_reason) == ("id-3", brief.moment, "")


@pytest.mark.parametrize("with_at", [True, False])
async def test_a_post_mentions_the_people_in_its_text(with_at):
    """The planned person is requested in the author's way of naming others, and is mentioned only if the text names them."""
    request = a_request(users=25, posts=250)
    _, author, known, brief = planned(
        lambda slot, index: slot.partner and not slot.reply_to and axes.profile(request.seed, index).names_with_at is with_at,
        request,
    )
    partner = next(other for other in known if other.username in brief.mentions)
    bench = a_bench(post_answer(content=f"told {partner.display_name.upper()} twice"))
    post = await a_post(bench, brief, request=request, character=author, known=known)
    assert post.mentions == brief.mentions
    asked = f"Names: @{partner.username}" if with_at else f"Names without @: {partner.display_name}"
    assert asked in bench.text.prompts[0].item.splitlines()
    silent = a_bench(post_answer(content="nobody listens"))
    assert (await a_post(silent, brief, request=request, character=author, known=known)).mentions == ()


async def test_a_reply_has_the_answered_post_in_its_request_and_document():
    """The request has the other post's text and author; the document has that post's key and its text at that time."""
    slot, author, known, brief = planned(lambda slot, _: slot.reply_to)
    other = known[slot.partner - 1]
    answered = (await a_post(a_bench(post_answer(content="the hill is closed")))).model_copy(update={"username": other.username})
    bench = a_bench(post_answer())
    post = await a_post(bench, brief, character=author, known=known, replied_to=answered)
    assert (post.in_reply_to, post.quote) == (slot.reply_to, "the hill is closed")
    item = bench.text.prompts[0].item
    assert f"Replies to @{other.username}:\n<answered-" in item
    assert f"Names: @{other.username}" in item
    assert "the hill is closed" in item
    assert f"Form: {REPLY} — {slot.form.how}." in item.splitlines()


async def test_comments_are_by_the_planned_people():
    """They are requested in the plan's order, and a missing one does not move the others; they mention only existing people."""
    slot, author, known, brief = planned(lambda slot, _: len(slot.comments) > 2)
    bench = a_bench(post_answer(comments=["No.", None, "ask @nobody", "one too many", "two too many"]))
    post = await a_post(bench, brief, character=author, known=known)
    writers = [known[place - 1] if place else author for place in slot.comments]
    assert [(one.character, one.content) for one in post.comments][:2] == [(writers[0].key, "No."), (writers[2].key, "ask nobody")]
    assert [one.username for one in post.comments] == [one.username for number, one in enumerate(writers) if number != 1]
    prompt = bench.text.prompts[0]
    assert prompt.schema["properties"]["comments"]["minItems"] == len(slot.comments)
    for number, writer in enumerate(writers, start=1):
        assert re.search(rf"^{number}\. (@{writer.username}|the author answers)$", prompt.item, re.MULTILINE)


async def test_a_comment_has_no_name_in_front():
    """Neither the author's name nor a wrong one; the addressed person stays, and a name alone is not a comment."""
    slot, author, known, brief = planned(lambda slot, _: len(slot.comments) > 3)
    first, second, *_ = [known[place - 1] if place else author for place in slot.comments]
    other = known[0].username
    said = [f"@{first.username.upper()}: No: never.", f"{second.display_name} : so sorry", f"@{other} :)", "@nobody:"]
    post = await a_post(a_bench(post_answer(comments=said)), brief, character=author, known=known)
    assert [one.content for one in post.comments] == ["No: never.", "so sorry", f"@{other} :)"]


async def test_no_comments_are_requested_for_a_reply():
    """Neither the request nor its schema has them."""
    _, author, known, brief = planned(lambda slot, _: slot.reply_to)
    bench = a_bench(post_answer(comments=["uninvited"]))
    assert (await a_post(bench, brief, character=author, known=known)).comments == ()
    assert "comments" not in bench.text.prompts[0].schema["properties"]
    assert "Comments:" not in bench.text.prompts[0].item


@pytest.mark.parametrize("deleted", [True, False])
async def test_a_reply_to_a_missing_post_is_an_ordinary_post(deleted):
    """If the other post failed, or moderation refused it, no reply is requested, and nothing is quoted."""
    _, author, known, brief = planned(lambda slot, _: slot.reply_to)
    answered = await a_post(a_bench(refused(), refused())) if deleted else None
    bench = a_bench(post_answer())
    post = await a_post(bench, brief, character=author, known=known, replied_to=answered)
    assert (post.in_reply_to, post.quote, post.t, post.wish) == ("", "", brief.t, brief.wish)
    item = bench.text.prompts[0].item
    assert "Replies to" not in item
    assert f"Form: {REPLY}" not in item
    assert not deleted or answered.content not in item


async def test_the_request_for_a_post_has_heard_ideas_of_others():
    """The request has the heard ideas of acquaintances, with their authors."""
    heard = [a_post_brief(2, a_character(index, REQUEST)) for index in (4, 5)]
    bench = a_bench(post_answer())
    await a_post(bench, heard=heard)
    for idea in heard:
        assert f"@{idea.username}: {idea.idea}" in bench.text.prompts[0].item.splitlines()


async def test_a_post_made_again_keeps_its_place():
    """Another text of the same idea has the same place in time and the same wish; the request has the text that must not be
    repeated."""
    slot, author, known, brief = planned(lambda slot, _: slot.t > 50 and not slot.reply_to)
    bench = a_bench(post_answer())
    post = await a_post(bench, brief, character=author, known=known, former="The cart is gone for good.")
    assert (post.t, post.after, post.moment, post.wish) == (slot.t, slot.after, slot.moment, brief.wish)
    assert "The cart is gone for good." in bench.text.prompts[0].item


async def test_banned_terms_in_a_post_are_recorded():
    """Banned terms in a post are recorded with it, and the post is not requested again; terms of the user's sentence do not
    count."""
    bench = a_bench(post_answer(content="And yet the lighthouse whispers to the bees"))
    assert (await a_post(bench)).worn == ("and yet", "lighthouse", "whisper*")
    assert len(bench.text.prompts) == 1
    said = a_bench(post_answer(content="And yet", comments=["A tapestry.", "Lovely, and yet dull."]))
    assert (await a_post(said)).worn == ("and yet", "tapestry")
    wished = a_bench(post_answer(content="The lighthouse whispers"))
    assert (await a_post(wished, request=a_request("A lighthouse town"))).worn == ("whisper*",)


async def test_a_person_has_the_same_looks_in_every_picture():
    """The planned people are in the picture (author, friend or nobody), and the prompt has their looks in the same words."""
    request = a_request(seed=world_seed("world-43"))  # its posts have all three kinds of pictures
    for shows in ("nobody", "author", "both"):
        slot, author, known, brief = planned(lambda slot, _, shows=shows: slot.picture.shows == shows, request)
        prompt = (await a_post(a_bench(post_answer()), brief, request=request, character=author, known=known)).image_prompt
        seen = [author.look] if shows != "nobody" else []
        seen += [known[slot.partner - 1].look] if shows == "both" else []
        looks = [author.look, *(other.look for other in known)]
        assert [look for look in looks if look in prompt] == seen


async def test_who_says_nothing_has_no_comment():
    """Texts without a word are left out, the others stay with their writers, and nobody has two comments in a row."""
    slot, author, known, brief = planned(lambda slot, _: len(slot.comments) == 3 and slot.comments[0] == slot.comments[2])
    first, second = known[slot.comments[0] - 1].username, author.username
    for answered, kept in (
        (["One?", "…", "Two!"], [(first, "One?")]),
        (["", "Yes.", "Two!"], [(second, "Yes."), (first, "Two!")]),
        (["One?", "Yes.", "— "], [(first, "One?"), (second, "Yes.")]),
    ):
        post = await a_post(a_bench(post_answer(comments=answered)), brief, character=author, known=known)
        assert [(comment.username, comment.content) for comment in post.comments] == kept


async def test_who_stands_in_the_scene_has_their_looks_in_the_prompt():
    """If the model puts the author into a picture that was planned without them, or the friend whom the post names, the
    prompt has their looks, too."""
    slot, author, known, brief = planned(lambda slot, _: slot.picture.shows == "nobody" and slot.partner and not slot.reply_to)
    friend = known[slot.partner - 1]
    for scene, seen in (
        ("A bear on the stairs.", []),
        ("The friendly bear beside the author's empty chair, and the authorities.", []),
        ("The author feeds a bear.", [author.look]),
        ("A bear between the author and the friend.", [author.look, friend.look]),
    ):
        post = await a_post(a_bench(post_answer(image_prompt=scene)), brief, character=author, known=known)
        assert [look for look in (author.look, friend.look) if look in post.image_prompt] == seen
        assert post.pictured == tuple(one.key for one in (author, friend) if one.look in seen)


async def test_a_refused_post_is_requested_in_softer_words():
    """First refusal (R10): the same idea with a modified prompt, and the document's context says so."""
    bench = a_bench(refused("SAFETY"), post_answer())
    post = await a_post(bench)
    first, second = (prompt.item for prompt in bench.text.prompts)
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
    assert len(bench.text.prompts) == 2


async def test_the_last_task_publishes_the_post():
    """The picture of the character is made first; then the post is published once with its text, picture and tags."""
    post = await a_post(a_bench(post_answer()))
    bench = a_bench()
    published = await generate_post_image(POST, bench.clients, REQUEST, WORLD, PERSON, post, at_once)
    (picture,) = bench.images.pictures
    assert (picture.media_type, picture.width, picture.height) == (MediaType.POST_IMAGE, 1024, 768)
    assert picture.prompt.startswith(WORLD.visual_style)
    assert post.image_prompt in picture.prompt
    assert bench.images.owners == ["id-3"]
    ((kind, sent),) = bench.platform.published
    assert (kind, sent.character_id, sent.caption) == ("post", "id-3", post.content)
    assert (sent.media_id, sent.tags) == (published.image.media_id, post.hashtags)
    assert published.post_id == "post-1"


async def test_after_invalid_pictures_the_picture_is_neutral():
    """If the API never answers with a picture, the prompt becomes milder, like after a refusal."""
    bench = a_bench(refused_pictures=1)
    bench.images.refusal = InvalidAnswerError("the model answered with text instead of a picture", chance=True)
    post = (await a_post(a_bench(post_answer()))).model_copy(update={"pictured": (PERSON.key, "c0001", "c0002")})
    faces = {PERSON.key: "of-the-author", "c0002": "of-the-friend"}
    made = await generate_post_image(POST, bench.clients, REQUEST, WORLD, PERSON, post, at_once, faces)
    first, milder = (picture.references for picture in bench.images.pictures)
    assert [(one.who, one.media_id) for one in first] == [("The author", "of-the-author"), ("The friend", "of-the-friend")]
    assert milder == ()  # without people
    assert made.image.moderation == "no picture came: the model answered with text instead of a picture"
    assert "quiet empty place" in bench.images.pictures[1].prompt


async def test_a_refused_picture_becomes_a_neutral_one():
    """The post is still published; if the mildest picture is refused too, nothing is published."""
    post = await a_post(a_bench(post_answer()))
    bench = a_bench(refused_pictures=1)
    published = await generate_post_image(POST, bench.clients, REQUEST, WORLD, PERSON, post, at_once)
    assert published.image.prompt == neutral_prompt(WORLD, "post")
    bench = a_bench(refused_pictures=3)
    with pytest.raises(RefusedError):
        await generate_post_image(POST, bench.clients, REQUEST, WORLD, PERSON, post, at_once)
    assert not bench.platform.published


@pytest.mark.parametrize("quality", list(Quality))
async def test_a_placeholder_is_published_with_a_neutral_picture(quality):
    """The picture of a deleted post is never refined or made from the former idea."""
    request = a_request(quality=quality)
    post = await a_post(a_bench(refused(), refused()))
    bench = a_bench()
    await generate_post_image(POST, bench.clients, request, WORLD, PERSON, post, at_once)
    assert bench.images.pictures[0].prompt == neutral_prompt(WORLD, "post")


async def test_high_quality_refines_the_picture():
    """Quality high makes one call with the post's text, and uses the answer as the prompt."""
    post = await a_post(a_bench(post_answer()))
    bench = a_bench({"image_prompt": "Low, close, one wedge"})
    await generate_post_image(POST, bench.clients, a_request(quality=Quality.HIGH), WORLD, PERSON, post, at_once)
    assert post.content in bench.text.prompts[0].item
    assert "Low, close, one wedge." in bench.images.pictures[0].prompt
