"""``generia prompts``: every request of a small world, without a call and without a server.

Here: the command, its files, answers read from files, and the page in Markdown, on which what repeats stands once. Not here: the
order of work, and sample answers (dry_run.py).
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from generia_assets.cli import order as ordering
from generia_assets.cli.connections import settings
from generia_assets.cli.console import CommandError, remarks, results, safe_line
from generia_assets.cli.options import Json, flag, option
from generia_assets.cli.rendering.formats import as_json
from generia_assets.content.documents import Quality, WorldRequest
from generia_assets.content.text import plural

if TYPE_CHECKING:
    from generia_assets.content.prompt import Prompt as Request
    from generia_assets.dry_run import DryRequest
    from generia_assets.tasks.clients import DraftT

_FILE = re.compile(r"\d{3,}\..+\.txt")
"""Names of the files that this command writes: number in the order of work, type, whom or what it is for."""

Out = Annotated[
    Path | None, option("--out", "FOLDER", "Where to write a file for each request; files of an earlier time are replaced.")
]
AnswersOption = Annotated[
    Path | None,
    option(
        "--answers",
        "FOLDER",
        "Where the answers are, a file for each request (character.@mira.json); without it sample answers are taken.",
    ),
]
OnlyMissing = Annotated[bool, flag("--only-missing", "Write only the requests that have no answer in --answers that can be used.")]
AsPage = Annotated[
    Path | None, option("--as-page", "FILE", "Write requests and answers as one page in Markdown, what repeats only once.")
]


def prompts(
    users: ordering.Users = ordering.DEFAULT_USERS,
    posts: ordering.Posts = ordering.DEFAULT_POSTS,
    seed: ordering.Seed = ordering.DEFAULT_SEED,
    prompt: ordering.Prompt = ordering.DEFAULT_PROMPT,
    quality: ordering.QualityOption = Quality.STANDARD,
    out: Out = None,
    answers: AnswersOption = None,
    only_missing: OnlyMissing = False,
    as_page: AsPage = None,
    json: Json = False,
) -> None:
    """Needs no server and spends nothing. A file for each request, numbered in the order of work: instructions, world, item,
    and the schema of the answer. The same order gives the same files: `diff -r` shows what a change of a template changes.

    With --answers the answers come from a folder, by hand or from a model: for 012.character.@mira.txt it is
    character.@mira.json, the answer alone. A request that needs an answer which is missing is not made yet. What is
    missing, and what does not fit with the reason, is listed; answer it and run the command again.

    \b
    generia prompts --out before; vi generia_assets/content/prompts/post.j2; generia prompts --out after; diff -r before after
    generia prompts --users 3 --posts 6 --seed 11 --prompt "город, который чинит звёзды" --answers answers --only-missing --out todo
    """
    from generia_assets.content.check import require_good_content
    from generia_assets.content.rendering import PromptDelimiter
    from generia_assets.dry_run import DryRun, SampleAnswers

    if out is None and as_page is None:
        raise CommandError("Say where to write: --out FOLDER for a file for each request, or --as-page FILE", 2)
    if only_missing and answers is None:
        raise CommandError("--only-missing needs --answers FOLDER: without it nothing is missing", 2)
    require_good_content()
    ordering.world_parameters(settings(), users=users, posts=posts, prompt=prompt)
    request = WorldRequest(
        user_prompt=prompt,
        users_count=users,
        posts_count=posts,
        quality=quality,
        seed=ordering.DEFAULT_SEED if seed is None else seed,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),  # the same in every run; no request contains it
    )
    source = SampleAnswers(prompt) if answers is None else _Recorded(answers)
    asked = asyncio.run(DryRun(request, source).run())
    open_ = [one for one in asked if one.answer is None]
    try:
        if out is not None:
            _write(out, open_ if only_missing else asked)
        if as_page is not None:
            as_page.write_text(written_page(request, asked), "utf-8")
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from None
    _print(asked, source.unread if isinstance(source, _Recorded) else [], PromptDelimiter.of(request.seed).code, json=json)
    if open_:
        raise typer.Exit(1)


class _Recorded:
    """The answers in a folder."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise CommandError(f"--answers {folder}: there is no such folder", 2)
        self._files = {path.stem: path for path in sorted(folder.glob("*.json")) if path.stem != "order"}
        self._read: set[str] = set()

    def to(self, name: str, prompt: Request, draft: type[DraftT]) -> DraftT | None:
        self._read.add(name)
        path = self._files.get(name)
        return None if path is None else draft.model_validate_json(path.read_bytes())

    @property
    def unread(self) -> list[str]:
        """Files whose names no request has, or none yet."""
        return [path.name for name, path in self._files.items() if name not in self._read]


