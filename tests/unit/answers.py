"""Answers of a model, as dictionaries, for tests of drafts and tasks."""

from __future__ import annotations

from collections.abc import Iterable

_WEIGHED = [{"idea": "the one everybody has", "probability": 0.7}, {"idea": "the other", "probability": 0.05}]


def people_answer(numbers: Iterable[int], *, name: str = "Chock", russian: bool = False) -> dict[str, object]:
    """Concepts for these numbers."""
    concept = "Продаёт клинья с тележки и меряет наклон порогов." if russian else "Sells wedges and measures doorsteps."
    return {
        "people": [
            {
                "number": number,
                "considered": _WEIGHED,
                "display_name": f"{name} {number} Lane",
                "username": f"{name}_{number}",
                "concept": concept,
                "one_line": concept,
            }
            for number in numbers
        ]
    }


def character_answer(relations: int, *, russian: bool = False) -> dict[str, object]:
    """A person in full, with so many relations."""
    text = "Двор помнит, кто кому должен." if russian else "The stairway knows who owes whom."
    return {
        **dict.fromkeys(("personality", "appearance", "speaking_style", "secret", "daily_routine", "bio"), text),
        "story": [text, text, text],
        "look": "broad woman of sixty, cropped grey hair",
        "interests": [text],
        "common_topics": [text],
        "relations": {f"person_{n}": {"relationship_type": text[:5], "description": text} for n in range(1, relations + 1)},
        "avatar_description": "Seen from behind, pushing a handcart uphill",
        "avatar_style": "a crooked snapshot",
    }


def ideas_answer(numbers: Iterable[int], *, words: str = "", mentions: tuple[int, ...] = (), event: int = 0) -> dict[str, object]:
    """Ideas for these numbers, unlike each other."""
    return {
        "ideas": [
            {
                "number": number,
                "considered": _WEIGHED,
                "moment": f"day {number}",
                "idea": words or " ".join(f"thing{number}{letter}" for letter in "abcdefgh"),
                "event": event,
                "mentions": list(mentions),
            }
            for number in numbers
        ]
    }


def post_answer(**changed: object) -> dict[str, object]:
    """A post."""
    return {
        "content": "who took the second wedge from under the tram stop. 4 pence. thank you @nobody",
        "mood": "cross",
        "context": "It was her own cart.",
        "location": "stop 9",
        "time_of_day": "second bell",
        "hashtags": ["#Tilt Watch", "tiltwatch", "", "#wedges"],
        "shows_author": False,
        "image_prompt": "A tram stop seen from the kerb, one wedge missing",
        "image_style": "too close",
        **changed,
    }
