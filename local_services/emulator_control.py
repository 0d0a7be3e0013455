"""What a demo asks of its emulators, over HTTP: what the Gemini emulator replayed, and what has arrived on the platform.

Not here: the emulators themselves (emulators/), and their start (catalog.py).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import requests

from generia_assets.catalog import ASSETS
from generia_assets.cli.console import CommandError
from generia_assets.content.text import plural
from resources.mongodb.connection import MongoDatabase

TIMEOUT_S = 10.0


def recorded_answers(gemini: str) -> int:
    """How many answers of the Gemini emulator at this URL were recorded ones; 0 where it does not say."""
    with suppress(CommandError):  # no world fails for want of this number
        return int(_call("GET", f"{gemini}/emulator/stats").get("recorded", 0))
    return 0


def add_world(platform: str, world_id: str) -> None:
    """The platform emulator at this URL has this world from here on, as a platform that orders it has. Raises ``CommandError``."""
    _call("POST", f"{platform}/worlds", {"id": world_id})


def describe_arrived(platform: str, database: MongoDatabase, world_id: str) -> str:
    """What has arrived on the platform emulator, and whether its feed has the world's order. Raises ``CommandError``."""
    there = _call("GET", f"{platform}/emulator/worlds/{world_id}")
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
            raise CommandError(f"the emulator does not answer as it should: {error}") from error
