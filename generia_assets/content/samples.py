"""Samples: each request that the generator can make, for a sample world, and sample answers for ``generia prompts``.

Here: the requests, with every optional part and with none, so that every template is rendered before a world is paid for
(check.py). And answers that fit a request's schema, for ``generia prompts``: they depend on the schema and on the request's place
in the world alone, never on the words of a template, so that a changed template changes no other request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import EnumType
from functools import partial
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel

from generia_assets.content import ask_people, ask_posts, ask_world, axes, languages, pictures, seeding, social
from generia_assets.content.documents import (
    Acquaintance,
    Character,
    CharacterBrief,
    Post,
    PostBrief,
    Relationship,
    WorldDescription,
    WorldRequest,
)
from generia_assets.content.drafts import Draft, in_language
from generia_assets.content.keys import character_key
from generia_assets.content.names import CharacterIndex
from generia_assets.content.prompt import Schema
from generia_assets.content.rendering import complaint
from generia_assets.content.shares import shares
from generia_assets.content.similarity import Ideas
from generia_assets.content.storyline import storyline

ModelT = TypeVar("ModelT", bound=BaseModel)
DraftT = TypeVar("DraftT", bound=Draft)

COMPLAINTS: dict[str, dict[str, object]] = {
    "missing": {"numbers": [1, 2]},
    "taken": {"number": 1, "name": "a name"},
    "banned": {"number": 1, "name": "a name", "found": ["a word"]},
    "nameless": {"number": 1, "name": "a name"},
    "mixed": {"number": 1, "name": "a name"},
    "script": {"number": 1, "name": "a name", "language": "Russian"},
    "same_person": {"number": 1, "name": "a name"},
    "repeated": {"number": 1, "name": "an idea"},
    "same_concept": {"name": "a name"},
    "refused": {"reason": "SAFETY", "times": 2},
    "language": {"named": "English", "seems": "Russian"},
    "foreign": {"named": "English", "seems": "Russian"},
    "banned_world": {"found": ["a word"]},
    "relations": {"names": ["person_1"]},
}
"""Each kind of complaints.j2, with what the tasks give it."""


class _ShortIndex(CharacterIndex):
    """Two people with a line, one by name, and three more without: in a real index they are hundreds."""

    MOST_LINES = 2
    MOST_NAMES = 1


class _ShortIdeas(Ideas):
    """One idea in full, the others in short."""

    MOST_IN_FULL = 1


def requests() -> Iterator[Callable[[], object]]:
    """What makes each request: first with every optional part, then with none."""
    for full in (True, False):
        yield from _of_a_world(full)
        yield from _of_people(full)
        for index in _posters() if full else (0,):
            yield from _of_posts_by(index, full)
        for kind in ("header", "icon", "avatar", "post"):
            more = {"look": "a look", "manner": "a manner"} if full else {}
            yield partial(pictures.picture_prompt, _world(full), kind, "a scene", **more)
            yield partial(pictures.neutral_prompt, _world(full), kind)
    for kind, values in COMPLAINTS.items():
        yield partial(complaint, kind, **values)


def _of_a_world(full: bool) -> Iterator[Callable[[], object]]:
    request, world = _request(full), _world(full)
    yield partial(ask_world.world_description, request, softened="SAFETY" if full else "")
    yield partial(ask_world.world_description, request.model_copy(update={"language": "English"}))
    yield partial(ask_world.world_images, request, world)
    for kind in ("avatar", "post"):
        yield partial(ask_world.refine_picture, request, world, kind, "a scene", "a text" if full else "")


def _of_people(full: bool) -> Iterator[Callable[[], object]]:
    index = 7 if full else 0
    # As it was ordered: people of an extension have no plot.
    request, world, known = _request(full).model_copy(update={"former_sizes": ()}), _world(full), _known(full, index)
    briefs = [_brief(index) for index in range(6)] if full else []
    numbers = range(1, 11) if full else [1]
    described_by = [sample(Character, username=known[0].username)] if full else []
    for mild in (False, True):
        yield partial(
            ask_people.character_batch,
            request,
            world,
            first=10 if full else 0,
            numbers=numbers,
            characters=_ShortIndex(briefs),
            made=briefs[:1],
            mild=mild,
        )
        yield partial(ask_people.regenerated_concept, request, world, _brief(index), briefs, known, mild=mild)
        yield partial(
            ask_people.character,
            request,
            world,
            _brief(index),
            known,
            described_by=described_by,
            softened="SAFETY" if full else "",
            mild=mild,
        )
    yield partial(ask_people.character, request, world, _brief(index), known)


def _posters() -> Iterator[int]:
    """People of the sample world whose posts reach each branch: one replies with hashtags, one names a person without @."""
    request, world = _request(full=True), _world(full=True)
    posters = [
        (index, axes.profile(request.seed, index), storyline(request, world, index).slots) for index in range(request.users_count)
    ]
    yield next(index for index, profile, slots in posters if profile.tags and any(slot.reply_to for slot in slots))
    yield next(
        index
        for index, profile, slots in posters
        if not profile.names_with_at and any(slot.partner and not slot.reply_to for slot in slots)
    )


def _of_posts_by(index: int, full: bool) -> Iterator[Callable[[], object]]:
    request, world, known = _request(full), _world(full), _known(full, index)
    posts = shares(request.seed, *request.size)[index]
    ties = [sample(Relationship, username=other.username) for other in known]
    # A person whose description moderation refused has no personality (generate_character.py).
    described = {"relationships": ties} | ({} if full else {"personality": ""})
    person = sample(Character, full=full, key=character_key(index), posts_count=posts, selves=0, **described)
    ideas = [sample(PostBrief, full=full, key="c0007-p0000", order=order, moderation="") for order in range(posts)]
    former, replied_to = ("a text", sample(Post)) if full else ("", None)
    slots = storyline(request, world, index).slots
    for softened in ("", "SAFETY"):
        yield partial(
            ask_posts.post_batch,
            request,
            world,
            person,
            known,
            first=0,
            numbers=range(1, posts + 1),
            earlier=_ShortIdeas(ideas[:3] if full else ()),
            softened=softened,
        )
        for slot in slots:
            heard = ideas[:2] if full else ()
            optional: dict[str, Any] = {"replied_to": replied_to, "heard": heard, "softened": softened, "former": former}
            yield partial(ask_posts.post, request, world, person, ideas[slot.order], known, ideas, **optional)
            # A reply whose post is missing.
            yield partial(ask_posts.post, request, world, person, ideas[slot.order], known, ideas)


def _request(full: bool) -> WorldRequest:
    people, posts = (25, 150) if full else (1, 1)
    return sample(WorldRequest, full=full, user_prompt="A town of samples", users_count=people, posts_count=posts, language="")


def _world(full: bool) -> WorldDescription:
    return sample(WorldDescription, full=full)


def _brief(index: int) -> CharacterBrief:
    return sample(CharacterBrief, key=character_key(index), username=f"person_{index}", selves=0)


def _known(full: bool, index: int) -> list[Acquaintance]:
    request = _request(full)
    ties = social.acquaintances(request.seed, request.users_count, index, request.size.former)
    # The second one has nothing but the one line, like people of older worlds.
    return [
        sample(Acquaintance, key=character_key(tie.index), username=f"person_{tie.index}", concept="" if place else "a concept")
        for place, tie in enumerate(ties)
    ]


def sample(shape: type[ModelT], *, full: bool = True, **given: object) -> ModelT:
    """One of these documents, every field filled by its type; with ``full`` false only those that must be there."""
    wanted = {name: field for name, field in shape.model_fields.items() if full or field.is_required()}
    return shape.model_validate({name: given.get(name, _value(field.annotation, name)) for name, field in wanted.items()} | given)


def _value(kind: Any, name: str) -> object:  # noqa: ANN401  an annotation
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple:
        return [_value(inner[0], f"{name} {number}") for number in (1, 2)]
    if origin is dict:
        return {f"{name} {number}": _value(inner[1], name) for number in (1, 2)}
    if type(None) in inner:
        return _value(inner[0], name)
    if isinstance(kind, EnumType):
        return next(iter(kind))
    if issubclass(kind, BaseModel):
        return sample(kind)
    return {int: 1, float: 1.0, bool: True, datetime: datetime(2026, 1, 1, tzinfo=UTC)}.get(kind, f"the {name}")


_NO_LANGUAGE = "-"
"""A language's name that names none: sample answers are English in every world, and no script is asked for."""
_ENTRIES = 2
"""Entries of a list whose length is open."""


