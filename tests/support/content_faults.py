"""Faults of content for a finished world's documents and requests, at least one for each asset check of content."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from generia_assets.catalog import ASSETS
from generia_assets.content import social
from generia_assets.content.keys import character_key
from tests.support.checked_world import WORLD, change, comment_on, first
from tests.support.worlds_in_process import Worlds

PEOPLE, POSTS = 6, 24
"""Of the world: enough that everything but long posts and returned mentions is judged."""


def everywhere(worlds: Worlds, asset: str, values: dict[str, Any], **of: Any) -> None:
    """Change all documents of an asset, or some of them."""
    worlds.database[ASSETS[asset].collection].update_many({"world_id": WORLD, **of}, {"$set": values})


def in_order(worlds: Worlds, asset: str = "posts") -> list[Any]:
    """The asset's documents in the order of the world."""
    return sorted(worlds.documents(asset, WORLD), key=lambda document: document.t)


def ties(worlds: Worlds) -> list[tuple[str, str, social.SeededRelation]]:
    """Both sides of every relation of the world: whose it is, with whom, and the relation."""
    request = first(worlds, "world_request")
    return [
        (character_key(index), character_key(tie.index), tie)
        for index in range(PEOPLE)
        for tie in social.acquaintances(request.seed, PEOPLE, index)
    ]


def a_reply(worlds: Worlds) -> Any:
    return next(post for post in in_order(worlds) if post.in_reply_to)


def last_event(worlds: Worlds) -> str:
    """The calendar's last event, with a name that does not occur by chance."""
    name = "The Plum Inspection of Saint Otto"
    last = len(first(worlds, "world_description").calendar) - 1
    worlds.database["world_parameters"].update_one({"_id": WORLD}, {"$set": {f"calendar.{last}.name": name}})
    return name


def wish_of_another_world(worlds: Worlds) -> str:
    change(worlds, "post_briefs", "c0000-p0000", {"wish": "a town of umbrellas"})
    return "c0000-p0000 has the wish “a town of umbrellas”"


def wish_dealt_too_often(worlds: Worlds) -> str:
    wishes = sorted({brief.wish for brief in worlds.documents("post_briefs", WORLD)})
    everywhere(worlds, "post_briefs", {"wish": wishes[0]}, wish=wishes[1])
    return f"and “{wishes[1]}” to 0"


def changed_request(worlds: Worlds, key: str, change: Callable[[str], str]) -> None:
    """Change the recorded request of a post."""
    history = worlds.database["api_requests_history"]
    row = history.find_one({"world_id": WORLD, "request_type": "post", "labels.key": key})
    assert row is not None
    system_and_item = [row["request_data"]["parts"][0], change(row["request_data"]["parts"][1])]
    history.update_one({"_id": row["_id"]}, {"$set": {"request_data.parts": system_and_item}})


def request_without_its_wish(worlds: Worlds) -> str:
    key = first(worlds, "posts").key
    changed_request(worlds, key, lambda item: item.replace("\nWish: ", "\nNot: "))
    return f"the request of {key} does not say its wish"


def request_ahead_of_its_time(worlds: Worlds) -> str:
    event, key = last_event(worlds), in_order(worlds)[0].key
    changed_request(worlds, key, lambda item: f"{item}\nIt was before “{event}”.")
    return f"the request of {key} tells of “{event}”"


def request_with_a_tie_ahead_of_its_time(worlds: Worlds) -> str:
    event, key = last_event(worlds), in_order(worlds)[0].key
    tie = f"<acquaintances-0a1b2c3d>\n1. Somebody. Between them: easy; it changed at “{event}”.\n</acquaintances-0a1b2c3d>"
    changed_request(worlds, key, lambda item: f"{item}\n{tie}")
    return f"the request of {key} tells of “{event}”"


def one_post_each(worlds: Worlds) -> str:
    everywhere(worlds, "character_briefs", {"posts_count": 1})
    return f"{PEOPLE} of {PEOPLE} people have one post only"


def one_place_twice(worlds: Worlds) -> str:
    one, other = in_order(worlds, "post_briefs")[:2]
    change(worlds, "post_briefs", other.key, {"t": one.t})
    return "has the place 0 of "


def published_too_early(worlds: Worlds) -> str:
    one, other = in_order(worlds, "post_images")[3:5]
    change(worlds, "post_images", other.key, {"published_at": first(worlds, "world_request").created_at})
    return f"{other.key} was published before {one.key}"


