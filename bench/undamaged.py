"""Whether a world's texts are whole: every document valid, no name twice, nothing in a text that a damaged answer left there.

Here: the look at the stored documents themselves. Not here: their number, and who else counts them (exact.py).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

from pydantic import BaseModel, ValidationError

from generia_assets.catalog import ASSETS
from generia_assets.content import languages
from generia_assets.content.documents import Character, CharacterBrief, Document, Post, WorldDescription
from generia_assets.content.drafts import SHORT_POST
from resources.mongodb.connection import MongoDatabase
from resources.mongodb.document_store import DocumentStore, NotMaterializedError

LONGEST_TEXT = 120_000
"""Characters of the longest text a document may hold: thirty paragraphs of four thousand."""

_UNSEEN = frozenset("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_PIECE_OF_JSON = re.compile(r'```|\{\s*"|"\s*:\s*["\[{]')


def damage(database: MongoDatabase, world_id: str, *, language: str) -> list[str]:
    """Every damaged document of the world in one sentence each; ``language`` is the one that was ordered by the user's sentence."""
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
    """Control characters, halves of pairs, and marks that turn the writing; told without the product's own help."""
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
        if script and not languages.is_native(languages.own_words(text), script):
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
        case CharacterBrief() if not document.moderation:  # else it is what was drawn, in English like all that the model is told
            yield document.concept
        case Character():
            yield from (document.bio, document.background_story)
        case Post() if len(languages.own_words(document.content)) > SHORT_POST:
            yield document.content


def _twice(briefs: Iterator[CharacterBrief]) -> Iterator[str]:
    names = Counter(name for brief in briefs for name in (f"@{brief.username}".casefold(), brief.display_name.casefold()))
    yield from (f"the name {name} exists {count} times" for name, count in names.items() if count > 1)
