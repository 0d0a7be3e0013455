"""Task type ``generate_character``: a concept becomes a person, known to the platform (R4). One call."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from generia_assets.content import ask_people, languages
from generia_assets.content.documents import (
    Acquaintance,
    Character,
    CharacterBrief,
    Relationship,
    WorldDescription,
    WorldRequest,
)
from generia_assets.content.drafts import BothSidesDraft, CharacterDraft, RegeneratedCharacterDraft, in_language
from generia_assets.content.fields import BIO_LIMIT
from generia_assets.content.pictures import UNSEEN_LOOK, UNSEEN_SCENE
from generia_assets.content.rendering import complaint
from generia_assets.content.text import cut
from generia_assets.tasks.clients import NewCharacter, TaskClients
from generia_assets.tasks.fallback_chain import improve_or_keep, write_with_fallback
from generia_assets.tasks.task_definition import TaskParameters, durable_task
from resources.gateway.outcomes import RefusedError

log = logging.getLogger(__name__)

PLATFORM_FIELDS = frozenset(
    {
        "username",
        "display_name",
        "bio",
        "background_story",
        "personality",
        "appearance",
        "interests",
        "speaking_style",
        "common_topics",
        "avatar_description",
        "avatar_style",
        "relationships",
        "secret",
        "daily_routine",
    }
)
"""The fields of a character that the platform's pages know (contracts.md)."""


def character_of(
    draft: CharacterDraft, brief: CharacterBrief, acquaintances: Sequence[Acquaintance], character_id: str = ""
) -> Character:
    """The document of a draft. Names, key and share of the posts are the brief's; relations are with these people only."""
    named = zip(ask_people.relation_slots(acquaintances), acquaintances, strict=True)
    told = [(other, draft.relations[slot]) for slot, other in named if slot in draft.relations]
    return Character(
        key=brief.key,
        username=brief.username,
        display_name=brief.display_name,
        bio=draft.bio,
        background_story="\n\n".join(draft.story),
        personality=draft.personality,
        appearance=draft.appearance,
        interests=tuple(draft.interests),
        speaking_style=draft.speaking_style,
        common_topics=tuple(draft.common_topics),
        avatar_description=draft.avatar_description or UNSEEN_SCENE,
        avatar_style=draft.avatar_style,
        relationships=tuple(
            Relationship(username=other.username, relationship_type=tie.relationship_type, description=tie.description)
            for other, tie in told
        ),
        secret=draft.secret,
        daily_routine=draft.daily_routine,
        look=draft.look or UNSEEN_LOOK,
        posts_count=brief.posts_count,
        character_id=character_id,
        selves=brief.selves,
        seen_by={other.username: tie.their_description for other, tie in told if isinstance(tie, BothSidesDraft)},
    )


def _line(brief: CharacterBrief, world: WorldDescription) -> str:
    """By which readers are told who that is; of a person who was drawn by lot there are only notes for the model."""
    return languages.untold_person(world.user_preferences.language) if brief.moderation else brief.one_line


def character_of_concept(brief: CharacterBrief, world: WorldDescription, reason: str) -> Character:
    """Who stands in for a person that moderation refuses to have written: the concept, which it let through, and no more."""
    line = _line(brief, world)
    return Character(
        key=brief.key,
        username=brief.username,
        display_name=brief.display_name,
        bio=cut(line, BIO_LIMIT),
        background_story=line if brief.moderation else brief.concept,
        personality="",
        appearance="",
        interests=(),
        speaking_style="",
        common_topics=(),
        avatar_description=UNSEEN_SCENE,
        avatar_style="",
        relationships=(),
        secret="",
        daily_routine="",
        look=UNSEEN_LOOK,
        posts_count=brief.posts_count,
        character_id="",
        selves=brief.selves,
        moderation=f"told by the concept alone, the rest was refused by moderation: {reason}",
    )


async def _written(
    tools: TaskClients,
    request: WorldRequest,
    world: WorldDescription,
    brief: CharacterBrief,
    acquaintances: Sequence[Acquaintance],
    told_by: Sequence[Character],
) -> Character:
    """The person as the model writes them. Raises RefusedError when moderation refuses every rung."""
    draft_class = in_language(RegeneratedCharacterDraft if told_by else CharacterDraft, world.user_preferences.language)
    ask = partial(ask_people.character, request, world, brief, acquaintances, told_by=told_by)
    draft, reason = await write_with_fallback(
        tools.writer,
        draft_class,
        [
            lambda _: ask(),
            lambda reason: ask(softened=reason),
            lambda reason: ask(softened=reason, mild=True),
        ],
    )
    missing = [slot for slot in ask_people.relation_slots(acquaintances) if slot not in draft.relations]
    moderation = f"asked for again in softer words, refused by moderation: {reason}" if reason else ""
    if missing and not reason:
        again = ask().with_complaints(complaint("relations", names=missing))
        draft, refusal = await improve_or_keep(tools.writer, again, draft_class, draft)
        moderation = f"the relations that are missing were refused by moderation: {refusal}" if refusal else ""
    written = character_of(draft, brief, acquaintances)
    if len(written.relationships) < len(acquaintances):
        log.warning("%s tells %d of %d relations", brief.key, len(written.relationships), len(acquaintances))
    return written.model_copy(update={"moderation": moderation})


@durable_task
async def generate_character(
    parameters: TaskParameters,
    tools: TaskClients,
    request: WorldRequest,
    world: WorldDescription,
    brief: CharacterBrief,
    acquaintances: Sequence[Acquaintance],
    former: Character | None = None,
    told_by: Sequence[Character] = (),
    character_id: str = "",
) -> Character:
    """Write the person and create them on the platform.

    Relations are with ``acquaintances`` only, one each; a missing one is asked for once more, and stays missing when that is
    refused or answered badly. Refused: asked more softly, then with nothing but the name and one line; when that is refused too,
    the person is what their concept says.

    ``former``: who they were under the same name; the platform's character stays the same and is changed. So is ``character_id``,
    the platform's character of somebody else whose place they take. ``told_by``: people who stay as they are and tell of the former
    one; how they tell it now comes with the same answer (``seen_by``).
    """
    try:
        unknown = await _written(tools, request, world, brief, acquaintances, told_by)
    except RefusedError as refusal:
        log.warning("%s was refused on every rung (%s); the profile tells the concept alone", brief.key, refusal.reason)
        unknown = character_of_concept(brief, world, refusal.reason)
    # Where the answer says nothing of it: the one line by which others tell who that is, which fits by its nature.
    seen_by = {other.username: unknown.seen_by.get(other.username, _line(brief, world)) for other in told_by}
    unknown = unknown.model_copy(update={"seen_by": seen_by})
    if character_id := former.character_id if former is not None else character_id:
        await tools.publisher.character_changed(character_id, as_published(unknown))
    else:
        character_id = await tools.publisher.character(as_published(unknown))
    for other in told_by:
        mended = other.with_updated_relationships({unknown.username: unknown})
        if mended is not other:
            await tools.publisher.character_changed(other.character_id, as_published(mended))
    return unknown.model_copy(update={"character_id": character_id})


def as_published(character: Character) -> NewCharacter:
    """The person as the platform is told of them."""
    meta = character.model_dump(mode="json", include=set(PLATFORM_FIELDS))
    return NewCharacter(display_name=character.display_name, meta=meta)
