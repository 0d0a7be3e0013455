"""One run of one world in a process of its own, which can be killed; ``python -m bench.one_world WORLD --users N --posts M``.

It continues the world's unfinished generation, if there is one. Settings come from the environment. Exit status 0: completed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bench.in_process import Order, change_settings, make
from bench.stack import PROMPT
from generia_assets.durable.collections import STATUS
from generia_assets.settings import settings
from resources.mongodb.connection import connect


def run_forked(order: Order, environment: Mapping[str, str], log: Path, after: Path | None) -> None:
    """The run of a process that was forked for it. ``after``: it waits for this file, so that several start at the same moment."""
    with log.open("w") as output:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output.fileno(), stream.fileno())
    change_settings(environment)
    while after and not after.exists():
        time.sleep(0.005)
    run(order)


def run(order: Order) -> None:
    with connect(settings().mongodb_uri.get_secret_value()) as client:
        status = client[settings().mongodb_database][STATUS].find_one({"_id": order.world_id}, {"generation": 1}) or {}
    made = make(order, generation=status.get("generation"))
    print(made.failure, flush=True)
    sys.exit(0 if made.success else 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.one_world", description=__doc__)
    parser.add_argument("world")
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--posts", type=int, required=True)
    parser.add_argument("--prompt", default=PROMPT)
    arguments = parser.parse_args()
    run(Order(arguments.world, arguments.users, arguments.posts, arguments.prompt))


if __name__ == "__main__":
    main()
