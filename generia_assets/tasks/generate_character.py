"""Task type ``generate_character``: a concept becomes a person, known to the platform (R4). One call."""

import logging
from collections.abc import Sequence
from functools import partial

from generia_assets.content import ask_people, languages
from generia_assets.content.documents import Acquaintance, Character, CharacterBrief, Relationship, WorldDescription, WorldRequest
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
        "username", "display_name", "bio", "background_story", "personality", "appearance", "interests", "speaking_style",
        "common_topics", "avatar_description", "avatar_style", "relationships", "secret", "daily_routine",
    }
)  # fmt: skip
"""The fields of a character that the platform's pages show (docs/requirements.md)."""


def character_of(draft: CharacterDraft, brief: CharacterBrief, acquaintances: Sequence[Acquaintance]) -> Character:
    """The document of a draft. Names, key and share of the posts are the brief's; relations are with these people only."""
    slots = zip(ask_people.slots_of("person", acquaintances), acquaintances, strict=True)
    relations = [(other, draft.relations[slot]) for slot, other in slots if slot in draft.relations]
    return Character.model_validate(
        {
            **draft.model_dump(exclude={"story", "relations"}),
            **brief.model_dump(include=set(_FROM_BRIEF)),
            "background_story": "\n\n".join(draft.story),
            "avatar_description": draft.avatar_description or UNSEEN_SCENE,
            "look": draft.look or UNSEEN_LOOK,
            "relationships": [
                Relationship(username=other.username, relationship_type=one.relationship_type, description=one.description)
                for other, one in relations
            ],
            "character_id": "",
            "seen_by": {other.username: one.their_description for other, one in relations if isinstance(one, BothSidesDraft)},
        }
    )


_FROM_BRIEF = ("key", "username", "display_name", "posts_count", "selves", "plot")


def _one_line(brief: CharacterBrief, world: WorldDescription) -> str:
    """The one line about a person for readers; for a fallback character, whose line is English, a general one."""
    return languages.placeholders(world.user_preferences.language).untold if brief.moderation else brief.one_line


def character_of_concept(brief: CharacterBrief, world: WorldDescription, reason: str) -> Character:
    """The person when moderation refuses the full profile: the concept, which it accepted, and nothing else."""
    line = _one_line(brief, world)
    empty = ("personality", "appearance", "speaking_style", "avatar_style", "secret", "daily_routine", "character_id")
    return Character.model_validate(
        {
            **brief.model_dump(include=set(_FROM_BRIEF)),
            **dict.fromkeys(empty, ""),
            **dict.fromkeys(("interests", "common_topics", "relationships"), ()),
            "bio": cut(line, BIO_LIMIT),
            "background_story": line if brief.moderation else brief.concept,
            "avatar_description": UNSEEN_SCENE,
            "look": UNSEEN_LOOK,
            "moderation": f"told by the concept alone, the rest was refused by moderation: {reason}",
        }
    )


async def _written(
    clients: TaskClients,
    request: WorldRequest,
    world: WorldDescription,
    brief: CharacterBrief,
    acquaintances: Sequence[Acquaintance],
    described_by: Sequence[Character],
) -> Character:
    """The person as the model writes them. Raises RefusedError when moderation refuses every step of the fallback chain."""
    draft_class = in_language(RegeneratedCharacterDraft if described_by else CharacterDraft, world.user_preferences.language)
    ask = partial(ask_people.character, request, world, brief, acquaintances, described_by=described_by)
    draft, reason = await write_with_fallback(
        clients.text,
        draft_class,
        [lambda _: ask(), lambda reason: ask(softened=reason), lambda reason: ask(softened=reason, mild=True)],
    )
    missing = [slot for slot in ask_people.slots_of("person", acquaintances) if slot not in draft.relations]
    moderation = f"asked for again in softer words, refused by moderation: {reason}" if reason else ""
    if missing and not reason:
        again = ask().with_complaints(complaint("relations", names=missing))
        draft, refusal = await improve_or_keep(clients.text, again, draft_class, draft)
        moderation = f"the relations that are missing were refused by moderation: {refusal}" if refusal else ""
    written = character_of(draft, brief, acquaintances)
    if len(written.relationships) < len(acquaintances):
        log.warning("%s has %d of %d relations", brief.key, len(written.relationships), len(acquaintances))
    return written.model_copy(update={"moderation": moderation})


@durable_task
async def generate_character(
    parameters: TaskParameters,
    clients: TaskClients,
    request: WorldRequest,
    world: WorldDescription,
    brief: CharacterBrief,
    acquaintances: Sequence[Acquaintance],
    former: Character | None = None,
    described_by: Sequence[Character] = (),
    character_id: str = "",
) -> Character:
    """Write the person and create them on the platform.

    A missing relation is asked for once more, and stays missing when that is refused or answered badly. A refused request is made
    again in softer words, then with only the name and one line; if that is refused too, the person is what their concept says.

    Args:
        acquaintances: the people whom this one knows; one relation each.
        former: the previous person of this name; the platform's character stays and is changed.
        described_by: people who stay as they are and have a relation to the former person; how they describe it now comes with the
            same answer (``seen_by``).
        character_id: the platform's character of a failed person whose place this one takes.
    """
    try:
        person = await _written(clients, request, world, brief, acquaintances, described_by)
    except RefusedError as refusal:
        log.warning("%s was refused in every form (%s); the profile is the concept alone", brief.key, refusal.reason)
        person = character_of_concept(brief, world, refusal.reason)
    # Where the answer lacks it: the one line about the person.
    seen_by = {other.username: person.seen_by.get(other.username, _one_line(brief, world)) for other in described_by}
    person = person.model_copy(update={"seen_by": seen_by})
    if character_id := former.character_id if former is not None else character_id:
        await clients.platform.character_changed(character_id, as_published(person))
    else:
        character_id = await clients.platform.character(as_published(person))
    for other in described_by:
        changed = other.with_updated_relationships({person.username: person})
        if changed is not other:
            await clients.platform.character_changed(other.character_id, as_published(changed))
    return person.model_copy(update={"character_id": character_id})


def as_published(character: Character) -> NewCharacter:
    meta = character.model_dump(mode="json", include=set(PLATFORM_FIELDS))
    return NewCharacter(display_name=character.display_name, meta=meta)
