"""Posts and their ideas: sentences from the decks, put together so that they do what the request says.

Here: length, wish, reply, names, event. Not here: how the request is read (item.py) and how a sentence is filled (author.py).
"""

from __future__ import annotations

import random
import re

from emulators.gemini.faults import FaultName
from emulators.gemini.writing.author import Author
from emulators.gemini.writing.item import PostOrder
from emulators.gemini.writing.words import Language

_DECKS = {
    "ask": "question; request; invitation; bet; dare; poll; advice wanted",
    "notice": "notice; offer; sale; giveaway; reminder; correction; rumour; gossip; timetable; report; review; instruction; score; "
    "weather; warning; recommendation; farewell; health",
    "joke": "joke; teasing; nickname; overheard; dialogue; picture; caption; bad poem; small talk; fan talk",
    "gripe": "complaint; quarrel; confession; apology; rant; bad day",
    "glad": "boast; thanks; congratulation; progress; plan; gushing; proud relative; birthday; declaration; look; good news",
    "tale": "story; memory; list; remark; food; discovery",
}
"""The deck of first sentences for the forms of posts."""
DECK_OF = {form: deck for deck, forms in _DECKS.items() for form in forms.split("; ")}
_SHORTEST = 6
"""Words up to which a post is one short sentence."""
_ROOM_FOR_WISH = 9
_SHORT = 3
"""Letters of a word that tells nothing."""
_LONG = 100
"""Words from which on a post has paragraphs."""
_CLAUSE = re.compile(r"[^.,;:!?\n()«»\"“”—…、。！？「」،؛؟।]+")


def quoted_from(text: str, language: Language, rng: random.Random) -> str:
    """A few words of a text that one can recognise it by: a whole clause where it is short, else its end."""
    plain = re.sub(r"[@#]\w+", "", text)
    found: list[str] = _CLAUSE.findall(plain)
    clauses = [clause.strip() for clause in found if any(len(word) > _SHORT or not word.isascii() for word in clause.split())]
    if not clauses:
        return text.strip()[:30]
    clause = rng.choice(clauses)
    if language is Language.JAPANESE:
        return clause[-12:]
    return " ".join(clause.split()[-rng.randint(3, 5) :])


class Posts:
    """Writes the posts of one request."""

    def __init__(self, author: Author, language: Language, rng: random.Random, fault: FaultName | None) -> None:
        self._author = author
        self._language = language
        self._rng = rng
        self._fault = fault

    def idea(self, order: PostOrder) -> str:
        """What a post is to be about: two sentences, with the wish in the second."""
        author = self._author
        author.about(order)
        last = ["future"] if self._fault == "future_told" else []
        decks = ["reply_idea" if order.is_reply else "story", *last, *(["event_idea"] if order.event else [])]
        if self._fault != "wish_ignored":
            decks.append("wish_idea")
        return self._language.space.join(author.sentence(deck) for deck in decks)

    def content(self, order: PostOrder) -> str:
        """The text of a post."""
        author, rng, language = self._author, self._rng, self._language
        author.about(order)
        answers = bool(order.answered) and self._fault != "reply_ignored"
        if answers:
            author.given["quote"] = language.quoted(quoted_from(order.answered, language, rng))
        least, most = (55, 65) if self._fault == "same_length" else (order.least, order.most)
        wish = bool(order.wish.idea) and self._fault != "wish_ignored"
        named = bool(order.names) and self._fault != "reply_ignored"
        if most <= _SHORTEST:
            deck = "short_reply" if answers else "short_named" if named else "short" if wish else "short_plain"
            return author.fitting(deck, most) or author.sentence("short")
        written: list[str] = []

        def left() -> int:
            return most - sum(map(language.count_words, written))

        def add(deck: str, keep: int = 0) -> None:
            text = author.fitting(deck, left() - keep)
            if text:
                written.append(text)

        keep, lead, told = _ROOM_FOR_WISH * wish, "", ""
        if answers:
            add("reply", keep if most > 30 else 0)
        else:
            lead = author.fitting("lead", 4) if rng.random() < 0.6 else ""
            keep_names = keep + _ROOM_FOR_WISH * named
            add(DECK_OF.get(order.form, "tale"), language.count_words(lead or "") + (keep_names if most > 30 else keep))
            if lead and written:
                written[0] = f"{lead}{language.space}{written[0]}"
        if self._fault == "future_told":
            add("future")
        if named and not answers:
            add("named", keep)
        if wish and (text := author.fitting("wish", left())):
            written.append(text)
            told = text
        if order.event:
            add("event")
        if order.heard and not answers and rng.random() < 0.5:
            author.given["heard"] = language.quoted(quoted_from(rng.choice(order.heard), language, rng))
            add("heard")
        if wish and order.wish.daily and rng.random() < 0.3 and language.count_words(order.wish.daily) <= left():
            written.append(order.wish.daily)
        target = rng.randint(least, (least + most) // 2)
        while most - left() < target:
            before = len(written)
            add("more")
            if len(written) == before:
                break
        if written == [told]:
            add("more")
        if self._fault == "same_opening":
            written.insert(0, author.sentence("opening"))
        # A reply, and what a lead announces, come first; else anything but the wish, whose words are in every other post, too.
        fixed = 1 if answers or lead or self._fault == "same_opening" else 0
        ordered = written[:fixed] + rng.sample(written[fixed:], len(written) - fixed)
        if ordered[0] == told:
            ordered.append(ordered.pop(0))
        return _in_paragraphs(ordered, language)


def _in_paragraphs(sentences: list[str], language: Language) -> str:
    count = sum(map(language.count_words, sentences))
    if count < _LONG or len(sentences) < 4:
        return language.space.join(sentences)
    middle = len(sentences) // 2
    return "\n\n".join(language.space.join(part) for part in (sentences[:middle], sentences[middle:]))
