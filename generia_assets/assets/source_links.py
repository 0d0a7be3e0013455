"""Links from an asset's page to its source: the task, the asset's function, and the prompts."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from generia_assets.asset_spec import AssetSpec
from generia_assets.assets.definition import CONTENT_FOLDER
from generia_assets.catalog import ASSETS
from generia_assets.tasks.task_definition import task_of

ROOT = Path(__file__).parents[2]
CODE_REFERENCES = "dagster/code_references"
"""The key of metadata that Dagster's pages show as links."""


def with_source_links(assets: dg.AssetsDefinition, source_url: str) -> dg.AssetsDefinition:
    """The assets with their links: below ``source_url``, or '' for the files of this machine, which an editor opens."""
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