def sample_answer(draft: type[DraftT], schema: Schema, name: str, language: str) -> DraftT:
    """The answer to the request of this ``name`` (``post.@mira.3``), in a world of this ``language``."""
    free: type[DraftT] = in_language(draft, _NO_LANGUAGE)
    return free.model_validate(_answer_value(schema, name, "", language))


def _answer_value(schema: Schema, name: str, path: str, language: str) -> object:
    if options := schema.get("enum"):
        return options[0]
    if either := schema.get("anyOf"):
        return _answer_value(either[0], name, path, language)
    match schema.get("type"):
        case "object":
            parts = schema.get("properties", {})
            return {part: _answer_value(of, name, f"{path} {part}".strip(), language) for part, of in parts.items()}
        case "array":
            least, most = schema.get("minItems", 0), schema.get("maxItems", _ENTRIES)
            entries = range(1, max(least, min(_ENTRIES, most)) + 1)
            return [_answer_value(_numbered(schema["items"], number), name, f"{path} {number}", language) for number in entries]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case _:
            return language if path == "content_language" else _text(name, path, language)


def _numbered(schema: Schema, number: int) -> Schema:
    """The schema of an entry of a list: the numbers in it count from their minimum on, entry by entry."""
    own = {**schema, "minimum": min(schema["minimum"] + number - 1, schema["maximum"])} if "minimum" in schema else schema
    parts = own.get("properties", {})
    return {**own, "properties": {part: _numbered(of, number) if "minimum" in of else of for part, of in parts.items()}}


def _text(name: str, path: str, language: str) -> str:
    digits = "_".join(re.findall(r"\d+", f"{name} {path}"))
    if path.endswith("username"):
        return f"person_{digits}"
    if path.endswith("display_name"):  # the tasks ask for the world's script; digits are of any
        return f"Person {digits}" if languages.checked_script(language) in ("Latin", None) else digits
    # The codes make any two samples dissimilar by every measure.
    return f"Sample of {path} in {name} ({' '.join(seeding.code(0, name, path, place) for place in range(3))})"
