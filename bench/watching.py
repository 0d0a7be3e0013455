"""Watching a world's ledger: its status record is read fifty times a second and compared with the limits.

Here: what must be true of the ledger at every moment. Not here: what must be true at the end (money.py).
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from generia_assets.durable.collections import STATUS
from resources.mongodb.connection import MongoDocument, connect

EVERY_SECONDS = 0.02
"""A call lasts longer, and a limit that is passed stays passed: more looks see no more and cost a third of a core."""
CENT_FRACTION = 1e-9
"""US dollars by which sums of doubles may differ."""


class Watch:
    """Reads these worlds in a thread of its own until it is closed. ``wrong``: the violations that it saw."""

    def __init__(self, uri: str, *world_ids: str) -> None:
        self._uri = uri
        self._worlds = list(world_ids)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch")
        self.looks = 0
        self.wrong: list[str] = []

    def _look(self) -> None:
        with connect(self._uri) as client:
            statuses = client["generia_ai_worker"][STATUS]
            while not self._over.is_set():
                for status in statuses.find({"_id": {"$in": self._worlds}}):
                    self.looks += 1
                    self.wrong += [sentence for sentence in broken(status) if sentence not in self.wrong]
                time.sleep(EVERY_SECONDS)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()


def broken(status: MongoDocument) -> list[str]:
    """The limits that this state of a ledger exceeds."""
    wrong = []
    for kind in ("LLM", "images"):
        made, limit = status[f"api_calls_made_{kind}"], status[f"api_call_limits_{kind}"]
        if made > limit:
            wrong.append(f"{made} calls were made of {limit} (api_calls_made_{kind})")
        if made < 0:
            wrong.append(f"api_calls_made_{kind} is {made}")
    reserved, cap = float(status["cost_reserved_usd"]), status["cost_limit_usd"]
    committed = float(status["llm_cost_total"]) + float(status["image_cost_total"]) + reserved
    if cap is not None and committed > cap + CENT_FRACTION:
        wrong.append(f"${committed:.6f} were spent or reserved under a cap of ${cap}")
    reserved_in_flight = sum(float(note["reserved_usd"]) for note in status["in_flight"].values())
    if abs(reserved_in_flight - reserved) > CENT_FRACTION:
        wrong.append(f"${reserved:.6f} are reserved, and the calls in flight reserved ${reserved_in_flight:.6f}")
    return wrong
