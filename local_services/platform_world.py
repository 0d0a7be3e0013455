"""A world in the platform emulator: its row, as the platform makes it for an order, and what has arrived there in the end.

Not here: the emulator (emulators/platform), whose control is HTTP.
"""

from __future__ import annotations

from typing import Any

import requests

from generia_assets.catalog import ASSETS
from generia_assets.cli.console import CommandError
from generia_assets.content.text import plural
from resources.mongodb.connection import MongoDatabase

TIMEOUT_S = 10.0


def add_world(url: str, world_id: str) -> None:
    """The platform has this world from here on. Raises ``CommandError``."""
    _call("POST", f"{url}/worlds", {"id": world_id})


def arrived(url: str, database: MongoDatabase, world_id: str) -> str:
    """What has arrived on the platform, in a sentence, and whether its feed has the world's order. Raises ``CommandError``."""
    there = _call("GET", f"{url}/emulator/worlds/{world_id}")
    images = database[ASSETS["post_images"].collection].find({"world_id": world_id}, {"t": 1, "post_id": 1}).sort("t")
    feed = [post["id"] for post in there["posts"]]
    order = "in the world's order" if feed == [image["post_id"] for image in images] else "NOT in the world's order"
    characters, pictures = plural(len(there["characters"]), "character"), plural(len(there["media"]), "picture")
    return f"on the platform (an emulator, gone when this ends): {characters}, {pictures}, {plural(len(feed), 'post')} {order}"


def _call(method: str, url: str, body: object = None) -> Any:  # noqa: ANN401  as JSON
    with requests.Session() as session:
        session.trust_env = False  # no proxy stands before an emulator
        try:
            answer = session.request(method, url, json=body, timeout=TIMEOUT_S)
            answer.raise_for_status()
            return answer.json()
        except requests.RequestException as error:
            raise CommandError(f"the platform emulator does not answer as it should: {error}") from error
