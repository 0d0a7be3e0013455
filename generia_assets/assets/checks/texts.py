"""Checks of texts: no near duplicates, everything in the language that was asked for, no placeholders."""

from collections.abc import Iterable

from generia_assets.assets.checks.finding import CheckFinding, World, check
from generia_assets.content import languages
from generia_assets.content.documents import Character, CharacterBrief, Post
from generia_assets.content.drafts import SHORT_POST
from generia_assets.content.similarity import MOST_COMPARED, NEAR_DUPLICATE, near_duplicates

_THRESHOLD = (
    "Measured as the share of four-letter sequences that two texts have in common: two texts about one thing lie below 0.1, one "
    f"text with other names or one other sentence above {NEAR_DUPLICATE}, which is reported. A warning: "
    f"the world is whole, if dull. The first {MOST_COMPARED:,} are compared."
)


def _distinct(found: CheckFinding, texts: Iterable[tuple[str, str]], count: int) -> None:
    found.looked_at = min(count, MOST_COMPARED)
    for pair in near_duplicates(texts):
        found.warn(f"{pair.one} is nearly {pair.other} ({pair.similarity:.2f})", pair.one)
    found.figures["threshold"] = NEAR_DUPLICATE


@check("character_briefs", "concepts, no two nearly the same", description=f"No two people are nearly the same. {_THRESHOLD}")
def distinct_concepts(world: World, found: CheckFinding) -> None:
    concepts = ((brief.key, brief.concept) for brief in world.all(CharacterBrief))
    _distinct(found, concepts, world.count(CharacterBrief))


@check("posts", "posts, no two nearly the same", description=f"No two posts are nearly the same. {_THRESHOLD}")
def distinct_posts(world: World, found: CheckFinding) -> None:
    """Without placeholders, which another check counts, and posts of a few words, which are too short to compare."""
    compared = (post for post in world.all(Post) if not post.deleted_reason and len(post.content) > SHORT_POST)
    _distinct(found, ((post.key, post.content) for post in compared), world.count(Post))


def _in_language(world: World, found: CheckFinding, texts: Iterable[tuple[str, str]], of: str = "") -> None:
    """Texts in another script, and, where most of them look like another language of the same script, all that do.

    ``of``: what a text is of its item; '' for the item itself.
    """
    language = world.description.user_preferences.language
    script, known = languages.checked_script(language), languages.find(language)
    found.figures["language"], others, count = language, list[tuple[str, str]](), 0
    for key, whole in texts:
        count += 1
        text = languages.own_words(whole)
        if script is None or len(text) <= SHORT_POST:
            continue
        if wrong := languages.wrong_letters(text, script):
            found.add(f"{of}{key} is not written in {language}: it has {wrong}", key)
        elif known is not None and (seems := languages.guess(text)) is not None and seems != known:
            others.append((key, seems.name))
    if 2 * len(others) > count:
        for key, seems_name in others:
            found.add(f"{of}{key} seems to be in {seems_name}, not in {language}", key)


@check("world_description", "description in the language asked for")
def description_in_language(world: World, found: CheckFinding) -> None:
    """The world is described in the language asked for. A sentence that is plainly in another language than the world is a warning:
    it may have asked for that.
    """
    description, request = world.description, world.request
    _in_language(world, found, found.each([(description.key, description.description)]))
    language = description.user_preferences.language
    if not request.language and (seems := languages.asked_in_another(language, request.user_prompt)):
        found.warn(
            f"the sentence it was ordered with seems to be in {seems}, the world is in {language}; right only if the sentence asks "
            "for that",
            description.key,
        )


@check("characters", "people in the language asked for")
def people_in_language(world: World, found: CheckFinding) -> None:
    """All people are described in the world's language."""
    texts = ((person.key, f"{person.bio}\n{person.background_story}") for person in found.each(world.all(Character)))
    _in_language(world, found, texts)


@check("posts", "posts in the language asked for")
def posts_in_language(world: World, found: CheckFinding) -> None:
    """Every post and the comments on it are in the world's language; a few words may be in any."""
    _in_language(world, found, ((post.key, post.content) for post in found.each(world.all(Post))))
    comments = ((post.key, "\n".join(post.texts[1:])) for post in world.all(Post) if post.comments)
    _in_language(world, found, comments, "the text of the comments on ")


@check("characters", "people, all described in full")
def people_in_full(world: World, found: CheckFinding) -> None:
    """No person has only a concept or is a fallback character, which replace profiles that moderation refuses."""
    from_plan = {brief.key: brief.moderation for brief in world.all(CharacterBrief) if brief.moderation}
    for person in found.each(world.all(Character)):
        if person.key in from_plan:
            found.warn(f"{person.key} @{person.username}: {from_plan[person.key]}", person.key)
        elif not person.personality:
            found.warn(f"{person.key} @{person.username}: {person.moderation or 'nothing but the concept'}", person.key)


@check("posts", "posts, none of them a placeholder")
def no_placeholder(world: World, found: CheckFinding) -> None:
    """No post stands in for one that moderation refused twice."""
    for post in found.each(world.all(Post)):
        if post.deleted_reason:
            found.warn(f"{post.key} is a placeholder: {post.deleted_reason}", post.key)