def _write(folder: Path, asked: list[DryRequest]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if _FILE.fullmatch(path.name):
            path.unlink()
    for one in asked:
        (folder / f"{one.number:03d}.{one.name}.txt").write_text(_as_text(one), "utf-8")


def _as_text(one: DryRequest) -> str:
    titles = ("world", "item", "again") if one.prompt.world else ("item", "again")
    schema = json.dumps(one.prompt.schema, ensure_ascii=False, indent=1)
    parts = [("system", one.prompt.system), *zip(titles, one.prompt.parts, strict=False), ("schema", schema)]
    head = f"{one.name}\nmax output tokens: {one.prompt.max_output_tokens}\n"
    return head + "".join(f"\n===== {title} =====\n{text}\n" for title, text in parts)


def _print(asked: list[DryRequest], unread: list[str], code: str, *, json: bool) -> None:
    missing = [one.name for one in asked if one.answer is None and not one.wrong]
    wrong = {one.name: one.wrong for one in asked if one.wrong}
    if json:
        typer.echo(as_json({"requests": len(asked), "missing": missing, "wrong": wrong, "unread": unread, "code": code}))
        return
    for name in missing:
        results().print(f"missing: {name}.json")
    for name, reason in wrong.items():
        results().print(f"does not fit: {name}.json: {safe_line(reason, 600)}")
    for name in unread:
        results().print(f"not asked for: {name}")
    remarks().print(f"{plural(len(asked), 'request')}, {len(asked) - len(missing) - len(wrong)} answered")


_TOP = """# A world in prompts and answers

*{sentence}*, {users} people, {posts} posts, seed {seed}. This page has all requests to the language model and all answers,
in the order of work. Every request begins with the same instructions; from the second request on, the world follows, in brief where
posts are asked for. This page shows each of these once. It shows the first request of each type whole, and only the differences of
the others. A long line that is already on the page is cut ([as above]). `make world-page` writes this page;
[prompts.md](prompts.md) says how to change the prompts."""
_ABOUT_POSTS = ("post_batch", "post")
_LONG, _BEGINNING = 160, 60
"""Characters of a line that is shown once, and of what is shown of it afterwards."""


def written_page(request: WorldRequest, asked: list[DryRequest]) -> str:
    """The page. Of a request without an answer the request alone."""
    page = [_TOP.format(sentence=request.user_prompt, users=request.users_count, posts=request.posts_count, seed=request.seed)]
    shown: dict[str, str] = {}
    lines: set[str] = set()
    for one in asked:
        prompt = one.prompt
        world = "The world in requests about posts" if prompt.request_type in _ABOUT_POSTS else "The world in requests"
        for title, text in (("The beginning of every request", prompt.system), (world, prompt.world)):
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


def _cut(text: str, seen: set[str]) -> str:
    """The text, of whose long lines those seen before keep only their beginning; the others are added to ``seen``."""
    kept = [f"{line[:_BEGINNING]}… [as above]" if line in seen else line for line in text.splitlines()]
    seen.update(line for line in text.splitlines() if len(line) >= _LONG)
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
