"""The author: sentences, paragraphs and phrases about a scene, from templates whose forms are fixed.

Not here: which field asks for what (fields.py).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from emulators.gemini.writing.people import People, Person
from emulators.gemini.writing.scene import Scene
from emulators.gemini.writing.words import Language, words_of

_SENTENCE_ENDS = ".!?。！？؟।"
_SENTENCE_STARTS = re.compile(r"(^|[.!?]\s+)([^\W\d_])")


@dataclass(frozen=True)
class Length:
    """How much to write: a range of paragraphs, and of sentences in each. ``characters`` is a ceiling for the whole."""

    paragraphs: tuple[int, int] = (1, 1)
    sentences: tuple[int, int] = (1, 2)
    characters: int | None = None


class Author:
    """Writes in one language about one scene. Nothing is drawn twice before everything was drawn once."""

    def __init__(self, scene: Scene, language: Language, rng: random.Random, people: People) -> None:
        self._scene = scene
        self._language = language
        self._words = words_of(language)
        self._setting = self._words.setting(scene.setting)
        self._rng = rng
        self._people = people
        self._drawn: dict[str, list[str]] = {}
        self.person: Person | None = None

    def text(self, deck: str, length: Length) -> str:
        """Paragraphs of sentences from a deck, separated by blank lines."""
        rng = self._rng
        paragraphs = [
            self._language.space.join(self._sentence(deck) for _ in range(rng.randint(*length.sentences)))
            for _ in range(rng.randint(*length.paragraphs))
        ]
        text = "\n\n".join(paragraphs)
        return text if length.characters is None else _shortened(text, length.characters)

    def phrase(self, name: str) -> str:
        """One phrase of a list."""
        return self._draw(name, self._words.lists[name]).format_map(_Slots(self))

    def slot(self, name: str) -> str:
        """What stands for a slot: a word of the setting, a person, the user's words."""
        scene = self._scene
        if name == "name":
            return self._first_name()
        if name == "other":
            return "@" + (self.mention() or self._people.somebody().username)
        if name == "idea":
            idea = self._rng.choice(scene.ideas) if scene.ideas else self._draw("word", self._words.lists["word"])
            return self._language.quoted(idea)
        if name == "event":
            event = self._draw("event", self._known_events() or self._setting.event)
            return self._language.quoted(event) if self._language is Language.RUSSIAN else event
        if name == "look":
            return self.look()
        words: dict[str, tuple[str, ...]] = {
            "where": self._setting.where,
            "thing": self._setting.thing,
            "do": self._setting.do,
            "trade": self._setting.trade,
            "world": self._setting.world,
        }
        return self._draw(name, words[name])

    def event(self) -> str:
        """The name of an event: one the prompt knows, or one of the setting, or of any other when those are used up."""
        return self._draw("new event", self._known_events() or self._setting.event, self._other_events())

    def mention(self) -> str:
        """The username of somebody the prompt knows besides the person it is about, or ''."""
        others = self._scene.others
        return self._draw("mention", others) if others else ""

    def hashtag(self) -> str:
        """A word with # (unless the prompt wants it without), often one of the user's."""
        own = tuple(word for idea in self._scene.ideas for word in idea.split() if len(word) > 4 and word.isalpha())
        word = self._draw("hashtag", (*own, *self._words.lists["word"])).lower()
        return word if self._scene.bare_hashtags else f"#{word}"

    def wish(self) -> str:
        """One of the user's own thoughts, in their words."""
        return self._draw("wish", self._scene.ideas) if self._scene.ideas else self.phrase("topic")

    def look(self) -> str:
        """A person's appearance in a few words; the same for the same person."""
        decks, person = self._words.decks, self.person
        women, men = decks["look_woman"], decks["look_man"]
        looks = {True: women, False: men, None: women + men}[person.woman if person else None]
        return looks[sum(map(ord, person.display_name)) % len(looks)] if person else self._draw("deck:look", looks)

    def _first_name(self) -> str:
        if self.person is None:
            self.person = self._people.somebody()
        return self.person.first_name

    def _sentence(self, deck: str) -> str:
        text = self._draw(f"deck:{deck}", self._words.decks[deck]).format_map(_Slots(self))
        return _SENTENCE_STARTS.sub(lambda found: found.group(1) + found.group(2).upper(), text)

    def _draw(self, name: str, items: tuple[str, ...], more: tuple[str, ...] = ()) -> str:
        left = self._drawn.get(name)
        if not left:
            rest = self._rng.sample(more, len(more)) if name in self._drawn else []
            left = self._drawn[name] = [*rest, *self._rng.sample(items, len(items))]
        return left.pop()

    def _known_events(self) -> tuple[str, ...]:
        return tuple(event for event in self._setting.event if event.removeprefix("the ") in self._scene.text)

    def _other_events(self) -> tuple[str, ...]:
        return tuple(event for setting in self._words.settings.values() if setting is not self._setting for event in setting.event)


class _Slots(dict[str, str]):
    """The slots of one template: each is drawn when it is met, and again under another number (``thing2``)."""

    def __init__(self, author: Author) -> None:
        super().__init__()
        self._author = author

    def __missing__(self, key: str) -> str:
        value = self[key] = self._author.slot(key.rstrip("0123456789"))
        return value


def _shortened(text: str, limit: int) -> str:
    """The text up to ``limit`` characters, ending with a whole sentence, or with a whole word if even one is too long."""
    if len(text) <= limit:
        return text
    cut = text[:limit]
    end = max(cut.rfind(mark) for mark in _SENTENCE_ENDS)
    word = cut.rfind(" ")
    return cut[: end + 1] if end > 0 else cut[: word if word > 0 else limit].rstrip(" ,;:،、")