def another_place_when_published(worlds: Worlds) -> str:
    image = in_order(worlds, "post_images")[3]
    change(worlds, "post_images", image.key, {"t": 2})
    return f"{image.key} is published at the place 2, its idea has 3"


def reply_to_nothing(worlds: Worlds) -> str:
    key = a_reply(worlds).key
    change(worlds, "posts", key, {"in_reply_to": "c0001-p0999"})
    return f"{key} replies to c0001-p0999, which is not there"


def reply_to_what_comes_later(worlds: Worlds) -> str:
    key, last = a_reply(worlds).key, in_order(worlds)[-1].key
    change(worlds, "posts", key, {"in_reply_to": last})
    return f"{key} replies to {last}, which comes later"


def reply_to_a_stranger(worlds: Worlds) -> str:
    known = {(one, other) for one, other, _ in ties(worlds)}
    posts = in_order(worlds)
    other, post = next(
        (earlier, later)
        for place, later in enumerate(posts)
        for earlier in posts[:place]
        if earlier.character != later.character and (later.character, earlier.character) not in known
    )
    change(worlds, "posts", post.key, {"in_reply_to": other.key})
    return f"{post.key} replies to {other.key}, whose author they do not know"


def comment_of_a_stranger(worlds: Worlds) -> str:
    known = {(one, other) for one, other, _ in ties(worlds)}
    posts = in_order(worlds)
    post, stranger = next(
        (post, other)
        for post in posts
        for other in posts
        if other.character != post.character and (post.character, other.character) not in known
    )
    comment_on(worlds, post, "Who are you?", character=stranger.character, username=stranger.username)
    return f"{post.key} has a comment of {stranger.character}, whom its author does not know"


def reply_that_names_nobody(worlds: Worlds) -> str:
    key = a_reply(worlds).key
    change(worlds, "posts", key, {"content": "Not on a Tuesday.", "mentions": []})
    return f"{key} replies to "


def no_replies(worlds: Worlds) -> str:
    everywhere(worlds, "posts", {"in_reply_to": ""})
    return f"0 of {POSTS} posts reply"


def post_ahead_of_its_time(worlds: Worlds) -> str:
    event, key = last_event(worlds), in_order(worlds)[0].key
    change(worlds, "posts", key, {"content": f"Slept through {event.upper()}!"})
    return f"{key} names “{event}”"


def comment_ahead_of_its_time(worlds: Worlds) -> str:
    event, post = last_event(worlds), in_order(worlds)[0]
    comment_on(worlds, post, f"Slept through {event}!")
    return f"{post.key} names “{event}”"


def idea_ahead_of_its_time(worlds: Worlds) -> str:
    event, key = last_event(worlds), in_order(worlds)[0].key
    change(worlds, "post_briefs", key, {"idea": f"Sleeps through {event}."})
    return f"the idea of {key} names “{event}”"


def relation_with_a_stranger(worlds: Worlds) -> str:
    known = {(one, other) for one, other, _ in ties(worlds)}
    people = worlds.documents("characters", WORLD)
    one, other = next((a, b) for a in people for b in people if a is not b and (a.key, b.key) not in known and a.relationships)
    change(worlds, "characters", one.key, {"relationships.0.username": other.username})
    return f"{one.key} tells of {other.key}, whom they do not know"


def relation_of_one_side(worlds: Worlds) -> str:
    one, other, _ = ties(worlds)[0]
    change(worlds, "characters", one, {"relationships": []})
    return f"{one} does not tell of {other}"


def one_word_for_all_relations(worlds: Worlds) -> str:
    for person in worlds.documents("characters", WORLD):
        relations = [{**tie.model_dump(), "relationship_type": "friend"} for tie in person.relationships]
        worlds.database["characters"].update_one({"world_id": WORLD, "key": person.key}, {"$set": {"relationships": relations}})
    return "relations are called “friend”"


def ages_that_cannot_be(worlds: Worlds) -> str:
    one, other, tie = next(
        found for found in ties(worlds) if found[2].is_first and (found[2].kind.older_by or found[2].kind.both_from)
    )
    change(worlds, "character_briefs", one, {"years": 3})
    change(worlds, "character_briefs", other, {"years": 300})
    return tie.sentence(one, other)


