"""A world's requests and answers as one page in Markdown, for people who want to see how a world comes about.

Here: the page. What repeats (the instructions of a type of request, the world as it is told, long lines of an earlier request or
answer) stands there once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import takewhile

from generia_assets.cli.dry_run import DryRequest
from generia_assets.content.documents import WorldRequest

_TOP = """# A world in prompts and answers

*{sentence}*, {users} people, {posts} posts, seed {seed}: everything the language model was told and answered, in the order of
work. Every request begins with the same instructions and, from the second on, with the world; both stand here once. Of requests of
one type the first is shown whole, of the others what differs; a long line that stood on this page before is cut ([as above]). Made
by `make world-page`; how to change the prompts: [prompts.md](prompts.md)."""
_LONG, _BEGINNING = 160, 60
"""Characters of a line that is shown once, and of what is shown of it afterwards."""


def as_page(request: WorldRequest, asked: list[DryRequest]) -> str:
    """The page. Of a request without an answer the request alone."""
    page = [_TOP.format(sentence=request.user_prompt, users=request.users_count, posts=request.posts_count, seed=request.seed)]
    shown: dict[str, str] = {}
    lines: set[str] = set()
    for one in asked:
        prompt = one.prompt
        for title, text in (("Told first in every request", prompt.system), ("The world, as it is told", prompt.world)):
            if text and title not in shown:
                shown[title] = text
                page.append(f"## {title}\n\n{_block(text)}")
        first = shown.get(prompt.request_type, "")
        shown.setdefault(prompt.request_type, prompt.item)
        page.append(f"## {one.number}. {one.name}\n\n{_block(_cut(_new(first, prompt.item), lines))}")
        if one.answer is not None:
            answer = one.answer.model_dump(mode="json")
            page.append(f"Answer:\n\n{_block(json.dumps(answer, ensure_ascii=False, indent=1), 'json')}")
            lines.update(_lines_of(answer))
    return "\n\n".join(page) + "\n"


def _new(first: str, item: str) -> str:
    """The item from the first line on that is not as in the first one of its type."""
    lines = item.splitlines()
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first.splitlines(), lines, strict=False)))
    return "\n".join(["[…]"] * bool(same) + lines[same:])


def _cut(text: str, told: set[str]) -> str:
    """The text, of whose long lines those that were told before keep their beginning only; ``told`` learns the others."""
    kept = [f"{line[:_BEGINNING]}… [as above]" if line in told else line for line in text.splitlines()]
    told.update(line for line in text.splitlines() if len(line) >= _LONG)
    return "\n".join(kept)


def _lines_of(answer: object) -> Iterator[str]:
    """The long lines of all texts in an answer."""
    if isinstance(answer, str):
        yield from (line for line in answer.splitlines() if len(line) >= _LONG)
    elif isinstance(answer, dict | list):
        for value in answer.values() if isinstance(answer, dict) else answer:
            yield from _lines_of(value)


def _block(text: str, language: str = "") -> str:
    fence = "~~~~"
    while fence in text:
        fence += "~"
    return f"{fence}{language}\n{text}\n{fence}"
