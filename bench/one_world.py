"""``python -m bench.one_world WORLD --users N --posts M``: one run of one world in a process of its own, which can be killed.

It goes on with the world's unfinished generation, if there is one. Settings come from the environment. Exit status 0: completed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from bench.in_process import Order, make
from bench.stack import PROMPT
from generia_assets.durable.collections import STATUS
from generia_assets.settings import settings
from resources.mongodb.connection import connect


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.one_world", description=__doc__)
    parser.add_argument("world")
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--posts", type=int, required=True)
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--after", type=Path, help="wait until this file is there, so that several begin at one moment")
    arguments = parser.parse_args()
    while arguments.after and not arguments.after.exists():
        time.sleep(0.005)
    with connect(settings().mongodb_uri.get_secret_value()) as client:
        status = client[settings().mongodb_database][STATUS].find_one({"_id": arguments.world}, {"generation": 1}) or {}
    order = Order(arguments.world, arguments.users, arguments.posts, arguments.prompt)
    made = make(order, generation=status.get("generation"))
    print(made.failure, flush=True)
    sys.exit(0 if made.success else 1)


if __name__ == "__main__":
    main()
