"""Task type ``generate_post``: an idea becomes a post and a picture's prompt (R4). One call."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial

from generia_assets.content import ask_posts, banlist, languages
from generia_assets.content.documents import Acquaintance, Character, Post, PostBrief, WorldDescription, WorldRequest
from generia_assets.content.drafts import PostDraft, in_language
from generia_assets.content.mentions import settle_mentions
from generia_assets.content.pictures import neutral_prompt, scene_with_author
from generia_assets.content.text import joined
from generia_assets.tasks.kinds import Level, TaskParameters, durable_task
from generia_assets.tasks.ladders import write_down_the_ladder
from generia_assets.tasks.tools import Tools
from resources.outcomes import RefusedError

log = logging.getLogger(__name__)


def _hashtags(tags: Iterable[str]) -> tuple[str, ...]:
    # A tag in another case or with other gaps is the same tag; the first spelling stays.
    first: dict[str, str] = {}
    for tag in (joined(one).strip("_") for several in tags for one in several.split("#")):
        first.setdefault(tag.casefold().replace("_", ""), tag)
    return tuple(filter(None, first.values()))


def post_of(draft: PostDraft, brief: PostBrief, character: Character, acquaintances: Sequence[Acquaintance], softened: str) -> Post:
    """The document of a draft. Every mention in it exists; ``softened`` says for which refusal it was asked for again."""
    content, found = settle_mentions(draft.content, (other.username for other in acquaintances))
    # Whom the idea names is asked for with @; some texts name them as friends do. Whom the text leaves out is not mentioned.
    folded = content.casefold()
    by_name = [other.username for other in acquaintances if other.display_name.casefold() in folded]
    note = f" [asked for again in softer words: moderation had refused it ({softened})]" if softened else ""
    return Post(
        key=brief.key,
        character=character.key,
        username=character.username,
        character_id=character.character_id,
        order=brief.order,
        moment=brief.moment,
        content=content,
        image_prompt=scene_with_author(draft.image_prompt, character.look) if draft.shows_author else draft.image_prompt,
        image_style=draft.image_style,
        hashtags=_hashtags(draft.hashtags),
        mood=draft.mood,
        context=draft.context + note,
        mentions=tuple(dict.fromkeys((*found, *(name for name in by_name if name in brief.mentions)))),
        location=draft.location,
        time_of_day=draft.time_of_day,
    )


def deleted_post(brief: PostBrief, character: Character, world: WorldDescription, reason: str) -> Post:
    """What stands in place of a post that moderation refused twice (R10), in the world's language."""
    return Post(
        key=brief.key,
        character=character.key,
        username=character.username,
        character_id=character.character_id,
        order=brief.order,
        moment=brief.moment,
        content=languages.deleted_post(world.user_preferences.language),
        image_prompt=neutral_prompt(world, "post"),
        image_style="",
        hashtags=(),
        mood="",
        context="",
        mentions=(),
        location="",
        time_of_day="",
        deleted_reason=f"refused by moderation twice: {reason}",
    )


@durable_task(Level.ITEM)
async def generate_post(
    parameters: TaskParameters,
    tools: Tools,
    request: WorldRequest,
    world: WorldDescription,
    character: Character,
    brief: PostBrief,
    acquaintances: Sequence[Acquaintance],
    story: Sequence[PostBrief],
    former: str = "",
) -> Post:
    """Write the post of this idea; ``story`` are the character's ideas, so that this one fits between its neighbours.

    ``former``: the text that somebody did not want any more, so that it is not written once again.

    Refused by moderation: asked again in softer words that keep what the user wants; refused twice: a placeholder.
    """
    ask = partial(ask_posts.post, request, world, character, brief, acquaintances, story, former=former)
    try:
        draft, softened = await write_down_the_ladder(
            tools.writer,
            in_language(PostDraft, world.user_preferences.language),
            [
                lambda _: ask(),
                lambda reason: ask(softened=reason),
            ],
        )
    except RefusedError as refusal:
        log.warning("%s was refused twice (%s); a placeholder stands in for it", brief.key, refusal.reason)
        return deleted_post(brief, character, world, refusal.reason)
    post = post_of(draft, brief, character, acquaintances, softened)
    worn = banlist.trips(post.content, world.user_preferences.language, wished=request.user_prompt)
    if worn:
        # Counted, not asked for again: a worn-out word in one post of many is not worth a call.
        log.info("%s uses what is worn out: %s", post.key, ", ".join(worn))
    return post.model_copy(update={"worn": tuple(worn)})
