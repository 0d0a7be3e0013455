"""Answers of a model, as dictionaries, for tests of drafts and tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_OBVIOUS = "the one everybody has"

_LIVES = """Sells wedges and measures doorsteps|Продаёт клинья с тележки
Owes a bee-keeper nine turnips, in writing|Должна пасечнику девять реп под расписку
Tunes tram bells by biting them|Настраивает трамвайные звонки зубами
Rents out her window on parade days|Сдаёт окно внаём по праздникам
Has an opinion on every roof but her own|О чужих крышах знает всё
Paints numbers nobody asked for|Рисует никому не нужные номера
Drives the night cart, asleep|Возит ночные бочки, не просыпаясь
Keeps the only key that fits no lock|Хранит ключ без замка
Was judge for an afternoon; misses it|Побыл судьёй до обеда и скучает
Writes other people's apologies for money|Пишет чужие извинения за деньги
Grows moss to order, never on time|Растит мох под заказ
Judges soup contests blindfold|Судит супы с завязанными глазами"""
_CONCEPTS = [line.split("|") for line in _LIVES.splitlines()]
"""English and Russian concepts of twelve people, unlike each other."""


def people_answer(numbers: Iterable[int], *, name: str = "Chock", russian: bool = False) -> dict[str, Any]:
    """Concepts for these numbers (1 to 12), all different."""
    return {
        "people": [
            {
                "number": number,
                "obvious": _OBVIOUS,
                "display_name": f"Мел {number} Тупик" if russian else f"{name} {number} Lane",
                "username": f"{name}_{number}",
                "kind": "a woman (she)",
                "age": "sixty winters",
                "trade": "wedges",
                "concept": _CONCEPTS[number - 1][russian],
                "one_line": _CONCEPTS[number - 1][russian],
                "look": f"broad woman in coat number {number}",
            }
            for number in numbers
        ],
        "ties": {f"tie_{place}": f"{name} told the truth about chock {place}." for place in range(1, 41)},
    }


def character_answer(relations: int, *, russian: bool = False) -> dict[str, Any]:
    """A complete person, with this number of relations."""
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


def ideas_answer(numbers: Iterable[int], *, words: str = "") -> dict[str, Any]:
    """Ideas for these numbers, all different."""
    return {
        "ideas": [
            {
                "number": number,
                "obvious": _OBVIOUS,
                "idea": words or " ".join(f"thing{number}{letter}" for letter in "abcdefgh"),
            }
            for number in numbers
        ]
    }


def post_answer(**changed: Any) -> dict[str, Any]:
    """A post."""
    return {
        "obvious": "somebody took my wedge",
        "content": "who took the second wedge from under the tram stop. 4 pence. thank you @nobody",
        "context": "It was her own cart.",
        "mood": "cross",
        "location": "stop 9",
        "time_of_day": "second bell",
        "hashtags": ["#Tilt Watch", "tiltwatch", "", "#wedges"],
        "image_prompt": "A tram stop seen from the kerb, one wedge missing",
        "image_style": "too close",
        **changed,
    }
