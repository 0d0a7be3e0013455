"""Fallback characters: people made of the program's own draw, where moderation refuses to let the model invent them.

Here: a free name, and the draw in place of a concept. Not here: when this happens (the tasks), the axes (axes.py).

The draw is English, like everything in prompts, and readers see it only in traces: the person is written from it, in the world's
language; if that is refused too, a sentence says that there is nothing (``languages.undescribed_person``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count

from generia_assets.content import seeding
from generia_assets.content.axes import character_axes, years
from generia_assets.content.documents import CharacterBrief, WorldDescription, WorldRequest
from generia_assets.content.keys import character_key
from generia_assets.content.names import username
from generia_assets.content.text import sentence

_CONCEPT_AXES = 4
_LINE_AXES = 2
"""Axes, in the file's order, that make a concept and its one line."""


def fallback_character(
    request: WorldRequest,
    world: WorldDescription,
    index: int,
    posts_count: int,
    reason: str,
    taken: Callable[[str, str], bool],
) -> CharacterBrief:
    """The person with this index as they were drawn. ``taken``: whether somebody has this username or this display name."""
    handle, name = next(names for names in _names(world, request.seed, index) if not taken(*names))
    drawn = character_axes(request.seed, index)
    return fallback_life(
        CharacterBrief(
            key=character_key(index),
            username=handle,
            display_name=name,
            concept="",
            one_line="",
            axes=drawn,
            posts_count=posts_count,
            years=years(request.seed, index),
        ),
        drawn,
        reason,
    )


def fallback_life(brief: CharacterBrief, drawn: Mapping[str, str], reason: str) -> CharacterBrief:
    """The same person with this draw for a concept, marked with the ``reason`` of the refusal."""
    values = list(drawn.values())
    return brief.model_copy(
        update={
            "concept": " ".join(sentence(value[:1].upper() + value[1:]) for value in values[:_CONCEPT_AXES]),
            "one_line": "; ".join(values[:_LINE_AXES]),
            "axes": dict(drawn),
            **dict.fromkeys(("kind", "age", "trade", "look"), ""),
            "facts": {},
            "moderation": f"drawn by lot, the model's concepts were refused by moderation: {reason}",
        }
    )


def _names(world: WorldDescription, seed: int, index: int) -> Iterator[tuple[str, str]]:
    """Usernames and display names without end: the world's examples of names, their parts put together anew, then with numbers."""
    examples = [name for name in world.naming.examples if name.strip()] or [world.name]
    seeding.seeded_rng(seed, "stand-in", index).shuffle(examples)
    mixed = [f"{one.split()[0]} {' '.join(other.split()[1:]) or other}" for one in examples for other in examples if one != other]
    for name in (*examples, *mixed):
        # Usernames are Latin; a name in another script is not transcribed, which would take knowing the language.
        yield username(name) if name.isascii() and username(name) else f"someone_{index + 1}", name
    for number in count(2):
        for name in examples:
            yield f"someone_{index + 1}_{number}", f"{name} {number}"
