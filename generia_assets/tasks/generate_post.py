"""Task type ``generate_post``: an idea becomes a post and a picture's prompt (R4). One call."""

import logging
import re
from collections.abc import Sequence
from functools import partial
from itertools import groupby

from generia_assets.content import ask_posts, banlist, languages
from generia_assets.content.documents import Acquaintance, Character, Comment, Post, PostBrief, WorldDescription, WorldRequest
from generia_assets.content.drafts import PostDraft, in_language
from generia_assets.content.names import resolve_mentions
from generia_assets.content.pictures import AUTHOR, FRIEND, Shown, is_in, neutral_prompt, scene_with_people
from generia_assets.content.storyline import Slot
from generia_assets.content.text import hashtags
from generia_assets.tasks.clients import TaskClients
from generia_assets.tasks.fallback_chain import write_with_fallback
from generia_assets.tasks.task_definition import TaskParameters, durable_task
from resources.gateway.outcomes import RefusedError

log = logging.getLogger(__name__)


def _written(brief: PostBrief, character: Character, *, content: str, image_prompt: str, **fields: object) -> Post:
    """A post in its place: author, order, time and wish are the brief's."""
    return Post.model_validate(
        {
            **brief.model_dump(include={"key", "order", "t", "after", "moment", "wish"}),
            "character": character.key,
            "username": character.username,
            "character_id": character.character_id,
            "content": content,
            "image_prompt": image_prompt,
            **fields,
        }
    )


_NO_WORDS = " …—–-.,;:()[]\"'“”«»"
"""What a comment of nothing else is made of, where its writer says nothing."""


def _without_speaker(text: str, writer: Acquaintance | Character) -> str:
    """The comment without a name in front (``@mira: ``): some answers begin with the writer's, or with a wrong one."""
    names = "|".join(map(re.escape, (writer.username, writer.display_name)))
    return re.sub(rf"^(?:@\S+?|{names})\s*(?::(?!\S)|：)\s*", "", text, flags=re.IGNORECASE)


def post_of(
    draft: PostDraft,
    brief: PostBrief,
    character: Character,
    acquaintances: Sequence[Acquaintance],
    slot: Slot,
    replied_to: Post | None,
    softened: str,
) -> Post:
    """The document of a draft.

    Every mention in it exists; ``softened``: the reason of the refusal after which it was asked for again.
    """
    usernames = [other.username for other in acquaintances]
    content, found = resolve_mentions(draft.content, usernames)
    writers = [acquaintances[place - 1] if place else character for place in slot.comments]
    said_below = (
        Comment(character=writer.key, username=writer.username, content=resolve_mentions(said, (*usernames, character.username))[0])
        for writer, text in zip(writers, draft.comments, strict=False)
        if (said := _without_speaker(text, writer)).strip(_NO_WORDS)
    )
    # Who says nothing between two comments of one person leaves one of them.
    comments = tuple(next(of_one) for _, of_one in groupby(said_below, key=lambda comment: comment.character))
    # The request asks to name people of the idea with @; some texts use the display name. People that the text leaves out are not
    # mentioned.
    folded = content.casefold()
    by_name = [other.username for other in acquaintances if other.display_name.casefold() in folded]
    note = f" [asked for again in softer words: moderation had refused it ({softened})]" if softened else ""
    with_author = slot.picture.shows != "nobody" or is_in(draft.image_prompt, AUTHOR)
    with_friend = slot.picture.shows == "both" or is_in(draft.image_prompt, FRIEND)
    friends = [other for other in acquaintances if with_friend and other.username in brief.mentions]
    shown = {character.key: Shown(who=AUTHOR, look=character.look)} if with_author else {}
    shown |= {friend.key: Shown(who=FRIEND, look=friend.look) for friend in friends}
    pictured = {key: one for key, one in shown.items() if one.look}
    return _written(
        brief,
        character,
        content=content,
        image_prompt=scene_with_people(draft.image_prompt, tuple(pictured.values())),
        pictured=tuple(pictured),
        image_style=draft.image_style,
        hashtags=hashtags(draft.hashtags),
        mood=draft.mood,
        context=draft.context + note,
        mentions=tuple(dict.fromkeys((*found, *(name for name in by_name if name in brief.mentions)))),
        location=draft.location,
        time_of_day=draft.time_of_day,
        in_reply_to=brief.in_reply_to if replied_to else "",
        quote=replied_to.content if replied_to else "",
        comments=comments,
    )


def deleted_post(brief: PostBrief, character: Character, world: WorldDescription, reason: str) -> Post:
    """The placeholder for a post that moderation refused twice (R10), in the world's language."""
    return _written(
        brief,
        character,
        content=languages.placeholders(world.user_preferences.language).deleted,
        image_prompt=neutral_prompt(world, "post"),
        deleted_reason=f"refused by moderation twice: {reason}",
        **dict.fromkeys(("image_style", "mood", "context", "location", "time_of_day"), ""),
        **dict.fromkeys(("hashtags", "mentions"), ()),
    )


@durable_task
async def generate_post(
    parameters: TaskParameters,
    clients: TaskClients,
    request: WorldRequest,
    world: WorldDescription,
    character: Character,
    brief: PostBrief,
    acquaintances: Sequence[Acquaintance],
    story: Sequence[PostBrief],
    replied_to: Post | None = None,
    heard: Sequence[PostBrief] = (),
    former: str = "",
) -> Post:
    """Write the post of this idea. A refused request is made again in softer words; after two refusals it is a placeholder.

    Args:
        story: the character's ideas, so that this post continues from those before it.
        replied_to: the post that the brief replies to; None makes an ordinary post of it.
        heard: earlier ideas of acquaintances.
        former: the rejected text that this one replaces, so that it is not written again.
    """
    replied_to = replied_to if replied_to is not None and not replied_to.deleted_reason else None
    ask = partial(
        ask_posts.post, request, world, character, brief, acquaintances, story, replied_to=replied_to, heard=heard, former=former
    )
    try:
        draft, softened = await write_with_fallback(
            clients.text,
            in_language(PostDraft, world.user_preferences.language),
            [lambda _: ask(), lambda reason: ask(softened=reason)],
        )
    except RefusedError as refusal:
        log.warning("%s was refused twice (%s); a placeholder replaces it", brief.key, refusal.reason)
        return deleted_post(brief, character, world, refusal.reason)
    slot = ask_posts.line_of(request, world, character).slots[brief.order]
    post = post_of(draft, brief, character, acquaintances, slot, replied_to, softened)
    language, wished = world.user_preferences.language, request.user_prompt
    worn = tuple(dict.fromkeys(entry for text in post.texts for entry in banlist.find_banned(text, language, wished=wished)))
    if worn:
        # Counted, not asked for again: a banned word in one post of many is not worth a call.
        log.info("%s contains entries of the ban list: %s", post.key, ", ".join(worn))
    return post.model_copy(update={"worn": worn})
