"""Print the first request of a world, for whoever changes a prompt: ``python -m generia_assets.content.try_prompt "a sentence"``.

Here: the world's description only; all other requests need a described world, and the command line shows those of real ones.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from generia_assets.content.ask_world import world_description
from generia_assets.content.documents import WorldRequest
from generia_assets.content.draw import world_seed


def main(sentence: str) -> str:
    """The system instruction and the item for this sentence, with an estimate of their tokens."""
    request = WorldRequest(
        user_prompt=sentence, users_count=25, posts_count=150, seed=world_seed(sentence), created_at=datetime.now(UTC)
    )
    prompt = world_description(request)
    tokens = (len(prompt.system) + len(prompt.item)) // 4
    return f"{prompt.system}\n\n=====\n\n{prompt.item}\n\n===== about {tokens} tokens\n"


if __name__ == "__main__":
    sys.stdout.write(main(" ".join(sys.argv[1:]) or "A town on the back of a tortoise"))
