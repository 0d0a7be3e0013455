"""The job ``world``: all nine assets of one world, in one process, on one event loop."""

from __future__ import annotations

import dagster as dg

from generia_assets.assets.materialized import ASSETS

world_job = dg.define_asset_job(
    "world",
    selection=dg.AssetSelection.assets(*ASSETS),
    executor_def=dg.in_process_executor,
    description="Make a world: description, pictures, people, posts. One run is one world; its partition is the world's id.",
)
