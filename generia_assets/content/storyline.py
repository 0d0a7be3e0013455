"""Storylines: the plan of a character's posts, in their order, before the model invents ideas.

Not here: the order of all posts of the world (timeline.py), the forms themselves (data/posts.yaml) and the ideas, which the model
writes. As with the axes, the model may change parts of a plan that do not fit the world.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle, groupby

from generia_assets.content import axes, data_files, seeding, social
from generia_assets.content.data_files import LONGEST_OPENING, MANY_COMMENTS, Length, PictureKind, PostForm
from generia_assets.content.documents import WorldDescription, WorldRequest
from generia_assets.content.keys import character_key, post_key
from generia_assets.content.plot import plot_posts
from generia_assets.content.replies import LONGEST_WAIT
from generia_assets.content.shares import BATCH, Size
from generia_assets.content.timeline import Timeline, events_before, hot_events, stretch, timeline

_HOT_SHARE = 0.95
"""How often a person posts about a hot event, once."""
_EVENT_SHARE = 0.2
"""Share of the other posts that hang on the latest event."""
_LATEST_EVENTS = 3
"""Events, the latest ones, that the posts of an extension hang on: the calendar has no later ones."""
_PARTNER_SHARE = 0.25
"""Share of the posts that name a person, beside the replies."""
ARC_FROM = 6
"""Posts from which on a person has an arc."""
_FEW_WORDS = 12
"""Words up to which a vignette is a remark in passing."""
_ACCOUNT_SHARE = 0.6
"""Share of a person's other posts, those about events left out, that are about what the account is about."""
REPLY, VIGNETTE, STEP, ENDING, ACCOUNT = "reply", "vignette", "news", "ending", "account"
"""The forms of a reply, of a post that is no part of any story, of a step of the plot, of the last post, and of one about what the
account is about."""
ALONE = (ACCOUNT, VIGNETTE)
"""The forms of posts that stand by themselves: their requests have nothing of what others posted, and nothing of the plot."""
_ANSWERS = PostForm(name=REPLY, how="as one types it to somebody one knows")
_STOPS = PostForm(name=ENDING, how="stops just before it is decided; one does not know yet how it goes")
_CONTINUES = PostForm(name=ACCOUNT, how="in the way this person reports what the account is about")
_TELLS = PostForm(name=STEP, how="what has just happened, or is still going on, as one calls it in at the door")
MADE_EARLIER = (
    "this world was made by an earlier version, which drew its plan otherwise; `generia rerun WORLD --part description` makes it "
    "again as ordered"
)
"""The message where a stored world does not fit the plan of this version."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One planned post.

    ``event`` counts the calendar's events, ``partner`` the acquaintances and ``wish`` the world's wishes, all from 1; 0 is none.
    ``t``, ``after``: as in PostBrief. ``reply_to``: key of the post it replies to, or ''. ``later`` counts, from 1, the posts of
    extensions, which come after the calendar and its last label of time, ``moment``; 0: ``moment`` is the post's own label.
    ``comments``: who comments on it, in order, as places among the acquaintances; 0 is the author.
    ``answered``: place among the acquaintances, from 1, of the person who replies first; 0 for none.
    """

    order: int
    t: int
    after: int
    moment: str
    event: int
    wish: int
    partner: int
    reply_to: str
    form: PostForm
    length: Length
    picture: PictureKind
    answered: int = 0
    later: int = 0
    comments: tuple[int, ...] = ()

    @property
    def in_passing(self) -> bool:
        """Whether it is a vignette of few words."""
        return self.form.name == VIGNETTE and self.length.most <= _FEW_WORDS

    @property
    def long_after(self) -> bool:
        """Whether other events, or the end of the calendar, lie between the post and its event."""
        return self.later > 0 or self.event < self.after


@dataclass(frozen=True)
class Storyline:
    """All planned posts of one character in the order of their life, and their arc ('' where there are too few posts).

    An extension adds slots; those that were there, and the arc, stay.
    """

    arc: str
    slots: tuple[Slot, ...]


def moment_of(world: WorldDescription, after: int, gone: float) -> str:
    """The label of time of a post: the one of the latest event's labels that fits the elapsed share (``gone``) of its time."""
    if not after:
        return ""
    event = world.calendar[after - 1]
    days = event.days or (event.moment,)
    return days[min(int(gone * len(days)), len(days) - 1)]


