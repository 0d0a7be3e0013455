"""A request to the language model: its parts as data, the common beginning of all requests of a world, and the answer's schema.

The beginning (the system instruction and the world) is the same bytes in all requests about posts, and in all others, so that the
provider's cache can hit. Not here: single requests (ask_world.py, ask_people.py, ask_posts.py), and the classes of answers
(drafts.py).

Measured limits of the provider's schemas: nothing but ``$`` keys beside a ``$ref``; minLength, maxLength, pattern and default
ignored; arrays of objects above ten items and long enums refused with "too many states". So definitions are inlined, and what is
not honoured is checked by the classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel

from generia_assets.content import banlist, languages
from generia_assets.content.documents import WorldDescription, WorldRequest
from generia_assets.content.rendering import PromptDelimiter, escaped, render
from generia_assets.content.storyline import wishes_of
from generia_assets.content.text import cut

LONGEST_COMPLAINT = 800
"""Characters of a complaint; it may quote much of an answer."""
Schema = dict[str, Any]

_KEPT = ("type", "items", "enum", "minItems", "maxItems", "minimum", "maximum", "anyOf")
_BAN_TITLES = {
    "names": "names",
    "jobs": "trades and figures",
    "words": "words",
    "phrases": "turns of phrase",
    "openings": "beginnings of a text",
}


@dataclass(frozen=True)
class Shape:
    """What a request fixes about its answer; fields are named by dotted paths (``people.number``).

    ``items``: least and most items of an array; an array of the answer itself that has none is not asked for. ``ranges``: minimum
    and maximum of a number (or of an array's numbers). ``slots``: a field of the answer that maps names to values, and the names it
    must have; without names it is not asked for.
    """

    items: tuple[tuple[str, int, int], ...] = ()
    ranges: tuple[tuple[str, int, int], ...] = ()
    slots: tuple[tuple[str, tuple[str, ...]], ...] = ()


AS_IT_IS = Shape()


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:  # noqa: ANN401  any part of a schema
    if isinstance(node, list):
        return [_inlined(part, definitions) for part in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions)
    result = {key: _inlined(node[key], definitions) for key in _KEPT if key in node}
    if "properties" in node:
        # Names of properties are not keywords: each is kept, whatever it is called.
        result |= _object({name: _inlined(part, definitions) for name, part in node["properties"].items()})
    if isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _inlined(node["additionalProperties"], definitions)
    return result


def _object(properties: Schema) -> Schema:
    """All fields are asked for, defaults or not, and in the order of the class, which is the order of thinking."""
    return {"properties": properties, "required": list(properties), "propertyOrdering": list(properties)}


def _at(schema: Schema, path: str) -> Schema:
    """The node at a dotted path; steps through arrays by itself."""
    node = schema
    for name in path.split("."):
        node = _entry(node)["properties"][name]
    return node


def _leave_out(schema: Schema, field: str) -> None:
    del schema["properties"][field]
    schema |= _object(schema["properties"])


def _entry(node: Schema) -> Schema:
    """An entry of an array; of anything else the node itself."""
    entry: Schema = node.get("items", node)
    return entry


@lru_cache(maxsize=256)
def schema_of(draft: type[BaseModel], shape: Shape = AS_IT_IS) -> Schema:
    """The schema of this draft with this shape. Cached: the same shape gives the same object, which must not be changed."""
    raw = draft.model_json_schema()
    schema: Schema = _inlined(raw, raw.get("$defs", {}))
    for name, names in shape.slots:
        if names:
            mapping = schema["properties"][name]
            mapping |= _object(dict.fromkeys(names, mapping.pop("additionalProperties")))
        else:
            _leave_out(schema, name)
    for path, least, most in shape.items:
        if most:
            _at(schema, path).update(minItems=least, maxItems=most)
        else:
            _leave_out(schema, path)
    for path, minimum, maximum in shape.ranges:
        _entry(_at(schema, path)).update(minimum=minimum, maximum=maximum)
    return schema


@dataclass(frozen=True)
class Prompt:
    """A request for one draft.

    ``system`` and ``world`` are byte-identical for all requests with the same extent of a world, so that the provider's implicit
    cache can hit; ``item`` comes last and is the only part that differs. ``complaints`` follow it when an earlier answer was wrong.
    ``schema`` is the JSON schema of the answer, without ``$ref``.
    """

    request_type: str
    system: str
    world: str
    item: str
    schema: Schema
    max_output_tokens: int
    complaints: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts in the order of sending: the common beginning, the item, then complaints about earlier answers."""
        wrong = "\n".join(f"- {complaint}" for complaint in self.complaints)
        again = f"Your last answer could not be used. Answer again in full, and mend this:\n{wrong}" if wrong else ""
        return tuple(part for part in (self.world, self.item, again) if part)

    def with_complaints(self, *complaints: str) -> Prompt:
        """The same request, with complaints about the last answer.

        Complaints quote names and ideas of the model, and a refusal's reason; tags in them are escaped.
        """
        more = (cut(escaped(complaint), LONGEST_COMPLAINT) for complaint in complaints)
        return replace(self, complaints=(*self.complaints, *more))

    def with_more_output(self, *, ceiling: int) -> Prompt:
        """The same request with twice the output tokens, at most ``ceiling``, for an answer that was cut short."""
        return replace(self, max_output_tokens=min(ceiling, 2 * self.max_output_tokens))


@lru_cache(maxsize=64)
def system(seed: int, user_prompt: str, language: str, *, guessed: bool = False) -> str:
    """The system instruction: the writing rules, the language, the ban list.

    ``language`` by its English name, '' when it is unknown; ``guessed``: the program only guesses it.
    """
    listed = banlist.ban_list(language, user_prompt)
    banned = [(title, getattr(listed, kind)) for kind, title in _BAN_TITLES.items()]
    return render(
        "system",
        language=language or "the language of the user's sentence",
        guessed=guessed,
        code=PromptDelimiter.of(seed).code,
        banned=[(title, entries) for title, entries in banned if entries],
    )


def guessed_system(request: WorldRequest) -> str:
    """The system instruction before the world is described: with the language ordered, or else a guess."""
    if request.language:
        return system(request.seed, request.user_prompt, languages.canonical(request.language))
    guess = languages.guess(request.user_prompt)
    return system(request.seed, request.user_prompt, guess.name if guess else "", guessed=guess is not None)


Extent = Literal["world", "world_in_brief", "world_in_short"]
"""How much of the world a request has: all of it, for inventing people; what everybody sees, for posts; what moderation accepts."""


@lru_cache(maxsize=64)
def world_text(request: WorldRequest, world: WorldDescription, extent: Extent = "world") -> str:
    """The world as it is in every request of a kind after its description, by the template ``extent``.

    Without its calendar: each request has as much of that as has happened by then.
    """
    more = world.additional_details
    details = {
        "Climate": more.climate,
        "What there is and what is scarce": more.resources,
        "Conflicts": more.conflicts,
        "Traditions": more.traditions,
        "Tools and machines": more.technology,
        "Magic or what is in its place": more.magic_system,
        "Time": more.time_period,
        "Languages spoken": more.language,
    }
    return render(
        extent,
        delimiter=PromptDelimiter.of(request.seed),
        user_prompt=request.user_prompt,
        world=world,
        wishes=wishes_of(request, world),
        details=[(title, text) for title, text in details.items() if text],
    )


def ask(
    request: WorldRequest,
    world: WorldDescription,
    request_type: str,
    draft: type[BaseModel],
    max_output_tokens: int,
    shape: Shape = AS_IT_IS,
    *,
    template: str = "",
    extent: Extent = "world",
    **values: object,
) -> Prompt:
    """A request to the model about a described world.

    ``template`` where it is not named like the request type; ``extent``: how much of the world;
    ``values`` go into the template, beside the world and its delimiter. The item begins with its instructions, the same for all
    requests of a type, and ends with its data.
    """
    return Prompt(
        request_type=request_type,
        system=system(request.seed, request.user_prompt, world.user_preferences.language),
        world=world_text(request, world, extent),
        item=render(template or request_type, delimiter=PromptDelimiter.of(request.seed), world=world, **values),
        schema=schema_of(draft, shape),
        max_output_tokens=max_output_tokens,
    )
