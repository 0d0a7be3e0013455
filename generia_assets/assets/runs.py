"""A Dagster run's work on its world: the assets and items it makes, its generation, and its final step.

Here: reading a run's selection, form and tags. Values that do not fit the world are refused before the world is changed
(``dg.Failure`` with the field, the value and what to do), and so are the runs of a backfill over many worlds before a person has
confirmed its price: Dagster's dialog of a backfill shows no price and takes no question. Not here: the forms' fields and jobs
(jobs.py), the tags that people see (run_tags.py), and the items that a key selects (durable/orders/workload.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import dagster as dg

from generia_assets.assets import run_tags
from generia_assets.assets.generator import GeneratorResource
from generia_assets.assets.jobs import MADE_BY, RERUN_CHARACTER, RERUN_PART, RERUN_POST, ContentConfig
from generia_assets.assets.materialized import WorldDocuments, refuse_another_plan
from generia_assets.catalog import ASSETS, CONTENT, TaskType, with_downstream
from generia_assets.content.documents import CharacterBrief, PostImage, WorldRequest
from generia_assets.content.keys import EXTENSION, WORLD_KEY
from generia_assets.dagster_internals import BACKFILL_ID_TAG, fail_backfill, partitions_of_backfill
from generia_assets.durable.collections import GENERATIONS, STATUS, TASKS
from generia_assets.durable.orders.decisions import TASK_TAG, Assignment
from generia_assets.durable.orders.order import (
    ExtensionParameters,
    OrderError,
    Parameters,
    PartParameters,
    StoredParameters,
    WorldParameters,
    parse_parameters,
    parse_stored,
)
from generia_assets.durable.orders.workload import Workload, character_named, post_named, workload
from generia_assets.durable.status import statuses
from generia_assets.partitions import worlds
from generia_assets.settings import Settings, settings
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.mongodb.document_store import DocumentStore

CONFIRMED = "generia/worlds"
"""Tag of a backfill over many worlds: how many, as a person has confirmed it."""
UNCONFIRMED_WORLDS = 5
"""A backfill over so many worlds at most begins at once."""
QUOTED_WORLDS = 50
"""The price of more worlds is that of so many, multiplied."""


def form_of(run: dg.DagsterRun) -> ContentConfig:
    """The launch form's fields about content; without a form all are None."""
    config: Mapping[str, Any] = run.run_config
    return ContentConfig(**config.get("ops", {}).get("world_content", {}).get("config", {}))


def selected_assets(context: dg.AssetExecutionContext) -> list[str]:
    """The assets this run makes, in the order of the work: those it targets, restricted to the part that its form names."""
    selection = context.run.asset_selection
    targeted = {key.path[-1] for key in selection} if selection else set(MADE_BY.get(context.run.job_name, ASSETS))
    form = form_of(context.run)
    if form.part:
        named = (form.part.value,) if form.with_what_follows is False else with_downstream(form.part.value)
        targeted &= {*named, "world_request", "world_description"}
    return [name for name in ASSETS if name in targeted]


def keep_partition(context: dg.AssetExecutionContext) -> None:
    """Add the world's partition again if it was deleted meanwhile: Dagster stores no output of a missing partition."""
    context.instance.add_dynamic_partitions(worlds.name or "", [context.partition_key])


def is_final_step(context: dg.AssetExecutionContext) -> bool:
    """Whether this step is the run's last one that works on the world."""
    return selected_assets(context)[-1] in assets_of_step(context)


def assignment_of(
    context: dg.AssetExecutionContext,
    generator: GeneratorResource,
    given: Callable[[MongoDatabase], WorldParameters | None] = lambda database: None,
) -> Assignment:
    """This run's work on its world: the same for each of its steps, because the first one acquires the world.

    ``given``: reads the new order of the run's form, if it has one. Raises ``dg.Failure`` for an order that cannot be carried out
    and for a form that names something missing; nothing but the new order is recorded then.
    """
    world_id, run = context.partition_key, context.run
    makes = [ASSETS[name].task_type for name in selected_assets(context)]

    def look_up(database: MongoDatabase) -> tuple[tuple[str, ...], WorldParameters | None, OrderError | None]:
        _refuse_unconfirmed(context, database, generator.settings, makes)
        parameters = given(database)
        run_tags.complete(context, database)
        keys = keys_of(context, database)
        try:
            refuse_another_plan(database, world_id, makes, keys)
            return keys, _extended(context, database) or parameters, None
        except OrderError as refusal:
            return keys, parameters, refusal

    try:
        keys, ordered, refusal = generator.read(look_up)
    except OrderError as error:
        generator.report_outcome(context, makes)
        raise dg.Failure(str(error), allow_retries=False) from None

    def new_workload(order: WorldParameters) -> Workload:
        if refusal is not None:  # raised here, so that the order is refused, too
            raise refusal
        spare, cap = settings().budget_spare, settings().max_cost_usd
        return workload(world_id, order, makes, spare=spare, max_cost_usd=cap, keys=keys)

    return Assignment(
        world_id=world_id,
        run_id=run.run_id,
        makes=frozenset(makes),
        workload=new_workload,
        ancestors=tuple(_ancestors(context)),
        tags=run.tags,
        ordered_by=run_tags.ordered_by(run),
        keys=keys,
        parameters=ordered,
    )


