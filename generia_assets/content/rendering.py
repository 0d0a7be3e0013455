"""Rendering: the one place where templates become text.

Here: the Jinja environment and its filters. Not here: what is put into the templates (ask_*.py), and the templates (prompts/).
A template that asks for something it was not given fails at once (``StrictUndefined``) instead of sending a hole to a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import jinja2

from generia_assets.content.fence import Fence
from generia_assets.content.text import cut, one_line, sentence

FOLDER = Path(__file__).parent / "prompts"

MOST_MATERIAL: Mapping[str, int] = MappingProxyType({"world": 28_000, "people": 64_000, "planned": 24_000, "names": 16_000})
MOST_OF_OTHERS = 12_000
"""Characters of material between two tags, by the tags' name: about twice what a large world has. With the lengths of fields
(fields.py) they are a ceiling for every request, so that no answer makes the requests after it dear."""


@jinja2.pass_context
def _fenced(context: jinja2.runtime.Context, text: str, name: str) -> str:
    """Put the text between tags of this render's fence, on lines of their own."""
    fence = context["fence"]
    if not isinstance(fence, Fence):
        raise TypeError("a template that fences text must be given a fence")
    return f"{fence.around(name, cut(text, MOST_MATERIAL.get(name, MOST_OF_OTHERS)))}\n"


@cache
def environment() -> jinja2.Environment:
    """The environment of all templates."""
    # Plain text for a model: HTML escaping would change what it reads. Material is made harmless by fences.
    result = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701
    )
    result.filters["fenced"] = _fenced
    result.filters["sentence"] = sentence
    result.filters["one_line"] = one_line
    result.filters["cut"] = cut
    return result


def render(template: str, **values: object) -> str:
    """The text of a template (its file name without ``.j2``). Raises jinja2.TemplateError when template and values disagree."""
    return environment().get_template(f"{template}.j2").render(**values).strip()


def complaint(kind: str, **values: object) -> str:
    """One line about an answer that cannot be used as it is (prompts/complaints.j2)."""
    return one_line(render("complaints", kind=kind, **values))
