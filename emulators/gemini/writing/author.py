"""The author: sentences, paragraphs and phrases about a scene, from templates whose forms are fixed.

Here: which template comes next, and what fills its slots. Not here: the kind of text for each field (fields.py); posts (posts.py).

The requests of a world are independent of each other, and yet its texts must not be similar. Therefore templates are not drawn at
random: a world has one order of each deck, each person starts at another place in it, and so does each of their posts.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Collection
from dataclasses import dataclass

from emulators.gemini.faults import FaultName
from emulators.gemini.writing.item import Known, PostOrder
from emulators.gemini.writing.people import WrittenPeople, WrittenPerson, place_of
from emulators.gemini.writing.scene import Scene
from emulators.gemini.writing.words import WordList, words_of

EVENTS = 8
"""Events of a calendar, unless the request has other limits."""
_SHARING = 5
"""Of so many people one may have a sentence."""
_TAKEN = {"trait": 2, "secret": 1, "bio": 1, "origin": 1}
"""Sentences that one person has of a deck, where it is less than that share."""
_GOLDEN, _ROOT, _WAYS = (1 + 5**0.5) / 2, 2**0.5, 97
_DAYS = 9
"""Days from one event of a calendar to the next."""
_SHORT_IDEA = 6
_PART = 4
_SHORT_RELATION = 4
_STEM = 5
_LONG_WORD = 4
_IS_WORD = re.compile(r"(?:[^\W\d_]|[\u0591-\u05c7\u064b-\u065f\u0900-\u0963])+")
"""Letters, with the points of Hebrew and Arabic and the vowel signs of Hindi."""
_UNEQUAL = {"kin": re.compile(r"(parent\b(?! of)|guardian|elder of)|child\b|\bward\b"), "admired": re.compile("(hero)|shadow")}
"""Relations with a word for each side, and the list that has both; the first group is the side of the first one."""
_SENTENCE_ENDS = ".!?。！？؟।"
_SENTENCE_STARTS = re.compile(r"(^|[.!?]\s+)([^\W\d_])")


@dataclass(frozen=True)
class TextLength:
    """The length of a text: a range of paragraphs, and of sentences in each. ``characters`` is the maximum for the whole."""

    paragraphs: tuple[int, int] = (1, 1)
    sentences: tuple[int, int] = (1, 2)
    characters: int | None = None


_PICTURES = {
    "selfie": "selfie; dressed up; with an animal",
    "people": "people; two people; laughter; quarrel; group",
    "object": "object",
    "at_work": "at work; handiwork",
    "view": "view; night; from above; room",
    "creature": "creature",
    "food": "food",
    "document": "document",
    "crowd": "crowd; child; stranger",
    "damage": "damage; before and after",
    "mirror": "mirror; reflection",
}
_PICTURE_OF = {kind: f"picture_{deck}" for deck, kinds in _PICTURES.items() for kind in kinds.split("; ")}
"""The deck for the kinds of picture that a request may ask for."""


class Author:
    """Writes in one language about one scene. No template is repeated before every other one was used.

    ``given`` are slots whose words are known; ``person`` is whom the text is about.
    """

    def __init__(
        self, scene: Scene, language: WordList, rng: random.Random, people: WrittenPeople, fault: FaultName | None = None
    ) -> None:
        self._scene = scene
        self._language = language
        self._words = words_of(language)
        self._setting = self._words.setting(scene.setting)
        self._rng = rng
        self._people = people
        self._left: dict[str, list[str]] = {}
        self._place: int | None = None
        if fault == "same_phrases":
            self._place = 0
        elif scene.person:
            self._place = place_of(scene.own_handle)
        elif scene.numbers:
            self._place = scene.asked.existing
        self._order: PostOrder | None = None
        self._avoided: tuple[str, ...] = ()
        self._spares_wish = fault == "wish_ignored"
        self._event = -1
        self.events = EVENTS
        self.given: dict[str, str] = {}
        self.person: WrittenPerson | None = None

    def about(self, order: PostOrder, *, beside_others: bool = False) -> None:
        """Write for this post from now on. ``beside_others``: in the same answer as those before, so that nothing is repeated."""
        if not beside_others:
            self._left = {}
        self._order = order
        self._avoided = _stems(f"{order.wish.idea} {order.wish.daily}") if self._spares_wish else ()
        self.given = {"idea": self._language.quoted(order.wish.idea)} if order.wish.idea else {}
        if order.names:
            self.given["other"] = order.names.partition(" ")[0] if order.names.startswith("@") else order.names.split()[0]
        if order.event:
            self.given["event"] = order.event
        if found := re.search(r"\d+", order.moment):
            self.given["day"] = found.group()

    def text(self, deck: str, length: TextLength) -> str:
        """Paragraphs of sentences from a deck, separated by blank lines."""
        rng = self._rng
        paragraphs = [
            self._language.space.join(self.sentence(deck) for _ in range(self._sentences(length)))
            for _ in range(rng.randint(*length.paragraphs))
        ]
        text = "\n\n".join(paragraphs)
        return text if length.characters is None else shortened(text, length.characters)

    def _sentences(self, length: TextLength) -> int:
        count = self._rng.randint(*length.sentences)
        return max(1, int(count * self._scene.verbosity + self._rng.random())) if self._scene.length_spread else count

    def sentence(self, deck: str) -> str:
        """The deck's next sentence."""
        return self._filled(self._next(f"deck:{deck}", self._words.decks[deck]))

    def fitting(self, deck: str, most: int, unlike: Collection[str] = ()) -> str:
        """The deck's next sentence of at most ``most`` words and none of ``unlike``, or ''. Skipped sentences come next."""
        name, templates = f"deck:{deck}", self._words.decks[deck]
        found, passed = "", list[str]()
        for _ in templates:
            template = self._next(name, templates)
            text = self._filled(template)
            said = text.lower()
            if self._language.count_words(text) <= most and text not in unlike and not any(stem in said for stem in self._avoided):
                found = text
                break
            passed.append(template)
        self._left[name] += reversed(passed)
        return found

    def phrase(self, name: str) -> str:
        """The next phrase of a list."""
        return self._next(f"list:{name}", self._words.lists[name]).format_map(_Slots(self))

    def listed(self, name: str, place: int) -> str:
        """The phrase with this place in a list."""
        return self._words.lists[name][place]

    def fact(self, pair: tuple[str, str]) -> str:
        """One thing that happened between two people, by their names."""
        self.given |= {"one": pair[0], "two": pair[1]}
        return self.sentence("fact")

    def relation(self, known: Known | None) -> str:
        """The relation of somebody to the person of the text; the word is the same for both sides, except for ``_UNEQUAL`` ones."""
        relation = known.relation.partition(" or ")[0] if known else ""
        if relation and self._language is WordList.ENGLISH and len(relation.split()) <= _SHORT_RELATION:
            return relation
        for name, sides in _UNEQUAL.items():
            if side := sides.search(relation):
                return self.listed(name, 0 if side.group(1) else 1)
        pair = sorted((self._scene.own_handle, known.username if known else ""))
        return self.listed("relation_type", zlib.crc32("".join(pair).encode()) % (len(self._words.lists["relation_type"]) - 1) + 1)

    def picture(self, kind: str) -> str:
        """What a picture of this kind shows."""
        return self.sentence(_PICTURE_OF.get(kind, "picture"))

    def slot(self, name: str) -> str:
        """The text of a slot: a word of the setting, a person, the user's words."""
        if name in self.given and name != "event":
            return self.given[name]
        match name:
            case "name":
                return self._first_name()
            case "other":
                return "@" + (self.mention() or self._people.somebody().username)
            case "idea":
                return self._language.quoted(self._idea())
            case "term":
                return self._term()
            case "event":
                return self._named_event(self.given.get("event") or self._told_event())
            case "last_event":
                return self._named_event(self.calendar()[-1])
            case "look":
                return self.look()
            case "one" | "two":
                return self._people.somebody().first_name
            case "quote" | "heard":
                return self._language.quoted(self._term())
            case "years":
                return str(self._rng.randint(14, 80))
            case "n" | "day":
                return str(self._rng.randint(2, 40))
            case "part":
                return self.phrase("time_of_day")
        words: dict[str, tuple[str, ...]] = {
            "where": self._setting.where,
            "thing": self._setting.thing,
            "do": self._setting.do,
            "trade": self._setting.trade,
            "world": self._setting.world,
        }
        return self._next(name, words[name])

    def calendar(self, count: int = EVENTS) -> tuple[str, ...]:
        """The names of the world's events, in order. The first and the last are the same in every request of a world."""
        own = self._setting.event
        rest = [event for setting in self._words.settings.values() if setting is not self._setting for event in setting.event]
        rng = random.Random(f"{self._scene.seed}:calendar")
        *names, last = rng.sample(own, len(own))
        return (*(names + rng.sample(rest, len(rest)))[: count - 1], last)

    def event(self) -> str:
        """The name of the calendar's next event. ``events`` says how many it has."""
        self._event += 1
        names = self.calendar(self.events)
        self.given["event"] = names[self._event % len(names)]
        return self.given["event"]

    def day(self, place: int | None = None) -> str:
        """A label of time: of the calendar's present event, or the one with this place among those that follow it."""
        self.given["n"] = str(1 + _DAYS * max(self._event, 0) + (0 if place is None else 1 + place))
        return self.phrase("day")

    def mention(self) -> str:
        """The username of somebody the prompt knows besides the person it is about, or ''."""
        others = self._scene.others
        return self._next("mention", others) if others else ""

    def hashtag(self) -> str:
        """A tag the post may use, or else a word with # (unless the prompt wants it without), often one of the user's."""
        if self._order is not None and self._order.tags:
            return self._next("tag", self._order.tags)
        words = (word for idea in self._scene.ideas for word in idea.split())
        own = tuple(word for word in words if len(word) > _LONG_WORD and _IS_WORD.fullmatch(word))
        word = self._next("hashtag", (*own, *self._words.lists["word"])).lower()
        return word if self._scene.bare_hashtags else f"#{word}"

    def wish(self) -> str:
        """One idea of the user's sentence, in the user's words."""
        return self._next("wish", self._scene.ideas) if self._scene.ideas else self.phrase("topic")

    def time_of_day(self, moment: str) -> str:
        """The part of the day that the moment names, or any."""
        parts = sorted(self._words.lists["time_of_day"], key=len, reverse=True)
        return next((part for part in parts if part in moment), "") or self.phrase("time_of_day")

    def look(self, years: int = 0) -> str:
        """A person's appearance in a few English words; the same for the same person. ``years``: their age, 0 = any."""
        if looks := self._scene.asked.line("Looks"):
            return looks.rstrip(".")
        name = self.person.display_name if self.person else ""
        rng, decks = random.Random(f"{self._scene.seed}:{name}" if name else self._rng.random()), words_of(WordList.ENGLISH).decks
        woman = self.person.woman if self.person else None
        years = years or rng.randint(18, 75)
        whom = ("girl" if woman else "boy") if years < 18 else ("woman" if woman else "man")
        build, hair, mark, wear = (rng.choice(decks[deck]) for deck in ("build", "hair", "mark", "wear"))
        return f"a {build} {whom} of about {years}, {hair}, {mark}, {wear}"

    def _named_event(self, event: str) -> str:
        return self._language.quoted(event) if self._language is WordList.RUSSIAN else event

    def _first_name(self) -> str:
        if self.person is None:
            self.person = self._people.somebody()
        return self.person.first_name

    def _idea(self) -> str:
        return self._next("idea", self._scene.ideas) if self._scene.ideas else self._next("word", self._words.lists["word"])

    def _term(self) -> str:
        """Some words of the wish: its beginning, its end, or all of it if it is short."""
        idea = self._order.wish.idea if self._order is not None and self._order.wish.idea else self._idea()
        words = idea.split()
        if len(words) <= _SHORT_IDEA:
            return idea
        parts = [words[:_PART], words[-_PART:], words[: _PART - 1]]
        telling = [part for part in parts if any(len(word) > _LONG_WORD for word in part)]
        return " ".join(self._rng.choice(telling or [words]))

    def _told_event(self) -> str:
        """A past event, most likely the latest; without a calendar in the request the first one, which is always past."""
        happened = self._scene.asked.happened
        return self._rng.choice(happened[-3:]) if happened else self.calendar()[0]

    def _filled(self, template: str) -> str:
        text = template.format_map(_Slots(self))
        return _SENTENCE_STARTS.sub(lambda found: found.group(1) + found.group(2).upper(), text)

    def _next(self, name: str, items: tuple[str, ...]) -> str:
        left = self._left.get(name)
        if not left:
            again = name in self._left
            left = self._left[name] = (self._rng.sample(items, len(items)) if again else self._dealt(name, items))[::-1]
        return left.pop()

    def _dealt(self, name: str, items: tuple[str, ...]) -> list[str]:
        """The items in the world's order, starting at the place of this person or this post."""
        asked = self._scene.asked
        if self._place is None or asked.is_complaint or asked.is_anew:  # the former items must not be repeated
            return self._rng.sample(items, len(items))
        if self._order is None:
            taken = _TAKEN.get(name.removeprefix("deck:")) or max(1, len(items) // _SHARING)
            block, place = divmod(self._place, max(1, len(items) // taken))
            start = place * taken
        else:
            # Multiples of irrational numbers: posts near each other start at distant places, differently in each deck.
            times = 1 + zlib.crc32(name.encode()) % _WAYS
            turns = times * (_GOLDEN * self._order.order + _ROOT * self._place)
            # A regenerated character has another profile: it starts elsewhere, and not in all decks by the same number of items.
            profile = zlib.crc32(f"{name}:{asked.block('person')}".encode())
            block, start = 0, (int(turns % 1 * len(items)) + profile) % len(items)
        dealt = random.Random(f"{self._scene.seed}:{name}:{block}").sample(items, len(items))
        return dealt[start:] + dealt[:start]


class _Slots(dict[str, str]):
    """The slots of one template: each is drawn when it is first used; another number (``thing2``) is a new draw."""

    def __init__(self, author: Author) -> None:
        super().__init__()
        self._author = author

    def __missing__(self, key: str) -> str:
        value = self[key] = self._author.slot(key.rstrip("0123456789"))
        return value


def _stems(text: str) -> tuple[str, ...]:
    """The beginnings of a text's longer words, and its pieces in a script without spaces."""
    words = re.findall(r"\w+", text.lower())
    short = {word[:2] for word in words if not word.isascii() and len(word) == 2}
    return tuple({word[:_STEM] for word in words if len(word) >= _LONG_WORD} | short)


def shortened(text: str, limit: int) -> str:
    """The text up to ``limit`` characters, ending with a whole sentence, or with a whole word if even one is too long."""
    if len(text) <= limit:
        return text
    cut = text[:limit]
    end = max(cut.rfind(mark) for mark in _SENTENCE_ENDS)
    word = cut.rfind(" ")
    return cut[: end + 1] if end > 0 else cut[: word if word > 0 else limit].rstrip(" ,;:،、")
