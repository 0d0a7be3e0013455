"""Checks of the program's plan: wishes, shares of the posts, one place in time for each, replies, no event too early.

Documents of versions without a timeline have no place in it (``dated``) and are left out. Not here: the model's texts (words.py).
"""

import re
from collections import Counter
from collections.abc import Callable, Container, Mapping
from datetime import datetime
from statistics import median
from typing import NamedTuple

from generia_assets.assets.checks.finding import CheckFinding, World, check
from generia_assets.assets.checks.measures import frequent_words, prose, searchable, searchable_name
from generia_assets.content import social
from generia_assets.content.documents import CharacterBrief, Post, PostBrief, PostImage, WorldDescription, WorldRequest
from generia_assets.content.keys import author_of, character_index, character_key
from generia_assets.content.replies import LONGEST_CHAIN
from generia_assets.content.shares import shares
from generia_assets.content.storyline import wishes_of
from generia_assets.durable.collections import HISTORY
from generia_assets.queries.records import OK
from resources.mongodb.connection import MongoDocument

_ONE_POST_SHARE = 0.25
_REQUESTS = 300
"""Requests looked at, the latest ones."""
WISH = re.compile(r"^Wish: (.+)$", re.MULTILINE)
_BY_THE_MODEL = re.compile(r"<(?!calendar-)(\w+)-[0-9a-f]{8}>.*?</\1-[0-9a-f]{8}>", re.DOTALL)
"""Blocks of a request with earlier texts of the model (content/rendering.py), which may name later events."""
_CHANGED_AT = re.compile(r"it changed at “([^”]+)”")
_LEAST_REPLIES = 0.1
_REPLIES_FROM = 10
"""Posts from which on the share of replies is judged."""
BEFORE_TIMELINE = "none has a place in time: made before there was a timeline"


def dated(post: PostBrief | Post) -> bool:
    """Whether the post has a place in time: from the first one on, an event of the calendar has happened."""
    return post.t > 0 or post.after > 0


def later_events(world: WorldDescription) -> Callable[[str, int], list[str]]:
    """Finds the names of the calendar's events that a text must not name yet, by the text and how many events had happened then."""
    frequent, names = frequent_words(world.user_preferences.language), list[tuple[str, str, int]]()
    texts = [searchable(prose(world.model_copy(update={"calendar": ()})))]
    texts += [searchable(f"{event.what_happens} {event.who_cares}") for event in world.calendar]
    for place, event in enumerate(world.calendar):
        if name := searchable_name(event.name, frequent):
            # An event that the description or an earlier event mentions may be known before it happens: a yearly feast.
            known = next((after for after, text in enumerate(texts) if after <= place and name in text), place + 1)
            names.append((event.name, name, known))

    def named_in(text: str, after: int) -> list[str]:
        later = [(name, wanted) for name, wanted, known in names if after < known]
        searched = searchable(text) if later else ""
        return [name for name, wanted in later if wanted in searched]

    return named_in


@check("post_briefs", "posts with a wish, evenly distributed")
def wishes_dealt(world: World, found: CheckFinding) -> None:
    """Every post has one idea of the user's sentence, and none comes twice before each came once."""
    listed = Counter(wishes_of(world.request, world.description))
    counts = Counter(dict.fromkeys(listed, 0))
    for brief in found.each(filter(dated, world.all(PostBrief))):
        if brief.wish in counts:
            counts[brief.wish] += 1
        else:
            found.add(f"{brief.key} has the wish “{brief.wish}”, which is none of the world's", brief.key)
    if not found.looked_at:
        found.remark = BEFORE_TIMELINE
        return
    missing = world.request.posts_count - sum(counts.values())
    by_use = sorted(counts, key=lambda wish: counts[wish] / listed[wish])  # an idea may be listed twice
    least, most = by_use[0], by_use[-1]
    if counts[most] / listed[most] - counts[least] / listed[least] > 1 + missing:
        found.add(f"the wish “{most}” is dealt to {counts[most]} posts and “{least}” to {counts[least]}")
    found.figures |= {"wishes": len(counts), "fewest_posts": counts[least], "most_posts": counts[most]}


