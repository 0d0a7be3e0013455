"""Relations after one of the two was made anew: what the other one's document says is mended, and nothing else of it.

Here: the mending, as a function of documents. The username stays, so relations and mentions still lead to somebody who exists; what
was told of the former self does not fit any more. Not here: what is told instead (``Character.seen_by``,
tasks/generate_character.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from generia_assets.content.documents import Character


def with_updated_relationships(character: Character, anew: Mapping[str, Character]) -> Character:
    """The person with their relations to those made anew (by username) told as it is now; the very same object where none is."""

    def now(username: str, before: str) -> str:
        other = anew.get(username)
        return before if other is None else other.seen_by.get(character.username, before)

    relationships = tuple(
        tie.model_copy(update={"description": now(tie.username, tie.description)}) for tie in character.relationships
    )
    return character if relationships == character.relationships else character.model_copy(update={"relationships": relationships})