def one_kind_for_all(worlds: Worlds) -> str:
    everywhere(worlds, "character_briefs", {"kind": "a cloud (it)"})
    return f"all {PEOPLE} people are “a cloud (it)”"


def nobody_answers(worlds: Worlds) -> str:
    change(worlds, "posts", first(worlds, "posts").key, {"mentions": [f"nobody_{number}" for number in range(100)]})
    return "pairs of people who name each other do so both ways"


def says(content: str) -> Callable[[Worlds], str]:
    def plant(worlds: Worlds) -> str:
        for number, post in enumerate(worlds.documents("posts", WORLD)):
            change(worlds, "posts", post.key, {"content": content.format(number), "hashtags": [str(number)]})
        return ""

    return plant


def one_secret_for_all(worlds: Worlds) -> str:
    for number, person in enumerate(worlds.documents("characters", WORLD)):
        text = f"Number {number} once stole a plum and would be hurt if anybody knew about it."
        change(worlds, "characters", person.key, {"secret": text})
    return f"stands in {PEOPLE} of {PEOPLE} texts in secret"


def personalities_that_begin_alike(worlds: Worlds) -> str:
    for person in worlds.documents("characters", WORLD):
        change(worlds, "characters", person.key, {"personality": f"Tired, {person.personality}"})
    return f"{PEOPLE} of {PEOPLE} texts in personality begin with “tired”"


PERSON, POST = "job rerun_character with character: c000", "job rerun_post with post: c00"
IMAGE, IDEA = "materialize post_images with keys: [c00", "materialize post_briefs, posts, post_images with keys: [c0000"
FAULTS: list[tuple[str, str, str, Callable[[Worlds], str], str]] = [
    ("post_briefs", "wishes_dealt", "ERROR", wish_of_another_world, IDEA),
    ("post_briefs", "wishes_dealt", "ERROR", wish_dealt_too_often, "the wish “"),
    ("posts", "requests_keep_the_plan", "ERROR", request_without_its_wish, POST),
    ("posts", "requests_keep_the_plan", "ERROR", request_ahead_of_its_time, POST),
    ("posts", "requests_keep_the_plan", "ERROR", request_with_a_tie_ahead_of_its_time, POST),
    ("character_briefs", "posts_shared_out", "WARN", one_post_each, "@"),
    ("post_images", "timeline_kept", "ERROR", one_place_twice, IMAGE),
    ("post_images", "timeline_kept", "ERROR", published_too_early, IMAGE),
    ("post_images", "timeline_kept", "ERROR", another_place_when_published, IMAGE),
    ("posts", "replies_fit", "ERROR", reply_to_nothing, POST),
    ("posts", "replies_fit", "ERROR", reply_to_what_comes_later, POST),
    ("posts", "replies_fit", "ERROR", reply_to_a_stranger, POST),
    ("posts", "replies_fit", "ERROR", comment_of_a_stranger, POST),
    ("posts", "replies_fit", "WARN", reply_that_names_nobody, POST),
    ("posts", "replies_fit", "WARN", no_replies, "1 wrong"),
    ("posts", "no_later_event", "WARN", post_ahead_of_its_time, POST),
    ("posts", "no_later_event", "WARN", comment_ahead_of_its_time, POST),
    ("posts", "no_later_event", "WARN", idea_ahead_of_its_time, POST),
    ("characters", "ties_agree", "ERROR", relation_with_a_stranger, PERSON),
    ("characters", "ties_agree", "WARN", relation_of_one_side, PERSON),
    ("characters", "ties_agree", "WARN", one_word_for_all_relations, "relations are called"),
    ("character_briefs", "ages_fit", "ERROR", ages_that_cannot_be, PERSON),
    ("character_briefs", "ages_fit", "WARN", one_kind_for_all, "a cloud"),
    ("posts", "mentions_returned", "WARN", nobody_answers, "pairs of people who name each other"),
    ("posts", "wishes_show", "WARN", says("Nothing in number {}."), POST),
    ("posts", "post_lengths", "WARN", says("word " * 60 + "{}"), f"0 of {POSTS} posts have fewer than 20 words"),
    ("posts", "post_openings", "WARN", says("Tired of this. Number {}."), "posts begin with “tired of this number”"),
    ("characters", "profiles_differ", "WARN", one_secret_for_all, PERSON),
    ("characters", "profiles_differ", "WARN", personalities_that_begin_alike, PERSON),
]
