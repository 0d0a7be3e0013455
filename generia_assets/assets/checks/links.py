"""Checks of links: whoever is related to or mentioned exists, and is somebody else."""

from generia_assets.assets.checks.finding import Check, CheckFinding, World, again_by_job, asking
from generia_assets.assets.jobs import RERUN_CHARACTER, RERUN_POST
from generia_assets.content.documents import Character, CharacterBrief, Post
from generia_assets.content.mentions import by_fold, mentions_in


def _people(world: World) -> set[str]:
    return {brief.username for brief in world.all("character_briefs", CharacterBrief)}


def _relations(world: World) -> CheckFinding:
    found, people = CheckFinding(), _people(world)
    for person in world.all("characters", Character):
        found.looked_at += 1
        for tie in person.relationships:
            if tie.username not in people or tie.username == person.username:
                found.add(f"{person.key} @{person.username} is related to @{tie.username}, who is nobody else here", person.key)
    return found


def _mentions(world: World) -> CheckFinding:
    found, people = CheckFinding(), _people(world)
    known = by_fold(people)
    for post in world.all("posts", Post):
        found.looked_at += 1
        written = (post.content[start + 1 : end] for start, end, _ in mentions_in(post.content, known))
        named = dict.fromkeys((*post.mentions, *written))
        for nobody in [name for name in named if name not in people]:
            found.add(f"{post.key} mentions @{nobody}, who does not exist", post.key)
    return found


CHECKS = [
    Check(
        "characters",
        "relations_exist",
        "Every relation is with somebody of this world, and with somebody else.",
        asking(_relations, again_by_job(RERUN_CHARACTER, "character"), good="people, all related to people who exist"),
    ),
    Check(
        "posts",
        "mentions_exist",
        "Every @ in a post, and every mention recorded with it, leads to somebody of this world.",
        asking(_mentions, again_by_job(RERUN_POST, "post"), good="posts, all mentioning people who exist"),
    ),
]
