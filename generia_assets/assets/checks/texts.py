"""Checks of texts: no near duplicates, everything in the language that was asked for, no placeholders."""

from collections.abc import Iterable

import dagster as dg

from generia_assets.assets.checks.finding import Check, CheckFinding, World, again_by_job, asking
from generia_assets.assets.jobs import RERUN_CHARACTER, RERUN_POST
from generia_assets.content import languages
from generia_assets.content.documents import Character, CharacterBrief, Post
from generia_assets.content.drafts import SHORT_POST
from generia_assets.content.similarity import MOST_COMPARED, NEAR_DUPLICATE, near_duplicates

_THRESHOLD = (
    "Measured as the share of four-letter sequences that two texts have in common: two texts about one thing lie below 0.1, one "
    f"text with other names or one other sentence above {NEAR_DUPLICATE}, which is reported. A warning: "
    f"the world is whole, if dull. The first {MOST_COMPARED:,} are compared."
)

_WARN = dg.AssetCheckSeverity.WARN


def _distinct(texts: Iterable[tuple[str, str]], looked_at: int) -> CheckFinding:
    found = CheckFinding(looked_at=min(looked_at, MOST_COMPARED))
    for pair in near_duplicates(texts):
        found.add(f"{pair.one} is nearly {pair.other} ({pair.similarity:.2f})", pair.one)
    found.figures["threshold"] = NEAR_DUPLICATE
    return found


def _concepts(world: World) -> CheckFinding:
    concepts = ((brief.key, brief.concept) for brief in world.all(CharacterBrief))
    return _distinct(concepts, world.count(CharacterBrief))


def _posts(world: World) -> CheckFinding:
    """Without placeholders, which another check counts, and posts of a few words, which are too short to compare."""
    compared = (post for post in world.all(Post) if not post.deleted_reason and len(post.content) > SHORT_POST)
    return _distinct(((post.key, post.content) for post in compared), world.count(Post))


def _in_language(world: World, texts: Iterable[tuple[str, str]]) -> CheckFinding:
    """Texts in another script, and, where most of them look like another language of the same script, all that do."""
    language = world.description.user_preferences.language
    script, known = languages.checked_script(language), languages.find(language)
    found, others = CheckFinding(figures={"language": language}), list[tuple[str, str]]()
    for key, whole in texts:
        found.looked_at += 1
        text = languages.own_words(whole)
        if script is None or len(text) <= SHORT_POST:
            continue
        if wrong := languages.wrong_letters(text, script):
            found.add(f"{key} is not written in {language}: it has {wrong}", key)
        elif known is not None and (seems := languages.guess(text)) is not None and seems != known:
            others.append((key, seems.name))
    if 2 * len(others) > found.looked_at:
        for key, seems_name in others:
            found.add(f"{key} seems to be in {seems_name}, not in {language}", key)
    return found


def _description_language(world: World) -> CheckFinding:
    """The description's text must be in the language it names; that language must fit the user's sentence."""
    description, request = world.description, world.request
    found = _in_language(world, [(description.key, description.description)])
    language = description.user_preferences.language
    if not found.wrong and not request.language and (seems := languages.asked_in_another(language, request.user_prompt)):
        found.add(
            f"the sentence it was ordered with seems to be in {seems}, the world is in {language}; right only if the sentence asks "
            "for that",
            description.key,
        )
        found.severity = _WARN
    return found


def _description_again(_: list[str]) -> str:
    return "Ask again: materialize world_description; what was made of it stays, and is then stale"


def _people_language(world: World) -> CheckFinding:
    texts = ((person.key, f"{person.bio}\n{person.background_story}") for person in world.all(Character))
    return _in_language(world, texts)


def _posts_language(world: World) -> CheckFinding:
    return _in_language(world, ((post.key, post.content) for post in world.all(Post)))


def _in_full(world: World) -> CheckFinding:
    found = CheckFinding()
    from_plan = {brief.key: brief.moderation for brief in world.all(CharacterBrief) if brief.moderation}
    for person in world.all(Character):
        found.looked_at += 1
        if person.key in from_plan:
            found.add(f"{person.key} @{person.username}: {from_plan[person.key]}", person.key)
        elif not person.personality:
            found.add(f"{person.key} @{person.username}: {person.moderation or 'nothing but the concept'}", person.key)
    return found


def _placeholders(world: World) -> CheckFinding:
    found = CheckFinding()
    for post in world.all(Post):
        found.looked_at += 1
        if post.deleted_reason:
            found.add(f"{post.key} is a placeholder: {post.deleted_reason}", post.key)
    return found


_PERSON_AGAIN, _POST_AGAIN = again_by_job(RERUN_CHARACTER, "character"), again_by_job(RERUN_POST, "post")

CHECKS = [
    Check(
        "character_briefs",
        "distinct_concepts",
        f"No two people are nearly the same. {_THRESHOLD}",
        asking(_concepts, _PERSON_AGAIN, good="concepts, no two nearly the same", severity=_WARN),
    ),
    Check(
        "posts",
        "distinct_posts",
        f"No two posts are nearly the same. {_THRESHOLD}",
        asking(_posts, _POST_AGAIN, good="posts, no two nearly the same", severity=_WARN),
    ),
    Check(
        "world_description",
        "description_in_language",
        "The world is described in the language asked for. A sentence that is plainly in another language than the world is a "
        "warning: it may have asked for that.",
        asking(_description_language, _description_again, good="description in the language asked for"),
    ),
    Check(
        "characters",
        "people_in_language",
        "All people are described in the world's language.",
        asking(_people_language, _PERSON_AGAIN, good="people in the language asked for"),
    ),
    Check(
        "posts",
        "posts_in_language",
        "Every post is in the world's language; a post of a few words may be in any.",
        asking(_posts_language, _POST_AGAIN, good="posts in the language asked for"),
    ),
    Check(
        "characters",
        "people_in_full",
        "No person has only a concept or is a fallback character, which replace profiles that moderation refuses.",
        asking(_in_full, _PERSON_AGAIN, good="people, all described in full", severity=_WARN),
    ),
    Check(
        "posts",
        "no_placeholder",
        "No post stands in for one that moderation refused twice.",
        asking(_placeholders, _POST_AGAIN, good="posts, none of them a placeholder", severity=_WARN),
    ),
]
