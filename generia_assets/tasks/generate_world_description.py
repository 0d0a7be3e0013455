"""Task type ``generate_world_description``: a user's sentence becomes a world (R4). One call."""

from __future__ import annotations

from generia_assets.content import ask_world, banlist, languages
from generia_assets.content.documents import (
    AdditionalDetails,
    NamingCustoms,
    UserPreferences,
    Wish,
    WorldDescription,
    WorldEvent,
    WorldRequest,
)
from generia_assets.content.drafts import WorldDraft, in_language
from generia_assets.content.prompt import Prompt
from generia_assets.content.rendering import complaint
from generia_assets.content.text import hashtags
from generia_assets.tasks.clients import TaskClients
from generia_assets.tasks.fallback_chain import improve_or_keep, write_with_fallback
from generia_assets.tasks.task_definition import TaskParameters, UnfitTaskError, durable_task
from resources.gateway.outcomes import RefusedError

PLATFORM_FIELDS = frozenset(
    {
        "name",
        "description_short",
        "description",
        "theme",
        "technology_level",
        "social_structure",
        "culture",
        "geography",
        "visual_style",
        "history",
        "common_activities",
        "typical_stories",
        "user_preferences",
        "additional_details",
    }
)
"""The fields of a world that the platform's pages know (contracts.md); the others are for later requests to the model."""
NO_RULES = "by no rule that anybody here could name"
MOST_DOUBTS = 2
"""Times a world in another script than its sentence's is asked about. One that the user asked for is answered the same again."""


class RefusedSentenceError(UnfitTaskError):
    """Moderation refuses a world of the user's sentence, as it is and told more softly. The message says what the user can do.

    Its no to these very words is no accident of one answer: further attempts would only spend the calls of another wording.
    """


def world_of(draft: WorldDraft, request: WorldRequest) -> WorldDescription:
    """The document of a draft. The world's language is the one ordered, or else the one the draft found the sentence to be in."""
    return WorldDescription(
        name=draft.name,
        description_short=draft.description_short,
        description="\n\n".join(draft.paragraphs),
        theme=draft.theme,
        technology_level=draft.technology_level,
        social_structure=draft.social_structure,
        culture=draft.culture,
        geography=draft.geography,
        visual_style=draft.visual_style,
        history=draft.history,
        common_activities=tuple(draft.common_activities),
        typical_stories=tuple(draft.typical_stories),
        user_preferences=UserPreferences(
            language=request.language or languages.canonical(draft.content_language),
            other_preferences=tuple(wish.idea for wish in draft.wishes),
        ),
        additional_details=AdditionalDetails(
            climate=draft.climate,
            resources=draft.resources,
            conflicts=draft.conflicts,
            traditions=draft.traditions,
            technology=draft.technology,
            magic_system=draft.magic_system,
            time_period=draft.time_period,
            language=draft.languages_spoken,
            custom_details=tuple(draft.custom_details),
        ),
        naming=NamingCustoms(rules=draft.naming_rules or NO_RULES, examples=tuple(draft.naming_examples)),
        hashtags=hashtags(draft.hashtags),
        wishes=tuple(Wish(idea=wish.idea, daily=wish.daily) for wish in draft.wishes),
        calendar=tuple(WorldEvent.model_validate(event.model_dump()) for event in draft.calendar),
    )


def _second_thoughts(draft: WorldDraft, request: WorldRequest) -> list[str]:
    """What is asked about once, whatever comes then: all else will be made in this language and after these names."""
    language = request.language or languages.canonical(draft.content_language)
    seems = languages.foreign("\n".join(draft.paragraphs), language)
    # An event may be named like many others: it is one of the calendar, and the whole world would be asked for again.
    names = "\n".join((draft.name, *draft.naming_examples))
    worn = banlist.find_banned(names, language, wished=request.user_prompt, kinds=("names", "jobs", "words"))
    return [
        *([complaint("foreign", named=language, seems=seems)] if seems else []),
        *([complaint("banned_world", found=worn)] if worn else []),
    ]


@durable_task
async def generate_world_description(parameters: TaskParameters, tools: TaskClients, request: WorldRequest) -> WorldDescription:
    """Describe the world and tell the platform of it, whose pages show it at once.

    Doubts about a world that was let through are asked about; when that is refused or answered badly, the world stays as it is.
    Raises RefusedSentenceError.
    """
    draft_class = in_language(WorldDraft, request.language) if request.language else WorldDraft
    doubts: list[str] = []

    def rung(reason: str) -> Prompt:
        return ask_world.world_description(request, softened=reason).with_complaints(*doubts)

    try:
        draft, reason = await write_with_fallback(tools.writer, draft_class, [rung, rung])
    except RefusedError as refusal:
        raise RefusedSentenceError(
            f"The language model's moderation refuses a world of this prompt ({refusal.reason}). "
            "Word it differently and order the world again; nothing was published."
        ) from refusal
    while len(doubts) < MOST_DOUBTS and not request.language:
        seems = languages.in_doubt(draft.content_language, request.user_prompt)
        if not seems:
            break
        doubts.append(complaint("language", named=languages.canonical(draft.content_language), seems=seems))
        draft, _ = await improve_or_keep(tools.writer, rung(reason), draft_class, draft)
    if second_thoughts := _second_thoughts(draft, request):
        doubts += second_thoughts
        draft, _ = await improve_or_keep(tools.writer, rung(reason), draft_class, draft)
    world = world_of(draft, request)
    params = world.model_dump(mode="json", include=set(PLATFORM_FIELDS))
    await tools.publisher.world_params(world.name, params, request.users_count, request.posts_count)
    return world
