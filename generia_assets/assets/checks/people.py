"""Checks of people: both sides tell of a relation, ages fit it, and who names whom."""

import dagster as dg

from generia_assets.assets.checks.finding import Check, Finding, World, again_by_job, asking
from generia_assets.assets.checks.timeline import BEFORE_TIMELINE, dated
from generia_assets.assets.jobs import RERUN_CHARACTER
from generia_assets.content import data_files, social
from generia_assets.content.data_files import RelationKind
from generia_assets.content.documents import Character, CharacterBrief, Post, character_index, character_key

_RETURNED = (0.15, 0.3)
"""Share of the mentions that are returned, as in a network where people look up to somebody."""
_PAIRS_FROM = 30
"""Pairs from which on that share is judged."""
_WARN = dg.AssetCheckSeverity.WARN


def _acquaintances(world: World, index: int) -> dict[str, social.Tie]:
    ties = social.acquaintances(world.request.seed, world.request.users_count, index)
    return {character_key(tie.index): tie for tie in ties}


def _ties(world: World) -> Finding:
    """Relations are those of the graph; of a pair that are both there, both tell of it, unless moderation refused one side."""
    found = Finding()
    keys = {brief.username: brief.key for brief in world.all("character_briefs", CharacterBrief)}
    told = dict[str, frozenset[str]]()
    for person in world.all("characters", Character):
        found.looked_at += 1
        told[person.key] = frozenset(keys[tie.username] for tie in person.relationships if tie.username in keys)
    one_sided = list[tuple[str, str]]()
    for key, others in told.items():
        known = _acquaintances(world, character_index(key))
        for other in sorted(others):
            if other not in known:
                found.add(f"{key} tells of {other}, whom they do not know", key)
            elif other in told and key not in told[other]:
                one_sided.append((other, key))
    found.figures["one_sided"] = len(one_sided)
    if not found.wrong:
        found.severity = _WARN
        for silent, other in one_sided:
            found.add(f"{silent} does not tell of {other}, who tells of them", silent)
    return found


def _ages(world: World) -> Finding:
    found, unknown = Finding(), 0
    relations = data_files.relations()
    kinds = {kind.one: kind for kind in (*relations.near, *relations.far)}
    years = {brief.key: brief.years for brief in world.all("character_briefs", CharacterBrief)}
    for key in years:
        for other, tie in _acquaintances(world, character_index(key)).items():
            kind = kinds.get(tie.relation)
            if kind is None or other not in years or (kind.one == kind.other and other < key):
                continue  # told from the other side
            if not years[key] or not years[other]:
                unknown += 1
                continue
            found.looked_at += 1
            if not _fit(kind, years[key], years[other]):
                found.add(f"{other} ({years[other]}) is “{tie.relation}” to {key} ({years[key]})", other)
    found.figures["ages_not_drawn"] = unknown
    found.remark = "" if found.looked_at or not unknown else "made before ages were drawn"
    return found


def _fit(kind: RelationKind, first: int, second: int) -> bool:
    """Whether people of these years can be the first and the second of this relation."""
    least, most = kind.older_by or (-1_000, 1_000)
    return least <= second - first <= most and min(first, second) >= kind.both_from


def _mentions(world: World) -> Finding:
    found, pairs = Finding(), set[tuple[str, str]]()
    for post in world.all("posts", Post):
        if dated(post):
            found.looked_at += 1
            pairs |= {(post.username, other) for other in post.mentions if other != post.username}
    returned = sum((other, one) in pairs for one, other in pairs) / max(1, len(pairs))
    found.figures |= {"pairs": len(pairs), "returned": round(returned, 3)}
    found.remark = f"{returned:.0%} of {len(pairs)} mentions are returned" if found.looked_at else BEFORE_TIMELINE
    if len(pairs) >= _PAIRS_FROM and not _RETURNED[0] <= returned <= _RETURNED[1]:
        found.add(f"{returned:.0%} of {len(pairs)} pairs of people who name each other do so both ways")
    return found


CHECKS = [
    Check(
        "characters",
        "ties_agree",
        "Whom a person tells of is an acquaintance of theirs. A warning: only one side of a pair tells of the other.",
        asking(_ties, again_by_job(RERUN_CHARACTER, "character"), good="people, whose relations agree"),
    ),
    Check(
        "character_briefs",
        "ages_fit",
        "Ages fit relations: a parent is older than the child, a partner grown up (content/data/relations.yaml says by how much).",
        asking(_ages, again_by_job(RERUN_CHARACTER, "character"), good="relations that fit the ages"),
    ),
    Check(
        "posts",
        "mentions_returned",
        f"Between {_RETURNED[0]:.0%} and {_RETURNED[1]:.0%} of those who are named in posts name the other one, too: in a network "
        f"most people look to somebody else. Judged from {_PAIRS_FROM} pairs on.",
        asking(_mentions, lambda _: "", good="posts", severity=_WARN),
    ),
]