def _events_of(
    rng: random.Random, afters: Sequence[int], others: Sequence[bool], hot: Sequence[int], *, latest_of: int = 1
) -> list[int]:
    """The event each post refers to, 0 for none and for ``others``: replies, vignettes, steps of the plot, the last post and each
    person's first.

    A person posts about a hot event once, in their first free post after it, the latest event first. Other posts refer to one of
    the ``latest_of`` latest events.
    """
    hanging = [0] * len(afters)
    for event in reversed(hot):
        places = zip(afters, hanging, others, strict=True)
        free = next(
            (place for place, (after, taken, other) in enumerate(places) if after >= event and not taken and not other), None
        )
        if free is not None and rng.random() < _HOT_SHARE:
            hanging[free] = event
    latest = [after if rng.random() < _EVENT_SHARE else 0 for after in afters]
    if latest_of > 1:
        latest = [rng.randint(max(1, event - latest_of + 1), event) if event else 0 for event in latest]
    return [0 if other else event or late for event, late, other in zip(hanging, latest, others, strict=True)]


class _Forms:
    """The forms, shuffled: none comes twice before every other that fits came once. Those that did not fit come first next time."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._deck: list[PostForm] = []

    def next(self, length: Length, *, someone: bool) -> PostForm:
        """The next form that fits this length, and whether the post names a person."""
        for _ in range(2):
            for form in self._deck:
                if form.least <= length.most and (someone or not form.needs_someone):
                    self._deck.remove(form)
                    return form
            forms = data_files.post_kinds().forms
            waiting = {form.name for form in self._deck}
            self._deck += [form for form in self._rng.sample(forms, len(forms)) if form.name not in waiting]
        raise ValueError(f"posts.yaml: no form fits {length.words}")  # data_files.py refuses such a file


@lru_cache(maxsize=2048)
def _storyline(seed: int, size: Size, index: int, selves: int, wishes: int, world: WorldDescription) -> Storyline:
    before = Storyline("", ())
    if size.former is not None and index < size.former.people:
        before = _storyline(seed, size.former, index, selves, wishes, world)
    line = timeline(seed, *size)
    if len(before.slots) == line.count_of(index):
        return before
    return _continued(before, seed, size, line, index, selves, wishes, world)


def _continued(
    before: Storyline, seed: int, size: Size, line: Timeline, index: int, selves: int, wishes: int, world: WorldDescription
) -> Storyline:
    """The storyline with the slots that a size adds to those of its former size."""
    kinds, ties = data_files.post_kinds(), social.acquaintances(seed, size.people, index, size.former)
    first, total, events = len(before.slots), line.count_of(index), len(world.calendar)
    is_later = size.former is not None and size.former.posts > 0
    own, drawn_for = axes.self_seed(seed, index, selves), seeding.seed_of(seed, size.extensions)
    rng = seeding.seeded_rng(seeding.seed_of(own, size.extensions), "storyline", index)
    posts = size.calendar_posts
    talker = axes.profile(seed, index, selves).talker
    lengths = {length.words: length for length in kinds.lengths}
    places = [line.t_of(index, order) for order in range(first, total)]
    times = [line.times[t] for t in places]
    afters = [events_before(seed, posts, events, time) for time in times]
    vignettes = [line.vignettes[t] for t in places]
    plot = plot_posts(seed, size, index)
    # Events come from the world's seed: a regenerated person posts about the same ones.
    hanging = _events_of(
        seeding.seeded_rng(drawn_for, "events", index),
        afters,
        [
            first + place == 0 or vignette > 0 or line.replies[t] >= 0 or t == line.ending or t in plot
            for place, (t, vignette) in enumerate(zip(places, vignettes, strict=True))
        ],
        () if is_later else hot_events(seed, posts, events),
        latest_of=_LATEST_EVENTS if is_later else 1,
    )
    forms = _Forms(rng)
    slots: list[Slot] = []
    drawn_lengths: list[str] = []
    for place, t in enumerate(places):
        order = first + place
        replying = _repliers(line, t)
        answered = next((place for place, tie in enumerate(ties, start=1) if tie.index in replying[:1]), 0)
        if t in plot:
            # The step was invented for this company: somebody made again keeps it. It knows nobody of a later batch.
            company, within = seeding.seeded_rng(seed, "plot company", t), index // BATCH * BATCH + BATCH
        else:
            company, within = rng, line.count_of_people
        alone = vignettes[place] or not (order or line.replies[t] >= 0)
        partner, reply_to = (0, "") if alone else _company(company, line, ties, t, answered, within)
        if not drawn_lengths:
            drawn_lengths = rng.sample(talker.lengths, len(talker.lengths))
        if t == line.ending:
            words = axes.balanced_sample(seed, "ending lengths", kinds.ending_lengths, 0)
        elif reply_to:
            words = axes.balanced_sample(seed, "reply lengths", kinds.reply_lengths, t)
        elif t in plot:
            words = axes.balanced_sample(seed, "step lengths", kinds.step_lengths, t)
        elif vignettes[place]:
            words = axes.balanced_sample(seed, "vignette lengths", kinds.vignette_lengths, vignettes[place] - 1)
        else:
            words = drawn_lengths.pop()
        length = lengths[words]
        if not t and length.most > LONGEST_OPENING:
            length = max((other for other in kinds.lengths if other.most <= LONGEST_OPENING), key=lambda other: other.most)
        drawn = "wonders" if vignettes[place] else "glimpses" if reply_to else "pictures"
        picture = axes.balanced_sample(seed, drawn, getattr(kinds, drawn), t)
        if picture.shows == "both" and not partner:
            picture = next((kind for kind in kinds.pictures if kind.shows == "author"), picture)
        slots.append(
            Slot(
                order=order,
                t=t,
                after=afters[place],
                moment=moment_of(world, afters[place], stretch(seed, posts, events, times[place]) if events else 0.0),
                event=hanging[place],
                wish=axes.balanced_sample(seed, "wishes", range(1, wishes + 1), t) if wishes else 0,
                partner=partner,
                reply_to=reply_to,
                form=_vignette(seed, vignettes[place] - 1, length)
                if vignettes[place]
                else _ANSWERS
                if reply_to
                else _STOPS
                if t == line.ending
                else _TELLS
                if t in plot
                else _CONTINUES
                if not order or (not hanging[place] and rng.random() < _ACCOUNT_SHARE)
                else forms.next(length, someone=partner > 0),
                length=length,
                picture=picture,
                answered=answered,
                later=max(0, t - posts + 1),
                comments=() if reply_to else _comments(seed, line, ties, t, replying, lively=t in plot or t == line.ending),
            )
        )
    arc = before.arc or (axes.balanced_sample(own, "arc", kinds.arcs, index) if total >= ARC_FROM else "")
    return Storyline(arc, (*before.slots, *slots))


def _vignette(seed: int, number: int, length: Length) -> PostForm:
    """What the vignette with this number is: of few words, a remark in passing."""
    kinds = data_files.post_kinds()
    values = kinds.remarks if length.most <= _FEW_WORDS else kinds.vignettes
    return PostForm(name=VIGNETTE, how=axes.balanced_sample(seed, "moments", values, number))


def _company(
    rng: random.Random, line: Timeline, ties: Sequence[social.SeededRelation], t: int, answered: int, within: int
) -> tuple[int, str]:
    """The person that the post names (place among the acquaintances, from 1; 0 for none), and the key of the post it replies to.

    A post names no person who joins later, or whose index is not below ``within``. A post that somebody answers names that person
    or nobody.
    """
    replied = line.replies[t]
    if replied >= 0:
        author = line.people[replied]
        partner = next(place for place, tie in enumerate(ties, start=1) if tie.index == author)
        return partner, post_key(character_key(author), line.orders[replied])
    named = [place for place, tie in enumerate(ties, start=1) if tie.names and tie.index < within and line.joined(tie.index) <= t]
    if answered:
        named = [place for place in named if place == answered]
    return (rng.choice(named) if named and rng.random() < _PARTNER_SHARE else 0), ""


def _comments(
    seed: int, line: Timeline, ties: Sequence[social.SeededRelation], t: int, replying: Sequence[int], *, lively: bool
) -> tuple[int, ...]:
    """The comments on the post at ``t``: by acquaintances who are there, then by those who join later. Who replies writes none.

    ``lively``: there are three or more, where two acquaintances can write.
    """
    kinds, rng = data_files.post_kinds(), seeding.seeded_rng(seed, "comments", t)
    places = [place for place, tie in enumerate(ties, start=1) if tie.index not in replying]
    if not places:
        return ()
    friends = cycle(sorted(rng.sample(places, len(places)), key=lambda place: line.joined(ties[place - 1].index) > t))
    patterns = [one for one in kinds.comments if len(one) >= MANY_COMMENTS] if lively else kinds.comments
    writers = [0 if one == "author" else next(friends) for one in axes.balanced_sample(seed, "comments", patterns, t)]
    return tuple(writer for writer, _ in groupby(writers))


def _repliers(line: Timeline, t: int) -> list[int]:
    """The people who reply to the post at ``t``, the first one first."""
    return [line.people[later] for later in range(t + 1, min(len(line), t + LONGEST_WAIT + 1)) if line.replies[later] == t]


def storyline(request: WorldRequest, world: WorldDescription, index: int, selves: int = 0) -> Storyline:
    """The plan of the posts of the character with this index.

    No form comes twice before every form came once, no arc before so many people had every other. ``selves``: as in the brief; a
    regenerated person keeps ``t``, the events, the wishes and the replies.
    """
    return _storyline(request.seed, request.size, index, selves, len(wishes_of(request, world)), world)


def wishes_of(request: WorldRequest, world: WorldDescription) -> tuple[str, ...]:
    """The wishes that posts get: each idea of the user's sentence with its effect on daily life; the sentence if none is listed."""
    listed = [f"{wish.idea} ({wish.daily})" if wish.daily else wish.idea for wish in world.wishes]
    return tuple(listed or world.user_preferences.other_preferences) or (request.user_prompt,)
