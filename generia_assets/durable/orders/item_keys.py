"""Which keys an order may name: what a key looks like, and which of them each part of a world has.

Here: what can be told from the order alone. Not here: whether the world has such an item (items.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from generia_assets.catalog import TaskType, Unit
from generia_assets.content.keys import WORLD_KEY

KEY_PATTERN = rf"^({WORLD_KEY}|c[0-9]{{4,9}}(-p[0-9]{{4,9}})?)$"
"""Every key that some order may name, as documents.py makes them."""

_WORLD = (WORLD_KEY, re.compile(WORLD_KEY))
_PERSON = ("a person, such as c0007", re.compile("c[0-9]{4,9}"))
_POST = ("a post, such as c0007-p0003", re.compile("c[0-9]{4,9}-p[0-9]{4,9}"))
_TAKES = {
    Unit.WORLD: (_WORLD,),
    Unit.PEOPLE_BATCH: (_PERSON,),
    Unit.PERSON: (_PERSON,),
    Unit.POST_BATCH: (_PERSON,),
    Unit.POST: (_PERSON, _POST),
}
"""A key that names nothing of a part would have the order make nothing and say that it is done."""


def complaint(task_type: TaskType, keys: Iterable[str]) -> str:
    """What is wrong with the first key that names nothing of this part: place, value, what is allowed; '' for none."""
    taken = _TAKES[task_type.asset.unit]
    for number, key in enumerate(keys):
        if not any(pattern.fullmatch(key) for _, pattern in taken):
            allowed = " or ".join(words for words, _ in taken)
            return (
                f"parameters.keys.{number}={key[:60]!r}: a key of {task_type} is {allowed}; leave keys out to make all of it again"
            )
    return ""
