"""What all asset definitions share, from the catalogue: group, owner, kinds, code version, storage, and links to the source.

A code version is the fingerprint of what decides an asset's content: its task's code, and its templates and data files
(``AssetSpec.content_files``). A changed prompt shows in the UI as a changed code version of the assets that use it.
"""

from __future__ import annotations

import hashlib
import inspect
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypedDict

import dagster as dg

from generia_assets import content
from generia_assets.asset_spec import AssetSpec, Unit
from generia_assets.catalog import ASSETS
from generia_assets.tasks.task_definition import task_of

_GROUPS = {Unit.WORLD: "world", Unit.PERSON: "people", Unit.POST: "posts"}
CONTENT_FOLDER = Path(inspect.getfile(content)).parent
ROOT = CONTENT_FOLDER.parents[1]
CODE_REFERENCES = "dagster/code_references"
"""The key of metadata that Dagster's pages show as links."""


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


def with_source_links(assets: dg.AssetsDefinition, source_url: str) -> dg.AssetsDefinition:
    """The assets with links to their source: below ``source_url``, or '' for the files of this machine, which an editor opens."""
    function: Any = assets.op.compute_fn
    step = inspect.unwrap(getattr(function, "decorated_fn", function))

    def linked(spec: dg.AssetSpec) -> dg.AssetSpec:
        asset = ASSETS[spec.key.path[-1]]
        task = task_of(asset.task_type).function
        files: list[tuple[str, Path, int | None]] = [(f"task {asset.task_name}", *_place(task)), ("asset", *_place(step))]
        files += [(f"prompt {path.name}", path, None) for path in prompts_of(asset)]
        links = [_link(source_url, *file) for file in files]
        return spec.merge_attributes(metadata={CODE_REFERENCES: dg.CodeReferencesMetadataValue(code_references=links)})

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # chosen on purpose
        return assets.map_asset_specs(linked)


def prompts_of(asset: AssetSpec) -> list[Path]:
    """The templates of the asset's requests, its own first. Parts that templates share, named ``_part.j2``, are left out."""
    names = [name for name in reversed(asset.content_files) if name.endswith(".j2") and "/_" not in name]
    return [CONTENT_FOLDER / name for name in dict.fromkeys(names)]


def _place(function: Callable[..., object]) -> tuple[Path, int]:
    return Path(inspect.getfile(function)), inspect.getsourcelines(function)[1]


def _link(source_url: str, label: str, path: Path, line: int | None) -> dg.UrlCodeReference | dg.LocalFileCodeReference:
    if source_url:
        at = f"#L{line}" if line else ""
        return dg.UrlCodeReference(url=f"{source_url}/{path.relative_to(ROOT).as_posix()}{at}", label=label)
    return dg.LocalFileCodeReference(file_path=str(path), line_number=line or 1, label=label)
