"""A small world of a product with more task types than the catalogue of this repository, and all its outputs.

Run as a script by tests/assets/test_tenth_task_type.py, with that product first on the path. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from generia_assets.catalog import ASSETS, TaskType
from generia_assets.durable.orders.order import parse_stored
from generia_assets.durable.orders.workload import plan_of
from tests.support.command import Command
from tests.support.worlds_in_process import worlds_in_process

USERS, POSTS = 3, 4


def main(home: Path, mongodb_uri: str, broker: str, gemini: str) -> dict[str, object]:
    """Make the world, then materialize the added assets again; print the outputs."""
    with worlds_in_process(home, mongodb_uri=mongodb_uri, broker=broker, gemini=gemini, checks=True) as worlds:
        world_id, made = worlds.make(users=USERS, posts=POSTS)
        if not made.success:
            raise SystemExit(made.failure)
        status = worlds.status(world_id)
        graph = worlds.defs.resolve_asset_graph()
        added = [asset for asset in ASSETS.values() if asset.holds is None]
        command = Command(
            home / "cli",
            {
                "MONGODB_URI": mongodb_uri,
                "MONGODB_DATABASE": worlds.settings.mongodb_database,
                "GEMINI_BASE_URL": gemini,
                "KAFKA_BOOTSTRAP_SERVERS": broker,
            },
        )

        def cli(*arguments: str) -> str:
            code, out, error = command.call(*arguments)
            assert code == 0, (arguments, out, error)
            return out

        report: dict[str, object] = {
            "planned": dict(plan_of(world_id, parse_stored(status.parameters), list(TaskType)).tasks),
            "tasks": worlds.tasks(world_id),
            "predicted": status.task_predicted,
            "completed": status.tasks_completed,
            "stages": {stage.name: stage.status for stage in status.stages},
            "calls": {"made": status.api_calls_made_LLM, "limit": status.api_call_limits_LLM},
            "documents": {name: [one.model_dump(mode="json") for one in worlds.documents(name, world_id)] for name in ASSETS},
            "lineage": {
                key.path[-1]: sorted(one.path[-1] for one in graph.get(key).parent_keys) for key in graph.get_all_asset_keys()
            },
            "metadata": {asset.name: sorted(made.metadata[asset.name]) for asset in added},
            "checks": [name for name, check in made.checks.items() if not check.passed],
            "quote": json.loads(cli("quote", "--users", str(USERS), "--posts", str(POSTS), "--json")),
            "stats": json.loads(cli("stats", world_id, "--json")),
            "show": json.loads(cli("show", world_id, "--json")),
            "shown": {asset.name: json.loads(cli("show", world_id, asset.section, "--json")) for asset in added},
            "prompts": _prompts(home / "prompts", cli),
            "trace": json.loads(cli("trace", world_id, "c0000", "--json")),
        }
        again = worlds.run(world_id, select=[asset.name for asset in added])
        if not again.success:
            raise SystemExit(again.failure)
        report["again"] = worlds.tasks(world_id)
        return report


def _prompts(folder: Path, cli: Callable[..., str]) -> list[str]:
    """The requests of a dry run, by file name."""
    cli("prompts", "--out", str(folder), "--users", str(USERS), "--posts", str(POSTS))
    return sorted(path.name for path in folder.iterdir())


if __name__ == "__main__":
    os.environ["CI"] = "true"
    print(json.dumps(main(Path(sys.argv[1]), *sys.argv[2:]), default=str))
