"""The collections of the generator's database, by name.

Not here: their indexes (indexes.py), and the shapes of documents: docs/requirements.md, documents.py and the module that writes
each collection.
"""

from __future__ import annotations

TASKS = "tasks"
STATUS = "world_generation_status"
HISTORY = "api_requests_history"
GENERATIONS = "generations"
STEPS = "task_steps"
PUBLICATIONS = "publications"
WORLD_EVENTS = "world_events"
"""The outbox of the live events: ``{_id: "<world_id>:<seq, ten digits>", world_id, seq, event: {the JSON body}, at}``."""
FLEET = "fleet"
"""What all processes share about the outside: slots, pace, breakers, models that are gone. One small document each."""
KEPT_LETTERS = "dead_letters"
"""Dead letters that their topic has not taken yet (intake.py)."""
UNREADABLE_BATCHES = "unreadable_batches"
"""Record batches in Kafka that hold up a partition (intake.py)."""