@check(
    "character_briefs",
    "people",
    description=f"At most {_ONE_POST_SHARE:.0%} of the people have one post only, where there are two a person. The seed decides "
    "it: another order has other shares. A single one is always allowed.",
)
def posts_shared_out(world: World, found: CheckFinding) -> None:
    alone = list[str]()
    extended = shares(world.request.seed, *world.request.size) if world.request.former_sizes else ()
    for brief in found.each(world.all(CharacterBrief)):
        if (extended[character_index(brief.key)] if extended else brief.posts_count) == 1:
            alone.append(f"@{brief.username}")
    share = len(alone) / max(1, found.looked_at)
    found.figures["share_of_one_post_people"] = round(share, 3)
    found.remark = f"{len(alone)} with one post"
    # One such person of three or four is normal in a small world.
    if world.request.posts_count >= 2 * world.request.users_count and len(alone) > 1 and share > _ONE_POST_SHARE:
        found.warn(f"{len(alone)} of {found.looked_at} people have one post only: {', '.join(alone[:3])}")


@check(
    "posts",
    "requests for posts as planned",
    description=f"What the program asked for a post says the post's wish, and names no event of the calendar that happens later. "
    f"The latest {_REQUESTS} requests are looked at, while they are kept.",
)
def requests_keep_the_plan(world: World, found: CheckFinding) -> None:
    later = later_events(world.description)
    asked = _latest_requests(world)
    for brief in found.each(brief for brief in world.all(PostBrief) if dated(brief) and brief.key in asked):
        item = asked[brief.key]
        wish = WISH.search(item)
        if brief.wish and (wish is None or searchable(brief.wish) not in searchable(wish[1])):
            found.add(f"the request of {brief.key} does not say its wish “{brief.wish}”", brief.key)
        text = "\n".join((_BY_THE_MODEL.sub(" ", item), *_CHANGED_AT.findall(item)))
        for name in later(text, brief.after):
            found.add(f"the request of {brief.key} tells of “{name}”, which has not happened then", brief.key)
    if not found.looked_at:
        found.remark = "none is kept any more, or the world was made before there was a timeline"


def _latest_requests(world: World) -> Mapping[str, str]:
    """The latest request of each post, by its key, without the part that all posts share."""
    query: MongoDocument = {"world_id": world.id, "request_type": "post", "outcome": OK}
    wanted = {"labels.key": 1, "request_data.parts": {"$slice": [1, 1]}}  # the world comes first (content/prompt.py)
    items: dict[str, str] = {}
    for row in world.database[HISTORY].find(query, wanted).sort("created_at", -1).limit(_REQUESTS):
        parts = (row.get("request_data") or {}).get("parts")
        if isinstance(parts, list) and parts:
            items.setdefault(str(row["labels"]["key"]), str(parts[0]))
    return items


class _Published(NamedTuple):
    t: int
    at: datetime
    key: str
    post_id: str


# Of publications, a run's are compared with each other: one that was made again later, or tried again, is another run's.
@check("post_images", "posts in the order of the world")
def timeline_kept(world: World, found: CheckFinding) -> None:
    """Every post has a place of its own in the order of the world, a person's posts in the order of their life, and each run
    published its posts in that order. A post made again later is published later and keeps its place.
    """
    posts_count = world.request.posts_count
    places, holders = dict[str, int](), dict[int, str]()
    last = ("", -1)
    for brief in found.each(filter(dated, world.all(PostBrief))):
        places[brief.key] = brief.t
        if brief.t >= posts_count:
            found.add(f"{brief.key} has the place {brief.t} among {posts_count} posts", brief.key)
        if (other := holders.setdefault(brief.t, brief.key)) != brief.key:
            found.add(f"{brief.key} has the place {brief.t} of {other}", brief.key)
        if brief.character == last[0] and brief.t <= last[1]:
            found.add(f"{brief.key} comes before the post before it of the same person", brief.key)
        last = (brief.character, brief.t)
    if not places:
        found.remark = BEFORE_TIMELINE
        return
    published = list[_Published]()
    for post in world.all(Post):
        if post.t != places.get(post.key, post.t):
            found.add(f"{post.key} has the place {post.t}, its idea {places[post.key]}", post.key)
    for image in world.all(PostImage):
        if image.key in places:
            published.append(_Published(image.t, image.published_at, image.key, image.post_id))
            if image.t != places[image.key]:
                found.add(f"{image.key} is published at the place {image.t}, its idea has {places[image.key]}", image.key)
    latest = dict[str, _Published]()
    published.sort()
    for one, run in zip(published, world.runs_of(one.post_id for one in published), strict=True):
        before = latest.get(run or "", one)
        if one.at < before.at:
            found.add(f"{one.key} was published before {before.key}, which comes earlier", one.key)
        latest[run or ""] = max(before, one, key=lambda published: published.at)
    found.figures["runs"] = len(latest)


