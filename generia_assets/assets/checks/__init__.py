"""Asset checks: conditions of a finished world, read from MongoDB and the disk, one world at a time.

Here: one module for each subject, and how a check is made of a question (finding.py). A failed check names the problems, at most
five, and how to make the items again. It is an error where the world is not what was ordered; a warning where missing documents
failed for good and are counted, or for a matter of taste (similarity, placeholders). Documents are read as a stream: a check of
10,000 posts takes seconds and holds names and hashes, not documents. Not here: validation of a single answer of the model, which is
asked for again at once (content/drafts.py, tasks/).
"""

from collections.abc import Iterable, Iterator
from types import ModuleType

import dagster as dg

from generia_assets.assets.checks import counts, people, plan, texts, words
from generia_assets.assets.checks.finding import Check, World
from generia_assets.assets.generator import GeneratorResource
from generia_assets.dagster_internals import newest_materializations


def checks_in(*subjects: ModuleType) -> list[Check]:
    """Every check that is a name in these modules, imported or defined. One that a subject imports from another is asked twice."""
    return [one for subject in subjects for one in vars(subject).values() if isinstance(one, Check)]


ALL = (*counts.EXACT, *counts.PICTURES, *checks_in(counts, plan, people, texts, words))


@dg.multi_asset_check(
    name="checks",
    specs=[one.spec for one in ALL],
    can_subset=True,
    description="Looks at what the run has made, check by check, in one step: a step each would take seconds.",
)
def world_checks(
    context: dg.AssetCheckExecutionContext, generator: dg.ResourceParam[GeneratorResource]
) -> Iterator[dg.AssetCheckEvaluation]:
    """Ask the checks of the assets that this run makes."""
    selected = context.selected_asset_check_keys
    with generator.mongo.connection() as database:
        world = World(context.partition_key, database, generator.settings.media_dir)
        yield from evaluations(context.instance, world, (one for one in ALL if one.key in selected))


def evaluations(instance: dg.DagsterInstance, world: World, checks: Iterable[Check]) -> Iterator[dg.AssetCheckEvaluation]:
    """The results of these checks as events of a run. (``AssetCheckResult`` costs an output and a query more for each.)"""
    asked = list(checks)
    newest = newest_materializations(instance, {one.asset for one in asked}, world.id)
    for one in asked:
        yield one.evaluate(world, newest.get(one.asset))
