"""The bounds of a measurement: the shortest time of its calls, from the world's dependency graph and the limits of calls.

Not here: the measured times (session.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from heapq import heappop, heappush
from itertools import count, pairwise

from generia_assets.catalog import TaskType
from generia_assets.content.keys import WORLD_KEY, batch_key, character_key, post_batch_key, post_key
from generia_assets.content.seeding import world_seed
from generia_assets.content.shares import BATCH
from generia_assets.content.social import ready_after
from generia_assets.content.timeline import heard_before, timeline
from generia_assets.queries.records import OK, RequestRecord
from resources.gateway.calls import Api

Node = tuple[str, TaskType, str]
"""A task by its world, type and key."""


@dataclass(frozen=True)
class Work:
    """What a task waits for, and its calls, one after the other, with the seconds that each takes."""

    after: tuple[Node, ...]
    calls: tuple[tuple[Api, float], ...]

    @property
    def seconds(self) -> float:
        return sum(seconds for _, seconds in self.calls)


Graph = dict[Node, Work]
"""A node comes after all that it waits for."""


def world_graph(world_id: str, users: int, posts: int, seconds: Mapping[Api, float]) -> Graph:
    """The tasks of a world at quality ``standard``, with the calls of the plan, each of which takes these seconds."""
    seed, graph = world_seed(world_id), Graph()
    line = timeline(seed, users, posts)

    def add(task_type: TaskType, key: str, *after: Node, llm: bool = True) -> Node:
        asset, node = task_type.asset, (world_id, task_type, key)
        texts = sum(not call.high_quality_only for call in asset.llm_calls) if llm else 0
        calls = (Api.LLM,) * texts + (Api.IMAGE,) * len(asset.pictures)
        graph[node] = Work(after, tuple((api, seconds[api]) for api in calls))
        return node

    def idea_of(t: int) -> Node:
        key = post_batch_key(character_key(line.people[t]), line.orders[t])
        return world_id, TaskType.GENERATE_POST_BATCH, key

    description = add(TaskType.GENERATE_WORLD_DESCRIPTION, WORLD_KEY)
    add(TaskType.GENERATE_WORLD_IMAGE, WORLD_KEY, description)
    batches = [description]
    for first in range(0, users, BATCH):
        batches.append(add(TaskType.GENERATE_CHARACTER_BATCH, batch_key(first), batches[-1]))
    people = []
    for index in range(users):
        people.append(add(TaskType.GENERATE_CHARACTER, character_key(index), batches[1 + ready_after(seed, users, index)]))
        add(TaskType.GENERATE_CHARACTER_AVATAR, character_key(index), people[index])
    texts: list[Node] = []
    for t, (index, order) in enumerate(zip(line.people, line.orders, strict=True)):
        idea = idea_of(t)
        if order % BATCH == 0:
            earlier = idea_of(line.t_of(index, order - BATCH)) if order else people[index]
            add(TaskType.GENERATE_POST_BATCH, idea[2], earlier, llm=line.count_of(index) > 1)
        heard = [idea_of(other) for other in heard_before(seed, users, posts, t)]
        replied = [texts[line.replies[t]]] if line.replies[t] >= 0 else []
        key = post_key(character_key(index), order)
        texts.append(add(TaskType.GENERATE_POST, key, idea, *heard, *replied))
        add(TaskType.GENERATE_POST_IMAGE, key, texts[t])
    return graph


def as_answered(graph: Graph, calls: Iterable[RequestRecord]) -> Graph:
    """The graph of one world with the answered calls, and their durations in seconds."""
    answered: defaultdict[tuple[str, str], list[tuple[Api, float]]] = defaultdict(list)
    for call in sorted(calls, key=lambda call: call.at):
        if call.outcome == OK:
            answered[call.task_type, call.key].append((Api(call.api), call.duration_ms / 1000))
    return {node: Work(work.after, tuple(answered[node[1].value, node[2]])) for node, work in graph.items()}


def ends(graph: Graph) -> dict[Node, float]:
    """The earliest end of each task with unlimited slots."""
    found: dict[Node, float] = {}
    for node, work in graph.items():
        found[node] = max((found[other] for other in work.after), default=0.0) + work.seconds
    return found


def first_post(graph: Graph) -> float:
    """The longest path to the picture of the first post of the timeline, the node added before all other pictures of posts."""
    return ends(graph)[next(node for node in graph if node[1] is TaskType.GENERATE_POST_IMAGE)]


def schedule(graph: Graph, slots: Mapping[Api, int]) -> float:
    """Seconds of a schedule in which no slot is idle while a call waits. The call with the longest path behind it goes first."""
    dependents: defaultdict[Node, list[Node]] = defaultdict(list)
    waits = {node: len(set(work.after)) for node, work in graph.items()}
    for node, work in graph.items():
        for other in set(work.after):
            dependents[other].append(node)
    behind: dict[Node, float] = {}
    for node, work in reversed(graph.items()):
        behind[node] = max((behind[other] for other in dependents[node]), default=0.0) + work.seconds
    free, queues, numbers = dict(slots), {api: list[tuple[float, int, Node, int]]() for api in slots}, count()
    in_flight: list[tuple[float, int, Node, int]] = []

    def go_on(node: Node, place: int) -> None:
        if place < len(graph[node].calls):
            heappush(queues[graph[node].calls[place][0]], (-behind[node], next(numbers), node, place))
            return
        for other in dependents[node]:
            waits[other] -= 1
            if not waits[other]:
                go_on(other, 0)

    for node in [node for node, number in waits.items() if not number]:
        go_on(node, 0)
    now = 0.0
    while True:
        for api, queue in queues.items():
            while queue and free[api]:
                free[api] -= 1
                _, number, node, place = heappop(queue)
                heappush(in_flight, (now + graph[node].calls[place][1], number, node, place))
        if not in_flight:
            return now
        now, _, node, place = heappop(in_flight)
        free[graph[node].calls[place][0]] += 1
        go_on(node, place + 1)


def slot_seconds(calls: Iterable[RequestRecord], slots: int) -> tuple[float, float]:
    """The slot seconds that these calls used, and those that were idle while calls waited (``waited_ms``)."""
    changes: list[tuple[float, int, int]] = []
    for call in calls:
        sent = call.at.timestamp()
        changes += [(sent - call.waited_ms / 1000, 0, 1), (sent, 1, -1), (sent + call.duration_ms / 1000, -1, 0)]
    changes.sort()
    used = idle = 0.0
    flying = waiting = 0
    for (now, in_flight, asked), (then, _, _) in pairwise(changes):
        flying, waiting = flying + in_flight, waiting + asked
        used += (then - now) * flying
        idle += (then - now) * min(max(0, slots - flying), waiting)
    return used, idle


def span(calls: Iterable[RequestRecord]) -> float:
    """Seconds from the first call to the end of the last one."""
    made = list(calls)
    over = max(call.at + timedelta(milliseconds=call.duration_ms) for call in made)
    return (over - min(call.at for call in made)).total_seconds()
