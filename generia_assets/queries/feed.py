"""The feed of a world: its published posts in the order of the world, in pages; one person's posts; the thread around a post.

Here: posts joined with their images, their authors, the posts they reply to and their replies. A page is requested by the key of
    the post before it, so that new posts do not shift pages. Not here: the origin of a post (traces.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from generia_assets.content.documents import FrozenModel, Media, Post, PostImage
from generia_assets.content.keys import author_of
from generia_assets.durable.events.events import PostPublished
from generia_assets.queries.asset_views import AssetView, AssetViews
from generia_assets.queries.people import PersonCard, cards_by_key, keys_by_username

POSTS_PAGE = 50


class FeedOrder(StrEnum):
    """The order of posts; the reader chooses."""

    NEWEST = "newest"
    OLDEST = "oldest"

    @classmethod
    def usual(cls, *, growing: bool) -> FeedOrder:
        """The order for a reader who chose none: a finished world is read from its beginning, a growing one shows its news."""
        return cls.NEWEST if growing else cls.OLDEST

    @property
    def direction(self) -> int:
        return -1 if self is FeedOrder.NEWEST else 1

    @property
    def other(self) -> FeedOrder:
        return FeedOrder.OLDEST if self is FeedOrder.NEWEST else FeedOrder.NEWEST


class Excerpt(FrozenModel):
    """A post beside another one: quoted above its reply, or among the replies below it.

    ``content`` of a quote is the text that was replied to; ``rewritten``: that post has another text now.
    """

    key: str
    author: PersonCard
    content: str
    rewritten: bool = False
    t: int = 0


class FeedPost(FrozenModel):
    """A published post as a feed shows it. ``mentions``: keys by username, of those who can be linked to."""

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
    """What the image shows, in English; '' where that is not known."""
    deleted: bool = False
    t: int = 0
    in_reply_to: Excerpt | None = None
    replies: tuple[Excerpt, ...] = ()
    """The published posts that reply to it, in the order of the world."""
    comments: tuple[Excerpt, ...] = ()
    """What people say below it, as far as they are there. Their key is that of the post."""

    @property
    def tags(self) -> tuple[str, ...]:
        """The hashtags that are shown, without #."""
        return () if self.deleted else tuple(filter(None, (tag.lstrip("#") for tag in self.hashtags)))


class FeedPage(FrozenModel):
    """Some posts in order, and the key to go on after (None: these are the last)."""

    posts: tuple[FeedPost, ...]
    after: str | None


class Thread(FrozenModel):
    """The thread of a post: the posts above it, of which each replies to the one before it, and all replies below it."""

    above: tuple[Excerpt, ...] = ()
    below: tuple[FeedPost, ...] = ()


def feed_page(
    views: AssetViews,
    order: FeedOrder = FeedOrder.NEWEST,
    *,
    keys: Collection[str] | None = None,
    after: str = "",
    limit: int = POSTS_PAGE,
) -> FeedPage:
    """The posts after the one with this key; '' or an unknown key begins with the first. ``keys``: of these posts only.

    In a world without a timeline (of an earlier version) posts are in order of publication, and within a page each person's own in
    the order of their keys.
    """
    view = views["post_images"]
    wanted = _beyond(view, after, order) | ({} if keys is None else {"key": {"$in": list(keys)}})
    found = list(view.find(PostImage, wanted, sort=_sort(order), limit=limit + 1))
    page = _page(views, found, limit)
    return page.model_copy(update={"posts": _by_author_in_order(page.posts, order)})


def posts_of(views: AssetViews, character: str, order: FeedOrder, *, after: str) -> FeedPage:
    """The posts of the person with this key, in the order of their keys or the reverse."""
    keys = {"$gt": f"{character}-", "$lt": f"{character}-\uffff"}
    if after:
        keys["$lt" if order is FeedOrder.NEWEST else "$gt"] = after
    found = list(views["post_images"].find(PostImage, {"key": keys}, sort=(("key", order.direction),), limit=POSTS_PAGE + 1))
    return _page(views, found, POSTS_PAGE)


