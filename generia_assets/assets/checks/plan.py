"""Checks of the program's plan: wishes, shares of the posts, the content of a post's request.

Here: checks of the world's documents and of requests that are still stored. Not here: the model's texts (words.py, timeline.py).
"""

import re
from collections import Counter
from collections.abc import Mapping

from generia_assets.assets.checks.finding import WARN, CheckFinding, World, check
from generia_assets.assets.checks.measures import searchable
from generia_assets.assets.checks.timeline import BEFORE_TIMELINE, LaterEvents, dated
from generia_assets.content.documents import CharacterBrief, PostBrief
from generia_assets.content.keys import character_index
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


@check("post_briefs", "posts with a wish, evenly distributed")
def wishes_dealt(world: World) -> CheckFinding:
    """Every post has one idea of the user's sentence, and none comes twice before each came once."""
    found, listed = CheckFinding(), Counter(wishes_of(world.request, world.description))
    counts = Counter(dict.fromkeys(listed, 0))
    for brief in found.each(filter(dated, world.all(PostBrief))):
        if brief.wish in counts:
            counts[brief.wish] += 1
        else:
            found.add(f"{brief.key} has the wish “{brief.wish}”, which is none of the world's", brief.key)
    if not found.looked_at:
        found.remark = BEFORE_TIMELINE
        return found
    missing = world.request.posts_count - sum(counts.values())
    by_use = sorted(counts, key=lambda wish: counts[wish] / listed[wish])  # an idea may be listed twice
    least, most = by_use[0], by_use[-1]
    if counts[most] / listed[most] - counts[least] / listed[least] > 1 + missing:
        found.add(f"the wish “{most}” is dealt to {counts[most]} posts and “{least}” to {counts[least]}")
    found.figures |= {"wishes": len(counts), "fewest_posts": counts[least], "most_posts": counts[most]}
    return found


@check(
    "character_briefs",
    "people",
    severity=WARN,
    description=f"At most {_ONE_POST_SHARE:.0%} of the people have one post only, where there are two a person. The seed decides "
    "it: another order has other shares. A single one is always allowed.",
)
def posts_shared_out(world: World) -> CheckFinding:
    found, alone = CheckFinding(), list[str]()
    extended = shares(world.request.seed, *world.request.size) if world.request.former_sizes else ()
    for brief in found.each(world.all(CharacterBrief)):
        if (extended[character_index(brief.key)] if extended else brief.posts_count) == 1:
            alone.append(f"@{brief.username}")
    share = len(alone) / max(1, found.looked_at)
    found.figures["share_of_one_post_people"] = round(share, 3)
    found.remark = f"{len(alone)} with one post"
    # One such person of three or four is normal in a small world.
    if world.request.posts_count >= 2 * world.request.users_count and len(alone) > 1 and share > _ONE_POST_SHARE:
        found.add(f"{len(alone)} of {found.looked_at} people have one post only: {', '.join(alone[:3])}")
    return found


@check(
    "posts",
    "requests for posts as planned",
    description=f"What the program asked for a post says the post's wish, and names no event of the calendar that happens later. "
    f"The latest {_REQUESTS} requests are looked at, while they are kept.",
)
def requests_keep_the_plan(world: World) -> CheckFinding:
    found, later = CheckFinding(), LaterEvents(world.description)
    asked = _latest_requests(world)
    for brief in found.each(brief for brief in world.all(PostBrief) if dated(brief) and brief.key in asked):
        item = asked[brief.key]
        wish = WISH.search(item)
        if brief.wish and (wish is None or searchable(brief.wish) not in searchable(wish[1])):
            found.add(f"the request of {brief.key} does not say its wish “{brief.wish}”", brief.key)
        text = "\n".join((_BY_THE_MODEL.sub(" ", item), *_CHANGED_AT.findall(item)))
        for name in later.named_in(text, brief.after):
            found.add(f"the request of {brief.key} tells of “{name}”, which has not happened then", brief.key)
    if not found.looked_at:
        found.remark = "none is kept any more, or the world was made before there was a timeline"
    return found


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


CHECKS = [wishes_dealt, requests_keep_the_plan, posts_shared_out]