@check(
    "posts",
    "posts",
    description=f"A reply answers an acquaintance's earlier post, in a chain of {LONGEST_CHAIN} at most. Comments are by "
    "acquaintances and the author. A warning: a reply does not name whom it answers, or fewer than "
    f"{_LEAST_REPLIES:.0%} of {_REPLIES_FROM} posts and more are replies.",
)
def replies_fit(world: World, found: CheckFinding) -> None:
    request = world.request
    people = {brief.key: (brief.username, brief.display_name.casefold()) for brief in world.all(CharacterBrief)}
    places, replies, silent, comments = dict[str, int](), dict[str, str](), set[str](), 0
    for post in found.each(filter(dated, world.all(Post))):
        places[post.key] = post.t
        comments += len(post.comments)
        for stranger in sorted({comment.character for comment in post.comments} - {post.character}):
            if stranger not in acquaintances(request, post.character):
                found.add(f"{post.key} has a comment of {stranger}, whom its author does not know", post.key)
        if post.in_reply_to and not post.deleted_reason:
            username, display_name = people.get(author_of(post.in_reply_to), ("", ""))
            named = username in post.mentions or f"@{username}" in post.content or display_name in post.content.casefold()
            replies[post.key] = post.in_reply_to
            if not named:
                silent.add(post.key)
    known = {key: acquaintances(request, key) for key in {author_of(reply) for reply in replies}}
    for key, to in replies.items():
        if problem := _wrong(key, places, replies, known[author_of(key)]):
            found.add(f"{key} replies to {to}, {problem}", key)
        elif key in silent:
            found.warn(f"{key} replies to {to} and does not name its author", key)
    share = len(replies) / max(1, found.looked_at)
    distances = [places[key] - places[to] for key, to in replies.items() if to in places]
    found.figures |= {
        "comments": comments,
        "replies": len(replies),
        "share_of_replies": round(share, 3),
        "distance": median(distances or [0]),
    }
    found.remark = f"{len(replies)} replies" if found.looked_at else BEFORE_TIMELINE
    if found.looked_at >= _REPLIES_FROM and request.users_count > 1 and share < _LEAST_REPLIES:
        found.warn(f"{len(replies)} of {found.looked_at} posts reply to another one")


def acquaintances(request: WorldRequest, person: str) -> dict[str, social.SeededRelation]:
    ties = social.acquaintances(request.seed, request.users_count, character_index(person), request.size.former)
    return {character_key(tie.index): tie for tie in ties}


def _wrong(reply: str, places: dict[str, int], replies: dict[str, str], known: Container[str]) -> str:
    """What is wrong about a reply, or ''. ``replies``: the post that each of them answers."""
    if replies[reply] not in places:
        return "which is not there"
    if places[replies[reply]] >= places[reply]:
        return "which comes later"
    if author_of(replies[reply]) not in known:
        return "whose author they do not know"
    chain, length = reply, 1
    while chain in replies and length <= LONGEST_CHAIN:
        chain, length = replies[chain], length + 1
    return f"in a chain of more than {LONGEST_CHAIN}" if length > LONGEST_CHAIN else ""


@check("posts", "ideas and posts, none ahead of its time")
def no_later_event(world: World, found: CheckFinding) -> None:
    """No post, comment or idea names an event of the calendar that has not happened by then, unless the world's description tells
    of it, too. Names of one word are not looked for: a text may hold them by chance.
    """
    later = later_events(world.description)
    briefs = ((brief, "the idea of ", brief.idea) for brief in world.all(PostBrief))
    posts = ((post, "", "\n".join(post.texts)) for post in world.all(Post))
    for what in (briefs, posts):
        for document, of, text in what:
            if dated(document):
                found.looked_at += 1
                for name in later(text, document.after):
                    found.warn(f"{of}{document.key} names “{name}”, which has not happened then", document.key)
    found.remark = "" if found.looked_at else BEFORE_TIMELINE
