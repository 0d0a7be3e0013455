"""Checks of people: whom relations and mentions name exists, both sides have a relation, ages fit it, and who names whom."""

import re
from collections import Counter

from generia_assets.assets.checks.finding import CheckFinding, World, check
from generia_assets.assets.checks.plan import BEFORE_TIMELINE, acquaintances, dated
from generia_assets.content import social
from generia_assets.content.documents import Character, CharacterBrief, Post, WorldRequest
from generia_assets.content.keys import character_index
from generia_assets.content.names import by_fold, mentions_in

_RETURNED = (0.1, 0.35)
"""Share of the mentions that are returned. Aimed at are 15 to 30 %; ten worlds of 100 people, 1,000 posts have 14 to 25 %."""
_PAIRS_FROM = 100
"""Pairs from which on that share is judged. It means little for fewer: ten worlds of 25 people, 25 pairs each, have 9 to 37 %."""
_ANY_AGE = 1_000
_ALIKE_FROM = 5
"""Relations that may have the same name in any world."""
_KINDS_FROM = 5
"""People from which on not all may be of one kind."""


def _people(world: World) -> set[str]:
    return {brief.username for brief in world.all(CharacterBrief)}


@check("characters", "people, all related to people who exist")
def relations_exist(world: World, found: CheckFinding) -> None:
    """Every relation is with another person of this world."""
    people = _people(world)
    for person in found.each(world.all(Character)):
        for tie in person.relationships:
            if tie.username not in people or tie.username == person.username:
                found.add(f"{person.key} @{person.username} is related to @{tie.username}, who is nobody else here", person.key)


@check("posts", "posts, all mentioning people who exist")
def mentions_exist(world: World, found: CheckFinding) -> None:
    """Every @ in a post and in a comment, every mention recorded with it, and who comments is a person of this world."""
    people = _people(world)
    known = by_fold(people)
    for post in found.each(world.all(Post)):
        written = (text[start + 1 : end] for text in post.texts for start, end, _ in mentions_in(text, known))
        named = dict.fromkeys((*post.mentions, *written, *(comment.username for comment in post.comments)))
        for unknown in [name for name in named if name not in people]:
            found.add(f"{post.key} mentions @{unknown}, who does not exist", post.key)


@check("characters", "people, whose relations agree")
def ties_agree(world: World, found: CheckFinding) -> None:
    """Whom a person tells of is an acquaintance of theirs. Warnings: only one side of a pair tells of the other, although none of
    the two joined by an extension; each is the other's parent; most relations have the same name.
    """
    request = world.request
    keys = {brief.username: brief.key for brief in world.all(CharacterBrief)}
    named = dict[str, dict[str, str]]()
    for person in found.each(world.all(Character)):
        named[person.key] = {
            keys[tie.username]: tie.relationship_type.casefold() for tie in person.relationships if tie.username in keys
        }
    for key, others in named.items():
        known = acquaintances(request, key)
        for other in sorted(others):
            if (tie := known.get(other)) is None:
                found.add(f"{key} tells of {other}, whom they do not know", key)
            elif other in named and key not in named[other]:
                if not _joined_later(request, key, other):
                    found.warn(f"{other} does not tell of {key}, who tells of them", other)
            elif other in named and tie.is_first and _elder(tie) and others[other] == named[other][key]:
                found.warn(f"{key} and {other} both call the other “{others[other]}”: {tie.sentence(key, other)}", key)
    words = Counter(word for others in named.values() for word in others.values())
    for word, count in words.most_common(1):
        if count > max(_ALIKE_FROM, words.total() / 2):
            found.warn(f"{count} of {words.total()} relations are called “{word}”")


def _joined_later(request: WorldRequest, key: str, than: str) -> bool:
    """Whether a person joined by an extension and the other was there before: their document says nothing of the new one."""
    return any(character_index(than) < people <= character_index(key) for people, _ in request.former_sizes)


def _elder(tie: social.SeededRelation) -> bool:
    """Whether one of the two must be older than the other."""
    least, most = tie.kind.older_by or (0, 0)
    return least > 0 or most < 0


@check("character_briefs", "relations with fitting ages")
def ages_fit(world: World, found: CheckFinding) -> None:
    """The ages drawn fit the relations: a parent is older than the child, a partner grown up (data/relations.yaml says by how
    much). Warnings: where ages are told in figures a parent is not older; everybody is the same kind of person.
    """
    request, unknown = world.request, 0
    years, figures, kinds = dict[str, int](), dict[str, int](), Counter[str]()
    for brief in world.all(CharacterBrief):
        years[brief.key] = brief.years
        kinds[brief.kind.casefold()] += 1
        if figure := re.search(r"\d+", brief.age):
            figures[brief.key] = int(figure[0])
    for key in years:
        for other, tie in acquaintances(request, key).items():
            if not tie.is_first or other not in years:
                continue  # checked from one side
            if not years[key] or not years[other]:
                unknown += 1
                continue
            found.looked_at += 1
            least, most = tie.kind.older_by or (-_ANY_AGE, _ANY_AGE)
            if not least <= years[other] - years[key] <= most or min(years[key], years[other]) < tie.kind.both_from:
                found.add(f"{tie.sentence(key, other)}, at {years[key]} and {years[other]} years", other)
            elif key in figures and other in figures and _elder(tie):
                elder, younger = (other, key) if least > 0 else (key, other)
                if figures[elder] <= figures[younger]:
                    found.warn(f"{tie.sentence(key, other)}, at {figures[key]} and {figures[other]} in their own words", elder)
    kind, holders = kinds.most_common(1)[0]
    if kind and holders == len(years) >= _KINDS_FROM:
        found.warn(f"all {holders} people are “{kind}”")
    found.figures["ages_not_drawn"] = unknown
    found.remark = "" if found.looked_at or not unknown else "made before ages were drawn"


@check(
    "posts",
    "posts",
    description=f"Between {_RETURNED[0]:.0%} and {_RETURNED[1]:.0%} of those who are named in posts name the other one, too: in a "
    f"network most mentions are not returned. Judged from {_PAIRS_FROM} pairs on.",
)
def mentions_returned(world: World, found: CheckFinding) -> None:
    pairs = set[tuple[str, str]]()
    for post in found.each(filter(dated, world.all(Post))):
        pairs |= {(post.username, other) for other in post.mentions if other != post.username}
    returned = sum((other, one) in pairs for one, other in pairs) / max(1, len(pairs))
    found.figures |= {"pairs": len(pairs), "returned": round(returned, 3)}
    found.remark = f"{returned:.0%} of {len(pairs)} mentions are returned" if found.looked_at else BEFORE_TIMELINE
    if len(pairs) >= _PAIRS_FROM and not _RETURNED[0] <= returned <= _RETURNED[1]:
        found.warn(f"{returned:.0%} of {len(pairs)} pairs of people who name each other do so both ways")
