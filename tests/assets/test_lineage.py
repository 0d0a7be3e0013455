"""The lineage as Dagster shows it; loading it needs no server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from generia_assets.assets.checks import ALL
from generia_assets.catalog import ASSETS
from generia_assets.definitions import build_defs
from generia_assets.partitions import worlds
from generia_assets.settings import Settings

ROOT = Path(__file__).parents[2]
BASE = {"world_request", "world_description"}
LINEAGE = {
    "world_request": set[str](),
    "world_description": {"world_request"},
    "world_images": BASE,
    "character_briefs": BASE,
    "characters": BASE | {"character_briefs"},
    "character_avatars": BASE | {"characters"},
    "post_briefs": BASE | {"characters"},
    "posts": BASE | {"characters", "post_briefs"},
    "post_images": BASE | {"characters", "posts"},
}
"""docs/architecture.md, "Data flow"; every content asset reads request and description, too."""


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_defs(Settings(_env_file=None))


def test_there_are_the_nine_assets_with_the_lineage_of_the_design(defs: dg.Definitions) -> None:
    """There are exactly nine assets; each depends on exactly its inputs, and all are partitioned by world."""
    graph = defs.resolve_asset_graph()
    found = {key.path[-1]: {parent.path[-1] for parent in graph.get(key).parent_keys} for key in graph.get_all_asset_keys()}
    outside = {"platform": {"world_images", "character_avatars", "post_images"}, "orders_topic": set[str]()}
    assert found == LINEAGE | outside | {"world_request": {"orders_topic"}}
    assert {key.path[-1] for key in graph.executable_asset_keys} == set(LINEAGE)
    assert {graph.get(key).partitions_def for key in graph.executable_asset_keys} == {worlds}


def test_every_asset_has_its_metadata(defs: dg.Definitions) -> None:
    """Each of the nine assets has group, owner, kinds, description, code version and storage."""
    graph = defs.resolve_asset_graph()
    groups = {"world": set[str](), "people": set[str](), "posts": set[str]()}
    for key in graph.executable_asset_keys:
        node = graph.get(key)
        groups[node.group_name].add(key.path[-1])
        assert node.owners == ["team:generia"]
        assert {"python", "mongodb"} <= node.kinds
        assert len(node.description or "") > 20
        assert node.code_version
        assert node.metadata["collection"]
    assert groups == {
        "world": {"world_request", "world_description", "world_images"},
        "people": {"character_briefs", "characters", "character_avatars"},
        "posts": {"post_briefs", "posts", "post_images"},
    }


def test_the_checks_the_jobs_and_the_two_sensors_are_there(defs: dg.Definitions) -> None:
    """Every check is described, there are five jobs with the assets that they make, the Kafka sensor and the watchdog."""
    graph = defs.resolve_asset_graph()
    assert {(check.asset_key.path[-1], check.name) for check in graph.asset_check_keys} == {(one.asset, one.name) for one in ALL}
    assert f"**Checks**, {len(graph.asset_check_keys)} in all" in (ROOT / "docs/pages.md").read_text(encoding="utf-8")
    for check in graph.asset_check_keys:
        assert len(graph.get_check_spec(check).description or "") > 20
    person = set(LINEAGE) - {"world_request", "world_description", "world_images"}
    makes = {
        "world": set(LINEAGE),
        "rerun_world_part": person | {"world_images"},
        "rerun_character": person,
        "rerun_post": {"posts", "post_images"},
    }
    for name, assets in makes.items():
        job = defs.resolve_job_def(name)
        assert {
            key.path[-1] for key in set(job.asset_layer.executable_asset_keys) & set(job.asset_layer.selected_asset_keys)
        } == assets
        assert len(job.description or "") > 60
    repository = defs.get_repository_def()
    assert len(repository.sensor_defs) == 2
    assert repository.has_sensor_def("watchdog")


@pytest.mark.parametrize("source_url", ["", "https://git.example.org/generia/blob/main"])
def test_every_asset_links_to_its_task_its_step_and_its_prompts(source_url: str) -> None:
    """The linked files exist in this checkout, and the links to code name the line where the function begins."""
    graph = build_defs(Settings(_env_file=None, source_url=source_url)).resolve_asset_graph()
    for name in LINEAGE:
        found = graph.get(dg.AssetKey(name)).metadata["dagster/code_references"].code_references
        labels = [link.label for link in found]
        assert labels[:2] == [f"task {ASSETS[name].task_name}", "asset"]
        assert all(label.startswith("prompt ") and label.endswith(".j2") for label in labels[2:])
        assert len(labels) > 2 or name == "world_request"
        for link in found:
            if source_url:
                path, _, line = link.url.removeprefix(f"{source_url}/").partition("#L")
            else:
                path, line = link.file_path, link.line_number
            lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
            if link.label.startswith("task"):
                assert any(f"def {ASSETS[name].task_name}" in text for text in lines[int(line) - 1 : int(line) + 1])


@pytest.mark.servers  # a second interpreter loads the code location
def test_the_code_location_loads_in_a_fresh_interpreter_without_servers_and_environment(tmp_path: Path) -> None:
    """It needs neither MongoDB nor Kafka nor Gemini nor an environment variable."""
    says = "from generia_assets.definitions import defs; print(len(defs.resolve_asset_graph().get_all_asset_keys()))"
    loaded = subprocess.run(
        [sys.executable, "-c", says],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.strip().splitlines()[-1] == "11"
    assert list(tmp_path.iterdir()) == []
