"""``python -m bench.content [--seeds 10] [--json]``: what the program draws and requests, without a server and without a call.
``--world ID``: what a made world is like, from its documents and requests in MongoDB.

Per size: share of one-post people, wishes in the requests of posts, replies and how far back they reach, mentions that are
returned, calls and tokens by request type (four characters a token): the prefix that all requests of a world share, the request's
own part, and the answer. Answers are samples of the lengths that answers have (``_WORDS``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import mean, median
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from bench.report import PIPED_WIDTH
from generia_assets.assets.checks import checks_in, people, plan, words
from generia_assets.assets.checks.finding import World
from generia_assets.content import seeding, social
from generia_assets.content.documents import WorldRequest
from generia_assets.content.drafts import Draft, WorldDraft
from generia_assets.content.prompt import Prompt
from generia_assets.content.samples import sample_answer
from generia_assets.content.seeding import world_seed
from generia_assets.content.shares import shares
from generia_assets.content.storyline import storyline
from generia_assets.content.timeline import timeline as order_of
from generia_assets.dry_run import Answers, DryRun
from generia_assets.durable.collections import HISTORY
from generia_assets.queries.records import OK, read_requests
from generia_assets.settings import settings
from generia_assets.tasks.clients import DraftT
from generia_assets.tasks.generate_world_description import world_of
from resources.gateway.calls import Api
from resources.mongodb.connection import connect

SIZES = ((5, 12), (25, 150), (100, 1_000))
SENTENCE = "a city where dreams turn solid until dawn, and everyone is in love"
_CHARACTERS_A_TOKEN = 4
_WORDS = {
    "paragraphs": 90, "story": 85, "personality": 80, "appearance": 60, "speaking_style": 60, "daily_routine": 55, "concept": 55,
    "history": 60, "culture": 60, "geography": 60, "social_structure": 60, "technology_level": 60, "secret": 35, "idea": 40,
    "content": 40, "description": 30, "what_happens": 25, "who_cares": 20, "ties": 25, "context": 30, "image_prompt": 60,
    "look": 25, "one_line": 12, "bio": 20, "daily": 12, "obvious": 10, "avatar_description": 55, "visual_style": 20,
    "typical_stories": 15, "common_activities": 6, "custom_details": 15, "theme": 15, "description_short": 15,
}  # fmt: skip
"""Words of an answer's fields, as a strong model writes them; others are as short as samples are."""
_LETTERS = "abcdefghiklmnoprstu"


class _Answers(Answers):
    """Sample answers, as long as real ones."""

    def to(self, name: str, prompt: Prompt, draft: type[DraftT]) -> DraftT | None:
        sample = sample_answer(cast("type[Draft]", draft), prompt.schema, name, "English")
        return cast("DraftT", type(sample).model_validate(_lengthened(sample.model_dump(), "")))


def _lengthened(value: object, name: str) -> object:
    if isinstance(value, dict):
        return {key: _lengthened(entry, name if name == "ties" else key) for key, entry in value.items()}
    if isinstance(value, list):
        return [_lengthened(entry, name) for entry in value]
    missing = _WORDS.get(name, 0) - len(value.split()) if isinstance(value, str) else 0
    rng = seeding.seeded_rng(0, value)  # no two texts may be similar: the tasks would repeat the request
    return f"{value} {' '.join(''.join(rng.choices(_LETTERS, k=5)) for _ in range(missing))}." if missing > 0 else value


