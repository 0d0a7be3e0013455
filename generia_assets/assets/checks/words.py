"""Checks of wording: the user's wishes show, lengths differ, and no opening or phrase gives a template away. All are warnings."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice

from generia_assets.assets.checks.finding import CheckFinding, World, check
from generia_assets.assets.checks.measures import frequent_words, openings, phrases, prose, repeated_phrases, shows, stems, words
from generia_assets.assets.checks.plan import BEFORE_TIMELINE
from generia_assets.content.documents import Character, Post

_MOST_SILENT = 2 / 3
_SILENT_FROM = 5
"""Posts from which on the share of those without a word of their wish is judged."""
_LONGEST_MEAN = 56
_SHORT, _LONG = 20, 80
"""Words of a short and of a long post."""
_LEAST_SHORT = 0.12
_LENGTHS_FROM, _LONG_FROM = 20, 50
"""Posts from which on their lengths are judged, and whether there are long ones: by the plan about one post in eight is."""
_PROFILES = 300
"""People whose profiles are compared, the first ones: a fifth of them means as much as a fifth of all."""
_PROFILES_FROM = 5
PROFILE_FIELDS = ("personality", "background_story", "bio", "secret")


def _language(world: World) -> frozenset[str]:
    return frequent_words(world.description.user_preferences.language)


def _written(world: World) -> Iterator[Post]:
    """The posts without placeholders, which another check counts."""
    return (post for post in world.all(Post) if not post.deleted_reason)


@check(
    "posts",
    "posts with a wish",
    description=f"In a third of the posts at least, a word begins like a word of the post's wish. Judged from {_SILENT_FROM} "
    "posts on.",
)
def wishes_show(world: World, found: CheckFinding) -> None:
    """A post shows its wish when a word of it begins like a word of the wish; what stands in brackets behind it is an example."""
    silent, frequent = list[str](), _language(world)
    wanted = dict[str, tuple[str, ...]]()
    for post in _written(world):
        if stem := wanted.setdefault(post.wish, stems(post.wish.partition(" (")[0], frequent)):
            found.looked_at += 1
            if not shows(f"{post.content} {' '.join(post.hashtags)}", stem):
                silent.append(post.key)
    share = len(silent) / max(1, found.looked_at)
    found.figures["share_without_a_word_of_the_wish"] = round(share, 3)
    found.remark = f"{len(silent)} show no word of their wish" if found.looked_at else BEFORE_TIMELINE
    if found.looked_at >= _SILENT_FROM and share > _MOST_SILENT:
        for key in silent:
            found.warn(f"{key} shows no word of its wish", key)


@check(
    "posts",
    "posts",
    description=f"Posts have {_LONGEST_MEAN} words or less on average, one in eight fewer than {_SHORT} (from {_LENGTHS_FROM} "
    f"posts on) and some more than {_LONG} (from {_LONG_FROM} on). Two letters of a script without spaces count as a word.",
)
def post_lengths(world: World, found: CheckFinding) -> None:
    total, short, long_ = 0, 0, 0
    longest = (0, "")
    for post in found.each(_written(world)):
        count = len(words(post.content))
        total, short, long_ = total + count, short + (count < _SHORT), long_ + (count > _LONG)
        longest = max(longest, (count, post.key))
    mean = total / max(1, found.looked_at)
    found.figures |= {"mean_words": round(mean, 1), "under_20_words": short, "over_80_words": long_}
    found.remark = f"{mean:.0f} words on average, {short} under {_SHORT}, {long_} over {_LONG}"
    if found.looked_at >= _LENGTHS_FROM:
        if mean > _LONGEST_MEAN:
            found.warn(f"{mean:.0f} words on average; the longest is {longest[1]} with {longest[0]}", longest[1])
        if short < _LEAST_SHORT * found.looked_at:
            found.warn(f"{short} of {found.looked_at} posts have fewer than {_SHORT} words")
        if found.looked_at >= _LONG_FROM and not long_:
            found.warn(f"no post has more than {_LONG} words")


@check("posts", "posts that begin differently")
def post_openings(world: World, found: CheckFinding) -> None:
    """Not more than a fifth of the posts begin with the same word (half of them with a very frequent one), not more than one in a
    hundred with the same four words; three and two of them may in any world.
    """
    texts = ((post.key, post.content) for post in _written(world))
    found.looked_at = _add_openings(found, texts, _language(world), "posts")


def _add_openings(found: CheckFinding, texts: Iterable[tuple[str, str]], frequent: frozenset[str], what: str) -> int:
    """Warn of the openings of these texts. Returns how many have words."""
    begun, repeated = openings(texts, frequent)
    for opening, count, key in repeated:
        found.warn(f"{count} of {begun} {what} begin with “{opening}”", key)
    return begun


@check(
    "characters",
    "profiles without a template",
    description="The texts of a field of all profiles do not begin alike (as for posts), and no four words stand in more than a "
    "fifth of them and in more than three, unless they are the world's own. Judged from "
    f"{_PROFILES_FROM} people on; of {_PROFILES} at most.",
)
def profiles_differ(world: World, found: CheckFinding) -> None:
    """Each field by itself: openings and phrases that many profiles share."""
    frequent, texts = _language(world), defaultdict[str, dict[str, str]](dict)
    for person in islice(world.all(Character), _PROFILES):
        if person.personality:  # else moderation refused all but the concept
            found.looked_at += 1
            for field in PROFILE_FIELDS:
                texts[field][person.key] = getattr(person, field)
    if found.looked_at < _PROFILES_FROM:
        found.remark = f"too few to compare: judged from {_PROFILES_FROM} people on"
        return
    own = frozenset(phrases(prose(world.description))).union(phrases(world.request.user_prompt))
    for field, of in texts.items():
        _add_openings(found, of.items(), frequent, f"texts in {field}")
        for phrase, count, key in repeated_phrases(of, own, frequent):
            found.warn(f"“{phrase}” stands in {count} of {found.looked_at} texts in {field}", key)
