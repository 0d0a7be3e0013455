"""The one partition definition: a world is a partition, in every asset.

Dagster has no mapping between two dynamic definitions: with one key per world in all nine assets the lineage is the identity
mapping, a run is a world, and the number of keys and events does not grow with characters and posts. Those are addressed inside
a world, by their keys (content/keys.py). Here: the one definition that sensors and assets share.
"""

from __future__ import annotations

import dagster as dg

worlds = dg.DynamicPartitionsDefinition(name="worlds")
"""Keys are world ids: UUIDs from Kafka, or short names typed in the UI (``WORLD_ID_PATTERN``)."""