class _Requests:
    """Counts of the requests of worlds. ``tokens``, by request type: of the common prefix, of the rest, of the answer."""

    def __init__(self) -> None:
        self.calls = Counter[str]()
        self.tokens: defaultdict[str, tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
        self.wishes = 0

    def add(self, kind: str, prefix: str, item: str, answer: str) -> None:
        self.calls[kind] += 1
        texts = zip(self.tokens[kind], (prefix, item, answer), strict=True)
        prefixes, own, answers = (tokens + len(text) // _CHARACTERS_A_TOKEN for tokens, text in texts)
        self.tokens[kind] = (prefixes, own, answers)
        self.wishes += kind == "post" and plan.WISH.search(item) is not None

    def table(self, title: str, worlds: int = 1) -> Table:
        """By request type, of one world."""
        table = Table("request", "calls", "prefix, each", "own, each", "answer, each", title=title)
        for kind, calls in self.calls.most_common():
            table.add_row(kind, f"{calls / worlds:,.1f}", *(f"{tokens / calls:,.0f}" for tokens in self.tokens[kind]))
        whole = (sum(of[part] for of in self.tokens.values()) / worlds for part in range(3))
        table.add_row("a world, in all", f"{self.calls.total() / worlds:,.1f}", *(f"{tokens:,.0f}" for tokens in whole))
        return table

    def figures(self, worlds: int = 1) -> dict[str, object]:
        """By request type, of one world: calls, and tokens as in ``tokens``."""
        return {kind: [round(number / worlds, 1) for number in (calls, *self.tokens[kind])] for kind, calls in self.calls.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.content", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="worlds of each size")
    parser.add_argument("--world", metavar="ID", help="a made world instead")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON on standard output")
    arguments = parser.parse_args()
    shown_on = sys.stderr if arguments.json else sys.stdout
    console = Console(file=shown_on, width=None if shown_on.isatty() else PIPED_WIDTH)
    if arguments.world is None:
        figures: dict[str, object] = {f"{users}/{posts}": of_size(users, posts, arguments.seeds, console) for users, posts in SIZES}
    else:
        chosen = settings()
        with connect(chosen.mongodb_uri.get_secret_value()) as client:
            figures = of_world(World(arguments.world, client[chosen.mongodb_database], chosen.media_dir), console)
    if arguments.json:
        print(json.dumps(figures))


def of_size(users: int, posts: int, seeds: int, console: Console) -> dict[str, Any]:
    """Show and return the figures of worlds of this size, from their draws and requests."""
    requests, drawn = _Requests(), [_Drawn.of(the_request(f"content-{number}", users, posts)) for number in range(seeds)]
    for one in drawn:
        for prompt, answer in one.asked:
            requests.add(prompt.request_type, prompt.system + prompt.world, prompt.item, answer)
    distances = [distance for one in drawn for distance in one.distances]
    figures: dict[str, object] = {
        "one-post people": _spread([one.one_post for one in drawn]),
        "wishes per ten posts in requests": round(10 * requests.wishes / (seeds * posts), 1),
        "replies": _spread([len(one.distances) / posts for one in drawn]),
        "places between a post and its reply": f"median {median(distances or [0]):g}, at most {max(distances, default=0)}",
        "pairs of mentions": _spread([len(one.pairs) for one in drawn]),
        "mentions returned": _spread([one.returned for one in drawn]),
    }
    table = Table("mean (least to most)", f"{seeds} worlds", title=f"{users} people, {posts} posts")
    for name, figure in figures.items():
        table.add_row(name, str(figure))
    console.print(table)
    console.print(requests.table("tokens", seeds))
    return figures | requests.figures(seeds)


def the_request(name: str, users: int, posts: int) -> WorldRequest:
    began = datetime(2026, 11, 1, tzinfo=UTC)
    return WorldRequest(user_prompt=SENTENCE, users_count=users, posts_count=posts, seed=world_seed(name), created_at=began)


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.3g} ({min(values):.3g} to {max(values):.3g})"


@dataclass(frozen=True)
class _Drawn:
    """The draws and requests of one world. ``distances``: places between replies and their posts; ``pairs``: who names whom."""

    one_post: float
    distances: Sequence[int]
    pairs: frozenset[tuple[int, int]]
    asked: Sequence[tuple[Prompt, str]]

    @classmethod
    def of(cls, request: WorldRequest) -> _Drawn:
        asked = asyncio.run(DryRun(request, _Answers()).run())
        if unusable := next((one for one in asked if one.answer is None), None):
            raise RuntimeError(f"{unusable.name} has no usable answer, mend the samples: {unusable.wrong}")
        described = asked[0].answer
        assert isinstance(described, WorldDraft)
        world, users, posts = world_of(described, request), request.users_count, request.posts_count
        replies = order_of(request.seed, users, posts).replies
        pairs = {
            (index, ties[slot.partner - 1].index)
            for index in range(users)
            for ties in (social.acquaintances(request.seed, users, index),)
            for slot in storyline(request, world, index).slots
            if slot.partner
        }
        return cls(
            one_post=shares(request.seed, users, posts).count(1) / users,
            distances=[t - replied for t, replied in enumerate(replies) if replied >= 0],
            pairs=frozenset(pairs),
            asked=[(one.prompt, one.answer.model_dump_json() if one.answer else "") for one in asked],
        )

    @property
    def returned(self) -> float:
        return sum((other, one) in self.pairs for one, other in self.pairs) / max(1, len(self.pairs))


def of_world(world: World, console: Console) -> dict[str, Any]:
    """Show and return the figures of a made world: those of the asset checks, and the tokens of the stored requests."""
    table, found, requests = Table("check", "", "what it says", title=world.id), dict[str, object](), _Requests()
    for check in checks_in(plan, people, words):
        answer = check.evaluate(world)
        table.add_row(check.name, "" if answer.passed else answer.severity.value, answer.description)
        found[check.name] = {name: figure.value for name, figure in answer.metadata.items()}
    query = {"world_id": world.id, "api_type": Api.LLM.value, "outcome": OK}
    for call in read_requests(world.database[HISTORY].find(query)):
        texts = [str(part) for part in (call.request["system"], *call.request["parts"])]
        shared = 2 if len(texts) > 2 else 1  # the system instruction, and the world where there is one already
        requests.add(call.request_type, "".join(texts[:shared]), "\n".join(texts[shared:]), call.answer)
    console.print(table)
    console.print(requests.table("tokens of the requests that are kept"))
    return found | requests.figures()


if __name__ == "__main__":
    main()
