"""Posts and their ideas: sentences from the decks, combined so that they follow the request.

Here: length, wish, reply, names, event. Not here: parsing the request (item.py) and filling a sentence (author.py).
"""

from __future__ import annotations

import random
import re

from emulators.gemini.faults import FaultName
from emulators.gemini.writing.author import Author
from emulators.gemini.writing.item import PostOrder
from emulators.gemini.writing.words import WordList

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
_SCENES = ("tale", "gripe", "glad", "joke")
"""The decks for a form without a deck of its own."""
_SHORTEST = 12
"""Words up to which a post has room for one sentence."""
_TIGHT = 30
"""Words up to which a post says only what it must."""
_ROOM = 9
"""Words that most sentences fit in."""
_LEAD_SHARE, _HEARD_SHARE, _DAILY_SHARE = 0.6, 0.5, 0.3
"""How often a post begins with a lead, refers to another person's post, has the effect of the wish on daily life."""
_SHORT = 3
"""Letters of a word that tells nothing."""
_LONG = 100
"""Words from which on a post has paragraphs."""
_CLAUSE = re.compile(r"[^.,;:!?\n()«»\"“”—…、。！？「」،؛؟।]+")


def quoted_from(text: str, language: WordList, rng: random.Random) -> str:
    """A few words that identify a text: a whole clause if it is short, else its end."""
    plain = re.sub(r"[@#]\w+", "", text)
    found: list[str] = _CLAUSE.findall(plain)
    clauses = [clause.strip() for clause in found if any(len(word) > _SHORT or not word.isascii() for word in clause.split())]
    if not clauses:
        return text.strip()[:30]
    clause = rng.choice(clauses)
    if language is WordList.JAPANESE:
        return clause[-12:]
    return " ".join(clause.split()[-rng.randint(3, 5) :])


class Posts:
    """Writes the posts of one request."""

    def __init__(self, author: Author, language: WordList, rng: random.Random, fault: FaultName | None) -> None:
        self._author = author
        self._language = language
        self._rng = rng
        self._fault = fault

    def idea(self, order: PostOrder) -> str:
        """The idea of a post: two sentences, with the wish in the second."""
        author = self._author
        author.about(order, beside_others=True)
        last = ["future"] if self._fault == "future_told" else []
        decks = ["reply_idea" if order.is_reply else "story", *last, *(["event_idea"] if order.event else [])]
        if self._fault != "wish_ignored":
            decks.append("wish_idea")
        return self._language.space.join(author.sentence(deck) for deck in decks)

    def content(self, order: PostOrder) -> str:
        """The text of a post."""
        author, rng, fault = self._author, self._rng, self._fault
        author.about(order)
        answers, named = bool(order.answered), bool(order.names)
        if fault == "reply_ignored":
            answers = named = False
        if answers:
            author.given["quote"] = self._quoted(order.answered)
        wish = bool(order.wish.idea) and fault != "wish_ignored"
        least, most = (55, 65) if fault == "same_length" else (order.least, order.most)
        text = _Text(author, self._language, most)
        keep = _ROOM * wish
        if answers:
            lead = text.add("retort" if most < _SHORTEST else "reply", keep if most > _TIGHT else 0)
        else:
            lead = author.fitting("lead", 4) if rng.random() < _LEAD_SHARE else ""
            if most > _TIGHT or not named:
                text.add(DECK_OF.get(order.form) or rng.choice(_SCENES), keep + _ROOM * named, lead)
            if named:
                text.add("named", keep if most > _SHORTEST else 0, lead)
        if fault == "future_told":
            text.add("future")
        if self._language.count_words(order.step) <= text.left - keep:
            text.sentences += [order.step] * bool(order.step)
        wish_sentence = text.add("wish") if wish else ""
        late = {wish_sentence, order.wish.daily, text.add("event") if order.event else ""}
        if order.heard and not answers and rng.random() < _HEARD_SHARE:
            author.given["heard"] = self._quoted(rng.choice(order.heard))
            text.add("heard")
        if wish and rng.random() < _DAILY_SHARE and self._language.count_words(order.wish.daily) <= text.left:
            text.sentences += [order.wish.daily] * bool(order.wish.daily)
        target = rng.randint(least, (least + most) // 2)
        while (most - text.left < target or text.sentences == [wish_sentence]) and text.add("more"):
            pass
        if fault == "same_opening":
            text.sentences.insert(0, author.sentence("opening"))
        # A reply, and the sentence that a lead announces, come first; then any sentence whose words are not in every other post.
        first = 1 if answers or lead or fault == "same_opening" else 0
        text.sentences = text.sentences or [author.sentence("more")]
        ordered = text.sentences[:first] + rng.sample(text.sentences[first:], len(text.sentences) - first)
        while ordered[0] in late and not late.issuperset(ordered):
            ordered.append(ordered.pop(0))
        return _in_paragraphs(ordered, self._language)

    def _quoted(self, text: str) -> str:
        return self._language.quoted(quoted_from(text, self._language, self._rng))


class _Text:
    """The sentences of a post of at most ``most`` words."""

    def __init__(self, author: Author, language: WordList, most: int) -> None:
        self._author = author
        self._language = language
        self._most = most
        self.sentences: list[str] = []

    @property
    def left(self) -> int:
        """Words that still fit."""
        return self._most - sum(map(self._language.count_words, self.sentences))

    def add(self, deck: str, keep: int = 0, lead: str = "") -> str:
        """Add one more sentence that fits and leaves ``keep`` words; return it, or ''. The first one follows the lead."""
        lead = "" if self.sentences else lead
        found = self._author.fitting(deck, self.left - keep - self._language.count_words(lead), self.sentences)
        if found:
            found = f"{lead}{self._language.space}{found}" if lead else found
            self.sentences.append(found)
        return found


def _in_paragraphs(sentences: list[str], language: WordList) -> str:
    count = sum(map(language.count_words, sentences))
    if count < _LONG or len(sentences) < 4:
        return language.space.join(sentences)
    middle = len(sentences) // 2
    return "\n\n".join(language.space.join(part) for part in (sentences[:middle], sentences[middle:]))