def post(views: AssetViews, key: str) -> FeedPost | None:
    return next(iter(posts_by_key(views, [key])), None)


def next_to(views: AssetViews, key: str, order: FeedOrder) -> str:
    """The key of the post that follows the one with this key in this order; '' after the last."""
    view = views["post_images"]
    return next((one.key for one in view.find(PostImage, _beyond(view, key, order), sort=_sort(order), limit=1)), "")


def posts_by_key(views: AssetViews, keys: Collection[str]) -> list[FeedPost]:
    """The published posts with these keys, in order of their keys; those that are not there are left out."""
    found = views["post_images"].by_key(PostImage, keys)
    return _posts(views, [found[key] for key in sorted(found)])


def commented_by(views: AssetViews, people: Collection[str]) -> list[FeedPost]:
    """The published posts on which these people comment."""
    found = views["posts"].find(Post, {"comments.character": {"$in": list(people)}}) if people else ()
    return posts_by_key(views, [post.key for post in found])


def threads(views: AssetViews, posts: Iterable[FeedPost]) -> dict[str, Thread]:
    """The threads of these posts, by key. A few queries for all of them: threads are short (content/timeline.py)."""
    known = {one.key: one for one in posts}
    wanted = list(known)
    missing = _neighbours(known.values())
    while missing:
        more = posts_by_key(views, missing)
        known |= {one.key: one for one in more}
        missing = _neighbours(more) - known.keys()
    return {key: Thread(above=_above(known, key), below=_below(known, key)) for key in wanted}


def _quotes(views: AssetViews, asked: Mapping[str, tuple[str, str]]) -> dict[str, Excerpt]:
    """The post that each of these posts replies to, by key; ``asked``: by key the post it replies to, and its text then."""
    present = views["posts"].by_key(Post, {key for key, _ in asked.values()})
    authors = cards_by_key(views, {author_of(key) for key, _ in asked.values()})
    found = {}
    for reply, (key, quote) in asked.items():
        if (author := authors.get(author_of(key))) is not None:
            now, t = (present[key].content, present[key].t) if key in present else (quote, 0)
            found[reply] = Excerpt(key=key, author=author, content=quote or now, rewritten=quote not in ("", now), t=t)
    return found


def _replies(views: AssetViews, keys: Collection[str]) -> dict[str, tuple[Excerpt, ...]]:
    """The published posts that reply to each of these, by its key, in the order of the world."""
    texts = list(views["posts"].find(Post, {"in_reply_to": {"$in": sorted(set(keys))}})) if keys else []
    published = views["post_images"].by_key(PostImage, [text.key for text in texts])
    authors = cards_by_key(views, {text.character for text in texts})
    found: dict[str, tuple[Excerpt, ...]] = {}
    for text in sorted(texts, key=lambda text: (text.t, text.key)):
        author = authors.get(text.character)
        if text.key in published and author is not None:
            excerpt = Excerpt(key=text.key, author=author, content=text.content)
            found[text.in_reply_to] = (*found.get(text.in_reply_to, ()), excerpt)
    return found


def _sort(order: FeedOrder) -> tuple[tuple[str, int], ...]:
    return tuple((name, order.direction) for name in ("t", "published_at", "key"))


def _beyond(view: AssetView, key: str, order: FeedOrder) -> dict[str, object]:
    """The condition for posts after the one with this key. MongoDB puts posts without ``t`` before all that have one."""
    last = view.one(PostImage, key) if key else None
    if last is None:
        return {}
    t = last.t if "t" in last.model_fields_set else None
    moment = view.moment(last.published_at)
    further: dict[str, object] | None
    if order is FeedOrder.NEWEST:
        way, further = "$lt", None if t is None else {"$not": {"$gte": t}}
    else:
        way, further = "$gt", {"$ne": None} if t is None else {"$gt": t}
    beside = [{"t": t, "published_at": {way: moment}}, {"t": t, "published_at": moment, "key": {way: key}}]
    return {"$or": beside if further is None else [{"t": further}, *beside]}


