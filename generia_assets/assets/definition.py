"""The arguments that all asset definitions share, from the catalogue: group, owner, kinds, code version, storage.

A code version is the fingerprint of what decides an asset's content: its task's code, and its templates and data files
(``AssetSpec.content_files``). A changed prompt shows in the UI as a changed code version of the assets that use it.
"""

from __future__ import annotations

import hashlib
import inspect
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypedDict

import dagster as dg

from generia_assets import content
from generia_assets.asset_spec import Unit
from generia_assets.catalog import ASSETS

_GROUPS = {Unit.WORLD: "world", Unit.PERSON: "people", Unit.POST: "posts"}
CONTENT_FOLDER = Path(inspect.getfile(content)).parent


class Definition(TypedDict):
    """Arguments of ``dg.asset`` and of ``dg.AssetOut``."""

    io_manager_key: str
    group_name: str
    description: str
    owners: list[str]
    kinds: set[str]
    code_version: str
    metadata: dict[str, Any]
    dagster_type: Any


def definition_of(name: str) -> Definition:
    """The arguments of an asset's definition in Dagster. The metadata names the collection for the io manager."""
    asset = ASSETS[name]
    gemini = any(not call.high_quality_only for call in asset.llm_calls)
    return {
        "io_manager_key": "mongo_io_manager",
        "group_name": _GROUPS[asset.unit.document],
        "description": f"{asset.description} Task type `{asset.task_name}`. {asset.rerun}".rstrip(),
        "owners": ["team:generia"],
        "kinds": {"python", "mongodb", *(["gemini"] if gemini else [])},
        "code_version": code_version(name),
        "metadata": {"collection": asset.collection, "one_per_world": asset.one_per_world, "task_type": asset.task_name},
        "dagster_type": dg.Any,  # a stream; the documents' class is checked when they are stored
    }


@cache
def code_version(name: str, content_folder: Path = CONTENT_FOLDER) -> str:
    """Fingerprint of the asset's task, and of the prompts and data it is made with."""
    digest = hashlib.sha256()
    task = inspect.getfile(import_module(f"generia_assets.tasks.{ASSETS[name].task_name}"))
    content_files = sorted({path for pattern in ASSETS[name].content_files for path in content_folder.glob(pattern)})
    for path in [Path(task), *content_files]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
