"""A trial: one small world made in this process under faults of the Gemini emulator, and its result.

Here: what the harnesses of answers share; and whether a world's texts are undamaged: every document is valid, no name occurs twice,
no text has a trace of a damaged answer. Not here: which faults, and what must be true (answers.py), and numbers (exact.py).
"""

from __future__ import annotations

import logging
import re
import unicodedata
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ValidationError

from bench.exact import exactness
from bench.in_process import Made, Order, change_settings, make
from bench.stack import TestStack, known_status
from emulators.gemini.faults import FaultName, Faults
from emulators.gemini.stats import RecordedRequest, Stats
from generia_assets.catalog import ASSETS
from generia_assets.content import languages
from generia_assets.content.documents import Character, CharacterBrief, Document, Post, WorldDescription
from generia_assets.content.drafts import SHORT_POST
from generia_assets.durable.status import WorldStatus
from generia_assets.durable.tasks.control import ResumeOptions, resume_world
from resources.mongodb.connection import MongoDatabase
from resources.mongodb.document_store import DocumentStore, NotMaterializedError

GENEROUS = {"BUDGET_SPARE": "9", "IMAGE_STUB_REFUSED_WORDS": ""}
"""Re-asks are paid out of the spare calls, by default a quarter of those computed. A trial of answers is none of budgets."""

SENTENCES = {
    "Russian": "Город на спине спящей черепахи, где по утрам продают вчерашние сны; трамваи, пчёлы, без королей",
    "English": "A town on the back of a tortoise that has just started walking again; trams, bees, no kings",
}
_WORLDS = uuid.UUID("0c0f6d5e-5a43-4c7c-9b55-2f6d6f1c2a10")


LONGEST_TEXT = 120_000
"""Characters of the longest text a document may hold: thirty paragraphs of four thousand."""

_UNSEEN = frozenset("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_PIECE_OF_JSON = re.compile(r'```|\{\s*"|"\s*:\s*["\[{]')


def damage(database: MongoDatabase, world_id: str, *, language: str) -> list[str]:
    """One sentence for each damaged document of the world; ``language`` is that of the user's sentence."""
    store = DocumentStore(database)
    try:
        documents = [
            (name, document)
            for name, kind in ASSETS.items()
            for document in store.read(kind, world_id, kind.document)
            if name != "world_request"  # the user's own words
        ]
    except NotMaterializedError as error:
        return [str(error)]
    except ValidationError as error:
        return [f"a stored document is invalid: {error}"]
    found = [f"{name} {document.key}: {wrong}" for name, document in documents for wrong in _wrong(document, language)]
    return [*found, *_twice(document for _, document in documents if isinstance(document, CharacterBrief))]


def _unusable(letter: str) -> bool:
    """Control characters, lone surrogates, and bidirectional marks; decided without the product's own functions."""
    return letter not in "\n\t" and (unicodedata.category(letter) in ("Cc", "Cs") or letter in _UNSEEN)


def _wrong(document: Document, language: str) -> Iterator[str]:
    for text in _texts(document):
        if _PIECE_OF_JSON.search(text):
            yield f"a piece of a damaged answer: {text[:80]!r}"
        if any(_unusable(letter) for letter in text):
            yield f"text with what nobody can use: {text[:80]!r}"
        if len(text) > LONGEST_TEXT:
            yield f"{len(text)} characters"
    script = languages.checked_script(language)
    for text in _readable(document):
        # The product takes the @ from a mention of nobody: what is left of the fault's own mention is no word of a language.
        if script and not languages.is_native(languages.own_words(text.replace("nobody_here", "")), script):
            yield f"not {language}: {text[:80]!r}"


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _texts(getattr(value, name))
    elif isinstance(value, dict):
        yield from _texts([*value, *value.values()])
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _texts(entry)


def _readable(document: Document) -> Iterator[str]:
    match document:
        case WorldDescription():
            yield from (document.description_short, document.description)
        case CharacterBrief() if not document.moderation:  # else it is what was drawn, in English like everything in a request
            yield document.concept
        case Character():
            yield from (document.bio, document.background_story)
        case Post():
            texts = (document.content, "\n".join(document.texts[1:]))
            yield from (text for text in texts if len(languages.own_words(text)) > SHORT_POST)


def _twice(briefs: Iterator[CharacterBrief]) -> Iterator[str]:
    names = Counter(name for brief in briefs for name in (f"@{brief.username}".casefold(), brief.display_name.casefold()))
    yield from (f"the name {name} exists {count} times" for name, count in names.items() if count > 1)


@dataclass(frozen=True)
class Trial:
    """Which world is made, under which faults and settings. ``number`` tells trials of one name apart."""

    name: str
    faults: Mapping[str, float | str]
    users: int
    posts: int
    language: str = "Russian"
    number: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)

    def order(self, seed: int) -> Order:
        """The same seed gives the same world id, and so the same people, plans and prompts."""
        world_id = uuid.uuid5(_WORLDS, f"{seed}/{self.name}/{self.language}/{self.number}")
        return Order(str(world_id), self.users, self.posts, SENTENCES[self.language])


@dataclass(frozen=True)
class Outcome:
    """The result of a trial. ``wrong``: one sentence for each fault."""

    trial: Trial
    world_id: str
    made: Made
    status: WorldStatus
    stats: Stats
    requests: Sequence[RecordedRequest]
    wrong: list[str]

    @property
    def hits(self) -> Counter[str]:
        faults = set(FaultName.__args__)  # type: ignore[attr-defined]
        return Counter({name: count for name, count in self.stats.by_outcome.items() if name in faults})


class Bench:
    """Trials, one after the other, in one stack."""

    def __init__(self, stack: TestStack, seed: int) -> None:
        logging.disable(logging.WARNING)  # a thousand warnings about injected faults
        stack.start_servers()
        change_settings({**stack.env, **GENEROUS})
        self._stack = stack
        self._seed = seed

    def run(self, trial: Trial) -> Outcome:
        """Make the trial's world and check it; ``wrong`` says whether it is exact and undamaged."""
        change_settings({**GENEROUS, **trial.settings})
        with self._stack.gemini as gemini:
            gemini.reset()
            gemini.replace_faults(Faults.model_validate({"seed": self._seed, **trial.faults}))
            order = trial.order(self._seed)
            made = make(order)
            return self._outcome(trial, order, made, gemini.stats(), gemini.requests(500))

    def go_on(self, before: Outcome, wishes: ResumeOptions, faults: Mapping[str, float]) -> Outcome:
        """Resume the trial's world with these options and faults."""
        with self._stack.database() as database:
            resume_world(database, before.world_id, wishes)
        with self._stack.gemini as gemini:
            gemini.replace_faults(Faults.model_validate({"seed": self._seed, **faults}))
            order = before.trial.order(self._seed)
            made = make(order, generation=before.status.generation)
            return self._outcome(before.trial, order, made, gemini.stats(), gemini.requests(500))

    def _outcome(self, trial: Trial, order: Order, made: Made, stats: Stats, requests: Sequence[RecordedRequest]) -> Outcome:
        with self._stack.database() as database:
            status = known_status(database, order.world_id, made.failure)
            wrong = [] if made.success else [f"the run failed: {made.failure or status.message}"]
            exact = exactness(self._stack, database, order.world_id)
            # A task may have needed its second attempt.
            wrong += [complaint for complaint in exact.complaints if not complaint.startswith("attempts of tasks")]
            wrong += damage(database, order.world_id, language=trial.language)
        return Outcome(trial, order.world_id, made, status, stats, requests, wrong)
