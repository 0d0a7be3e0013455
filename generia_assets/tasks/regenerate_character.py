"""Another self: the concept of one person invented anew under the name that others know (part of ``generate_character_batch``).

Here: asking until the new concept is not the former one. The name stays because it is the person's address: published posts of
others mention it, and the platform has no way to rewrite them. What is drawn by the program is drawn anew, too.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from generia_assets.content import ask_people
from generia_assets.content.axes import character_axes
from generia_assets.content.documents import Acquaintance, CharacterBrief, WorldDescription, WorldRequest
from generia_assets.content.drafts import RegeneratedConceptDraft, in_language
from generia_assets.content.fallback_characters import fallback_life
from generia_assets.content.keys import character_index, self_key
from generia_assets.content.rendering import complaint
from generia_assets.content.similarity import NEAR_DUPLICATE, similarity
from generia_assets.tasks.clients import TaskClients
from generia_assets.tasks.fallback_chain import MILD_AFTER, MOST_REFUSALS
from resources.gateway.outcomes import InvalidAnswerError, RefusedError

log = logging.getLogger(__name__)

MOST_ANSWERS = 4
"""Answers asked for before the attempt has failed."""


@dataclass(frozen=True)
class PreviousCharacter:
    """Who bore the name before, whom they know, and the people who stay as they are."""

    brief: CharacterBrief
    others: Sequence[CharacterBrief]
    acquaintances: Sequence[Acquaintance]


async def regenerate_concept(
    clients: TaskClients, request: WorldRequest, world: WorldDescription, former: PreviousCharacter
) -> CharacterBrief:
    """The concept of somebody else with the same key, name and share of the posts.

    Refused: asked for a different one, then without what may be the cause; refused ``MOST_REFUSALS`` times, it is who was drawn.
    Raises InvalidAnswerError when ``MOST_ANSWERS`` answers told the former person or another one again.
    """
    brief = former.brief
    selves = brief.selves + 1
    axes = character_axes(request.seed, character_index(brief.key), selves)
    draft_class = in_language(RegeneratedConceptDraft, world.user_preferences.language)
    complaints: list[str] = []
    refusals = 0
    for _ in range(MOST_ANSWERS):
        mild = refusals >= MILD_AFTER
        prompt = ask_people.regenerated_concept(request, world, brief, former.others, former.acquaintances, mild=mild)
        try:
            draft = await clients.text.write(prompt.with_complaints(*complaints), draft_class)
        except RefusedError as refusal:
            log.warning("another concept for %s was refused (%s); asking for a different one", brief.key, refusal.reason)
            refusals += 1
            if refusals == MOST_REFUSALS:
                return fallback_life(brief, axes, refusal.reason).model_copy(update={"selves": selves})
            complaints = [complaint("refused", reason=refusal.reason, times=refusals)]
            continue
        like = next((old for old in (brief, *former.others) if similarity(draft.concept, old.concept) >= NEAR_DUPLICATE), None)
        if like is None:
            slots = zip(ask_people.relation_slots(former.acquaintances), former.acquaintances, strict=True)
            anew = {
                "concept": draft.concept,
                "one_line": draft.one_line,
                "kind": draft.kind,
                "age": draft.age,
                "trade": draft.trade,
                "look": draft.look,
                "facts": {self_key(other.key, other.selves): draft.ties[slot] for slot, other in slots if slot in draft.ties},
                "axes": axes,
                "selves": selves,
                "moderation": "",
            }
            return brief.model_copy(update=anew)
        complaints = [complaint("same_concept", name=f"{like.display_name} (@{like.username})")]
    raise InvalidAnswerError(f"{MOST_ANSWERS} answers gave no other self for {brief.key}; the last problem: {' '.join(complaints)}")
