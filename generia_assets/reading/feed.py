"""The feed of a world: its published posts, the newest first, in pages; one person's posts, from the latest in their life to the
first.

Here: posts put together with their pictures and authors. A page is asked for by the key of the post it goes on after, so that posts
which arrive meanwhile move nothing. Not here: where a post came from (traces.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from generia_assets.content.documents import Media, Post, PostImage
from generia_assets.reading.people import PersonCard, cards_by_key, keys_by_username
from generia_assets.reading.shelves import Shelf, Shelves

POSTS_PAGE = 50
_NEWEST_FIRST = (("published_at", -1), ("key", -1))


class FeedPost(BaseModel):
    """A published post as a feed shows it. ``mentions``: keys by username, of those who can be linked to."""

    model_config = ConfigDict(frozen=True)

    key: str
    post_id: str
    author: PersonCard
    content: str
    hashtags: tuple[str, ...]
    mentions: dict[str, str]
    mood: str = ""
    location: str = ""
    moment: str = ""
    time_of_day: str = ""
    image: Media | None = None
    described: str = ""
    """What the picture shows, in English; '' where that is not known."""
    deleted: bool = False
    published_at: datetime | None = None


class FeedPage(BaseModel):
    """Some posts in order, and the key to go on after (None: these are the last)."""

    model_config = ConfigDict(frozen=True)

    posts: tuple[FeedPost, ...]
    before: str | None


def feed_page(shelves: Shelves, *, before: str = "", limit: int = POSTS_PAGE) -> FeedPage:
    """The posts that were published before the one with this key; '' begins with the newest. An unknown key begins there too.

    Within the page each person's own posts are in the order of their life.
    """
    shelf = shelves["post_images"]
    found = shelf.find(PostImage, _published_before(shelf, before), sort=_NEWEST_FIRST, limit=limit + 1)
    page = _page(shelves, found, limit)
    return page.model_copy(update={"posts": _in_order_of_life(page.posts)})


def posts_of(shelves: Shelves, character: str, *, before: str = "", limit: int = POSTS_PAGE) -> FeedPage:
    """The posts of the person with this key, in the order of their life, the latest first."""
    keys = {"$gte": f"{character}-", "$lt": before or f"{character}-\uffff"}
    found = shelves["post_images"].find(PostImage, {"key": keys}, sort=(("key", -1),), limit=limit + 1)
    return _page(shelves, found, limit)


def post(shelves: Shelves, key: str) -> FeedPost | None:
    """The published post with this key, or None."""
    found = shelves["post_images"].one(PostImage, key)
    return next(iter(_posts(shelves, [found])), None) if found else None


def posts_by_key(shelves: Shelves, keys: Sequence[str]) -> list[FeedPost]:
    """The published posts with these keys, in this order; those that are not there are left out."""
    found = shelves["post_images"].by_key(PostImage, keys)
    return _posts(shelves, [found[key] for key in keys if key in found])


def _published_before(shelf: Shelf, key: str) -> dict[str, object]:
    last = shelf.one(PostImage, key) if key else None
    if last is None:
        return {}
    moment = shelf.moment(last.published_at)
    return {"$or": [{"published_at": {"$lt": moment}}, {"published_at": moment, "key": {"$lt": key}}]}


def _page(shelves: Shelves, found: list[PostImage], limit: int) -> FeedPage:
    shown = found[:limit]
    return FeedPage(posts=tuple(_posts(shelves, shown)), before=shown[-1].key if len(found) > limit else None)


def _in_order_of_life(posts: Sequence[FeedPost]) -> tuple[FeedPost, ...]:
    """The posts with each person's own in the order of their life, the latest first: many are made at once, and some overtake."""
    latest_first = {
        author: iter(sorted((post for post in posts if post.author.key == author), key=lambda post: post.key, reverse=True))
        for author in {post.author.key for post in posts}
    }
    return tuple(next(latest_first[post.author.key]) for post in posts)


def _posts(shelves: Shelves, published: Sequence[PostImage]) -> list[FeedPost]:
    texts = shelves["posts"].by_key(Post, [one.key for one in published])
    authors = cards_by_key(shelves, {one.character for one in published})
    mentions = keys_by_username(shelves, {name for text in texts.values() for name in text.mentions})
    posts = []
    for one in published:
        text, author = texts.get(one.key), authors.get(one.character)
        if text is None or author is None:  # being replaced at this moment: there again in the next look
            continue
        posts.append(_post(one, text, author, mentions))
    return posts


def _post(published: PostImage, text: Post, author: PersonCard, mentions: dict[str, str]) -> FeedPost:
    return FeedPost(
        key=published.key,
        post_id=published.post_id,
        author=author,
        content=text.content,
        hashtags=text.hashtags,
        mentions={name: mentions[name] for name in text.mentions if name in mentions},
        mood=text.mood,
        location=text.location,
        moment=text.moment,
        time_of_day=text.time_of_day,
        image=published.image,
        described=text.image_prompt,
        deleted=bool(text.deleted_reason),
        published_at=published.published_at,
    )
