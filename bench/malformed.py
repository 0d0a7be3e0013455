"""Every kind of invalid message, and the word that the reason of its dead letter must contain.

Here: the kinds. Not here: sending them and finding them again (messages.py).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

Body = dict[str, object]
GIANT_BYTES = 10 * 1024 * 1024
DEPTH = 20_000


@dataclass(frozen=True)
class Kind:
    """One way in which a message is invalid. ``make`` gets a valid message with new ids; ``after`` a valid one that was sent
    before."""

    name: str
    reason: str
    make: Callable[[Body, Body], bytes]


def order(random: Random, *, users: int = 3, posts: int = 9, prompt: str = "a harbour town under a glacier") -> Body:
    return {
        "event_type": "task_created",
        "task_id": str(uuid.UUID(int=random.getrandbits(128), version=4)),
        "task_type": "init_world_creation",
        "world_id": str(uuid.UUID(int=random.getrandbits(128), version=4)),
        "parameters": {"user_prompt": prompt, "users_count": users, "posts_count": posts},
    }


def encoded(body: Body) -> bytes:
    return json.dumps(body).encode()


def _with(**changes: object) -> Callable[[Body, Body], bytes]:
    return lambda message, _: encoded({**message, **changes})


def _without(field: str) -> Callable[[Body, Body], bytes]:
    return lambda message, _: encoded({name: value for name, value in message.items() if name != field})


def _parameters(**changes: object) -> Callable[[Body, Body], bytes]:
    def make(message: Body, _: Body) -> bytes:
        parameters = message["parameters"]
        return encoded({**message, "parameters": {**(parameters if isinstance(parameters, dict) else {}), **changes}})

    return make


def _cut(message: Body, _: Body) -> bytes:
    return encoded(message)[:-9]


def _twice(message: Body, _: Body) -> bytes:
    return encoded(message)[:-1] + b', "world_id": "%s"}' % str(message["world_id"]).encode()


def _same_task(message: Body, before: Body) -> bytes:
    return _parameters(users_count=77)({**message, **before}, before)


def _nested(message: Body, _: Body) -> bytes:
    deep = b'{"a":' * DEPTH + b"1" + b"}" * DEPTH
    return encoded({**message, "parameters": 0}).replace(b'"parameters": 0', b'"parameters": ' + deep)


KINDS = (
    Kind("not JSON", "not JSON", _cut),
    Kind("not UTF-8", "not JSON", lambda message, _: b"\xff\xfe" + encoded(message)),
    Kind("empty", "value: empty", lambda *_: b""),
    Kind("a list", "must be a JSON object", lambda message, _: json.dumps([message]).encode()),
    Kind("10 MB", "bytes", lambda message, _: encoded({**message, "filler": "x" * GIANT_BYTES})),
    Kind("deep nesting", "not JSON", _nested),
    Kind("half a surrogate pair", "not JSON", _parameters(user_prompt="a \ud83d town")),
    Kind("a field twice", "world_id", _twice),
    Kind("misspelt parameter", "parameters.max_cost_us", _parameters(max_cost_us=3)),
    Kind("no words", "parameters.user_prompt", _parameters(user_prompt="?!")),
    Kind("a time without UTC", "parameters.created_at", _parameters(created_at="9999-12-31T23:59:59-10:00")),
    Kind("count as text", "parameters.users_count", _parameters(users_count="3")),
    Kind("count with a fraction", "parameters.posts_count", _parameters(posts_count=9.5)),
    Kind("prompt as number", "parameters.user_prompt", _parameters(user_prompt=7)),
    Kind("negative", "parameters.posts_count", _parameters(posts_count=-1)),
    Kind("nobody", "parameters.users_count", _parameters(users_count=0)),
    Kind("too many", "parameters.users_count", _parameters(users_count=10**9)),
    Kind("NaN", "parameters.users_count", _parameters(users_count=float("nan"))),
    Kind("a cap of NaN", "parameters.max_cost_usd", _parameters(max_cost_usd=float("nan"))),
    Kind("a cap without end", "parameters.max_cost_usd", _parameters(max_cost_usd=float("inf"))),
    Kind("no task_id", "task_id", _without("task_id")),
    Kind("no world_id", "world_id", _without("world_id")),
    Kind("no task_type", "task_type", _without("task_type")),
    Kind("no event_type", "event_type", _without("event_type")),
    Kind("no parameters anywhere", "parameters", _without("parameters")),
    Kind("a task_id that is none", "task_id", _with(task_id="42")),
    Kind("a path for a world", "world_id", _with(world_id="../../etc/passwd")),
    Kind("a range for a partition", "world_id", _with(world_id="aaaa...zzzz")),
    Kind("control characters", "world_id", _with(world_id="one\x00two\nthree\x1b[2J")),
    Kind("an operator for an id", "world_id", _with(world_id={"$gt": ""})),
    Kind("an unknown task_type", "task_type", _with(task_type="make_coffee")),
    Kind("a part of no world", "world_id", _with(task_type="generate_post", parameters={})),
    Kind("an id used with other parameters", "parameters.users_count", _same_task),
    Kind("a world ordered twice", "world_id", lambda message, before: encoded({**message, "world_id": before["world_id"]})),
    Kind("a task of another world", "world_id", lambda message, before: encoded({**message, "task_id": before["task_id"]})),
)