def _page(views: AssetViews, found: list[PostImage], limit: int) -> FeedPage:
    shown = found[:limit]
    return FeedPage(posts=tuple(_posts(views, shown)), after=shown[-1].key if len(found) > limit else None)


def _by_author_in_order(posts: Sequence[FeedPost], order: FeedOrder) -> tuple[FeedPost, ...]:
    """The posts with each person's own in the order of their keys: without a timeline some were published out of order."""
    last_first: defaultdict[str, list[FeedPost]] = defaultdict(list)
    for post in sorted(posts, key=lambda post: post.key, reverse=order is FeedOrder.OLDEST):
        last_first[post.author.key].append(post)
    return tuple(last_first[post.author.key].pop() for post in posts)


_SHOWN = {"key", "content", "hashtags", "mood", "location", "moment", "time_of_day"}
"""The fields of a post that a feed shows as they are."""


@dataclass(frozen=True)
class PostContext:
    """What is shown with some posts: linkable people by username, and by key the post that they reply to, their replies and who
    comments on them."""

    people: Mapping[str, str]
    quotes: Mapping[str, Excerpt]
    replies: Mapping[str, tuple[Excerpt, ...]]
    commenting: Mapping[str, PersonCard]

    @classmethod
    def of(cls, views: AssetViews, posts: Collection[Post | PostPublished], *, replied: Collection[str] = ()) -> PostContext:
        """Look it up. ``replied``: keys of other posts whose replies are wanted."""
        return cls(
            keys_by_username(views, {name for post in posts for name in post.mentions}),
            _quotes(views, {post.key: (post.in_reply_to, post.quote) for post in posts if post.in_reply_to}),
            _replies(views, [*(post.key for post in posts), *replied]),
            cards_by_key(views, {comment.character for post in posts for comment in post.comments}),
        )

    def fields(self, post: Post | PostPublished) -> dict[str, Any]:
        """The fields of ``FeedPost`` that its text has, and those that are shown with it."""
        return {
            **post.model_dump(include=_SHOWN),
            "mentions": {name: self.people[name] for name in post.mentions if name in self.people},
            "in_reply_to": self.quotes.get(post.key),
            "replies": self.replies.get(post.key, ()),
            "comments": tuple(
                Excerpt(key=post.key, author=self.commenting[comment.character], content=comment.content)
                for comment in post.comments
                if comment.character in self.commenting
            ),
        }


def _posts(views: AssetViews, published: Sequence[PostImage]) -> list[FeedPost]:
    texts = views["posts"].by_key(Post, [one.key for one in published])
    authors = cards_by_key(views, {one.character for one in published})
    context = PostContext.of(views, texts.values())
    posts = []
    for one in published:
        text, author = texts.get(one.key), authors.get(one.character)
        if text is None or author is None:  # being replaced at this moment
            continue
        own = {"post_id": one.post_id, "t": one.t, "image": one.image, "described": text.image_prompt}
        posts.append(FeedPost(author=author, deleted=bool(text.deleted_reason), **own, **context.fields(text)))
    return posts


def _neighbours(posts: Iterable[FeedPost]) -> set[str]:
    """The keys of the posts that these reply to, or that reply to these."""
    return {one.key for post in posts for one in (post.in_reply_to, *post.replies) if one is not None}


def _above(known: Mapping[str, FeedPost], key: str) -> tuple[Excerpt, ...]:
    above: list[Excerpt] = []
    while key in known and (quoted := known[key].in_reply_to) is not None and quoted not in above:
        above.insert(0, quoted)
        key = quoted.key
    return tuple(above)


def _below(known: Mapping[str, FeedPost], key: str) -> tuple[FeedPost, ...]:
    below: dict[str, FeedPost] = {}
    keys = [key]
    while keys:
        found = [one.key for above in keys for one in known[above].replies if one.key in known and one.key not in below]
        below |= {one: known[one] for one in found}
        keys = found
    return tuple(sorted(below.values(), key=lambda post: (post.t, post.key)))
