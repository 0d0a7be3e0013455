"""Rendering: the one place where templates become text.

Here: the Jinja environment and its filters. Not here: what is put into the templates (ask_*.py), and the templates (prompts/).
A template that asks for something it was not given fails at once (``StrictUndefined``) instead of sending a hole to a model.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

from generia_assets.content.fence import Fence
from generia_assets.content.text import cut, one_line, sentence

FOLDER = Path(__file__).parent / "prompts"


@jinja2.pass_context
def _fenced(context: jinja2.runtime.Context, text: str, name: str) -> str:
    """Put the text between tags of this render's fence, on lines of their own."""
    fence = context["fence"]
    if not isinstance(fence, Fence):
        raise TypeError("a template that fences text must be given a fence")
    return f"{fence.around(name, text)}\n"


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
