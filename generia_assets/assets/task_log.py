"""The log of single tasks: a line each in the run's compute log (stderr on its page), and none in Dagster's event log.

Here: where the lines go while a run lasts. ``generate_character c0007: done, attempt 1 of 2`` is written by durable/journal.py;
what is asked again, refused or cut off says so in the same form. A world of 10,000 posts has tens of thousands of such lines:
nothing to a file, and far too much for the events that Dagster keeps for ever (run_log.py has one line a person for those).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from generia_assets.settings import settings

OURS = ("generia_assets", "resources")
FORMAT = "%(asctime)s %(levelname)s %(message)s"


@contextmanager
def task_log() -> Iterator[None]:
    """Write the lines of our own rooms to stderr, from LOG_LEVEL on, until the run ends."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT))
    loggers = [logging.getLogger(name) for name in OURS]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(settings().log_level)
        logger.propagate = False  # else whoever listens to everything writes it a second time
    try:
        yield
    finally:
        for logger, level, propagate in before:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
