"""Rendering of templates.

Not here: what is put into the templates (ask_*.py), and the templates (prompts/). A template that uses a name it was not given
fails at once, with its line.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import jinja2
from pydantic import BaseModel

from generia_assets.content import seeding
from generia_assets.content.text import clean, cut, first_sentences, one_line, sentence
from generia_assets.content.yaml_files import ContentError, Mistake

FOLDER = Path(__file__).parent / "prompts"

MOST_MATERIAL: Mapping[str, int] = MappingProxyType({"world": 28_000, "people": 64_000, "planned": 24_000, "names": 16_000})
MOST_OF_OTHERS = 12_000
"""Characters of material between two tags, by the tags' name: about twice what a large world has. With the lengths of fields
(fields.py) they bound every request, so that no answer makes later requests expensive."""
given: ContextVar[dict[str, set[str]] | None] = ContextVar("given", default=None)
"""Collects the names that each template is given, while check.py sets it."""


class _Missing(jinja2.StrictUndefined):
    """A name that a template uses and was not given; its message lists the names that exist."""

    @property
    def _undefined_message(self) -> str:
        there = self._undefined_obj
        if is_dataclass(there) or isinstance(there, (BaseModel, Mapping)):
            kind = "this mapping" if isinstance(there, Mapping) else type(there).__name__
            return f"{kind} has no {self._undefined_name!r}; it has {listed(_names_in(there))}"
        return super()._undefined_message


def _names_in(value: object) -> Iterable[str]:
    if is_dataclass(value):
        return (field.name for field in fields(value))
    return map(str, value) if isinstance(value, Mapping) else type(value).model_fields  # type: ignore[attr-defined]


def listed(names: Iterable[str]) -> str:
    """These names for a message, in order, at most 40."""
    found = sorted(names)
    return ", ".join(found[:40]) + (", …" if len(found) > 40 else "") if found else "nothing"


# What may look like an angle bracket to a reader that normalises: ASCII, full-width, small, single quotes, mathematical.
_BRACKETS = "<＜﹤‹⟨〈"
_TAG_START = re.compile(rf"(?:[{_BRACKETS}]|&lt;?)+(?=[\s/\\]*[^\W\d])")


def escaped(text: str) -> str:
    """The text with everything that looks like the start of a tag escaped: for quotations within instructions."""
    return _without_tags(clean(text))


def _without_tags(text: str) -> str:
    # A bracket that starts no tag ("<3", "a < 5") stays as it is. Most texts have none, and the pattern is slow.
    return _TAG_START.sub("(", text) if any(sign in text for sign in (*_BRACKETS, "&")) else text


@dataclass(frozen=True)
class PromptDelimiter:
    """Tags of one world. Their code is derived from the world's seed, so the author of a sentence cannot know it."""

    code: str

    @classmethod
    def of(cls, seed: int) -> PromptDelimiter:
        return cls(seeding.code(seed, "fence"))

    def neutral(self, text: str) -> str:
        """The text with everything that looks like the start of a tag escaped, and without the code."""
        return _without_tags(re.sub(re.escape(self.code), "", clean(text), flags=re.IGNORECASE))

    def around(self, name: str, text: str) -> str:
        return f"<{name}-{self.code}>\n{self.neutral(text)}\n</{name}-{self.code}>"


@jinja2.pass_context
def _delimited(context: jinja2.runtime.Context, text: str, name: str) -> str:
    """Put the text between tags of this render's delimiter, on lines of their own."""
    delimiter = context["delimiter"]
    if not isinstance(delimiter, PromptDelimiter):
        raise TypeError("a template that delimits text must be given a delimiter")
    return f"{delimiter.around(name, cut(text, MOST_MATERIAL.get(name, MOST_OF_OTHERS)))}\n"


@cache
def environment() -> jinja2.Environment:
    # Plain text for a model: HTML escaping would change what it reads. Material is escaped and delimited.
    result = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        undefined=_Missing,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701
        auto_reload=False,  # a run uses the templates that were checked at its start
    )
    result.filters.update(delimited=_delimited, sentence=sentence, one_line=one_line, cut=cut, first_sentences=first_sentences)
    return result


def render(template: str, **values: object) -> str:
    """The text of a template (its file name without ``.j2``). Raises ``ContentError`` with the line where the two disagree."""
    noted = given.get()
    if noted is not None:
        noted.setdefault(f"{template}.j2", set()).update(values)
    try:
        return environment().get_template(f"{template}.j2").render(**values).strip()
    except (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ContentError(mistake(f"{template}.j2", error, values)) from error


def mistake(template: str, error: Exception, values: Iterable[str] = ()) -> Mistake:
    """The mistake behind an error of parsing or rendering; ``values`` are the names that the template was given."""
    reason = str(error) or type(error).__name__
    if isinstance(error, jinja2.TemplateSyntaxError):
        return Mistake(f"content/prompts/{error.name or template}", error.lineno, reason)
    if isinstance(error, jinja2.TemplateNotFound):
        reason = f"{reason}: no such template; there are {listed(path.name for path in FOLDER.glob('*.j2'))}"
    elif isinstance(error, jinja2.UndefinedError) and reason.endswith(" is undefined"):
        reason = f"{reason}; given are {listed(values)}"
    elif not isinstance(error, jinja2.TemplateError):
        reason = f"{type(error).__name__}: {reason}"
    # Jinja puts the template's own lines into the traceback; the last one is where it went wrong, in an included file, too.
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent == FOLDER]
    file, line = (Path(lines[-1].filename).name, lines[-1].lineno) if lines else (template, None)
    return Mistake(f"content/prompts/{file}", line, reason)


def complaint(kind: str, **values: object) -> str:
    """One line about an answer that cannot be used as it is (prompts/complaints.j2)."""
    return one_line(render("complaints", kind=kind, **values))