def keys_of(context: dg.AssetExecutionContext, database: MongoDatabase) -> tuple[str, ...]:
    """The items to which its launch form or its order restricts this run. Raises ``OrderError`` for a form that lacks its item."""
    form, world_id, job = form_of(context.run), context.partition_key, context.run.job_name
    if job == RERUN_CHARACTER and not form.character:
        raise OrderError("character: empty; name one person of this world, by key (c0007) or @username")
    if job == RERUN_POST and not form.post:
        raise OrderError("post: empty; name one post of this world, by key (c0007-p0003) or by the platform's id of it")
    if job == RERUN_PART and not form.part:
        raise OrderError(f"part: empty; name one of {', '.join(CONTENT)}")
    if form.part and form.part.value not in selected_assets(context):
        raise OrderError(f"part={form.part.value!r}: this run does not select that asset; use job {RERUN_PART}, or select it")
    documents, named = WorldDocuments(DocumentStore(database), world_id), list[str]()
    if form.character:
        named.append(character_named(documents.stream(CharacterBrief), form.character))
    if form.post:
        named.append(post_named(documents.stream(PostImage), form.post))
    if EXTENSION in (form.keys or ()):
        raise OrderError(f"keys: {EXTENSION} cannot be made again as such; name its people and posts by their keys")
    if named or form.keys:
        return (*named, *(form.keys or ()))
    task_id = context.run.tags.get(TASK_TAG)
    if task_id is None or len(selected_assets(context)) == len(ASSETS):
        return ()
    ordered = _ordered(database, task_id)
    if isinstance(ordered, ExtensionParameters):
        return (EXTENSION,)
    return ordered.keys if isinstance(ordered, PartParameters) else ()


def _ordered(database: MongoDatabase, task_id: str | None) -> Parameters | None:
    """The parameters of the order that a run carries out."""
    task = database[TASKS].find_one({"_id": task_id}, {"type": 1, "parameters": 1})
    return parse_parameters(TaskType(task["type"]), task["parameters"] or {}) if task else None


def _extended(context: dg.AssetExecutionContext, database: MongoDatabase) -> StoredParameters | None:
    """The world's parameters with what the run's order adds to them, as the world stands completed; None: it adds nothing.

    Raises ``OrderError`` where the world would be larger than this installation accepts.
    """
    by, found = _ordered(database, context.run.tags.get(TASK_TAG)), database[STATUS].find_one({"_id": context.partition_key})
    if not isinstance(by, ExtensionParameters) or found is None:
        return None
    current = database[GENERATIONS].find_one({"_id": found.get("unfinished") or found.get("generation")}) or {}
    stored = parse_stored((current.get("before") or found)["parameters"])
    extended = stored.extended(by, found.get("cost_limit_usd"))
    extended.require_within(max_users=settings().max_users, max_posts=settings().max_posts)
    request = WorldDocuments(DocumentStore(database), context.partition_key).one(WorldRequest, WORLD_KEY)
    return extended if request is None else extended.model_copy(update={"created_at": request.created_at})


def _ancestors(context: dg.AssetExecutionContext) -> Iterator[str]:
    parent = context.run.parent_run_id
    while parent is not None:
        yield parent
        run = context.instance.get_run_by_id(parent)
        parent = run.parent_run_id if run is not None else None


def assets_of_step(context: dg.AssetExecutionContext) -> list[str]:
    """Those of the run's assets that this step makes, in the order of the work."""
    mine = {key.path[-1] for key in context.selected_asset_keys}
    return [name for name in selected_assets(context) if name in mine]


def _refuse_unconfirmed(
    context: dg.AssetExecutionContext, database: MongoDatabase, chosen: Settings, makes: Collection[TaskType]
) -> None:
    """Raise ``OrderError`` with the price and end the backfill, if it covers many worlds and nobody has confirmed it."""
    tags = context.run.tags
    if (backfill_id := tags.get(BACKFILL_ID_TAG)) is None:
        return
    covered = sorted(partitions_of_backfill(context.instance, backfill_id))
    if len(covered) <= UNCONFIRMED_WORLDS or tags.get(CONFIRMED) == str(len(covered)):
        return
    message = (
        f"This backfill covers {len(covered)} worlds and would cost {_price_of(database, chosen, covered, makes)}. "
        f"Nothing was begun. To confirm it, launch it again with the tag {CONFIRMED} = {len(covered)}"
    )
    fail_backfill(context.instance, backfill_id, message)
    raise OrderError(message)


def _price_of(database: MongoDatabase, chosen: Settings, covered: Collection[str], makes: Collection[TaskType]) -> str:
    """What these assets of these worlds cost, in words."""
    from generia_assets.quotes import knowledge_of, price_sentence, quote_of  # only a refusal needs it

    query: MongoDocument = {"_id": {"$in": list(covered)}}
    known = knowledge_of(database, chosen)
    found = list(statuses(database[STATUS].find(query).limit(QUOTED_WORLDS), lambda _: None))
    if not found:
        return "an unknown sum: none of them was ever ordered"
    ordered = [(world.world_id, parse_stored(world.parameters)) for world in found]
    quotes = [quote_of(chosen, known, world_id, order, makes) for world_id, order in ordered]
    factor = database[STATUS].count_documents(query) / len(found)
    low, high = (factor * sum(quote.cost_interval_usd[end] for quote in quotes) for end in (0, 1))
    return f"about {price_sentence(factor * sum(quote.cost_usd for quote in quotes), (low, high))}"
