"""Task type ``generate_world_description``: a user's sentence becomes a world (R4). One call."""

from generia_assets.content import ask_world, banlist, languages
from generia_assets.content.documents import NamingCustoms, UserPreferences, WorldDescription, WorldRequest
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
        "name", "description_short", "description", "theme", "technology_level", "social_structure", "culture", "geography",
        "visual_style", "history", "common_activities", "typical_stories", "user_preferences", "additional_details",
    }
)  # fmt: skip
"""The fields of a world that the platform's pages show (docs/requirements.md); the others are for later requests to the model."""
NO_RULES = "by no rule that anybody here could name"
MOST_DOUBTS = 2
"""Times the model is asked about a world in another script than its sentence's. (The user may want it so.)"""


class RefusedSentenceError(UnfitTaskError):
    """Moderation refuses a world of the user's sentence, as it is and in softer words. The message says what the user can do.

    Further attempts with the same words would be refused again.
    """


def world_of(draft: WorldDraft, request: WorldRequest) -> WorldDescription:
    """The document of a draft. The world's language is the ordered one, or else the one that the draft found in the sentence."""
    values = draft.model_dump()
    return WorldDescription.model_validate(
        {
            **values,
            "description": "\n\n".join(draft.paragraphs),
            "user_preferences": UserPreferences(
                language=request.language or languages.canonical(draft.content_language),
                other_preferences=tuple(wish.idea for wish in draft.wishes),
            ),
            "additional_details": {**values, "language": draft.languages_spoken},
            "naming": NamingCustoms(rules=draft.naming_rules or NO_RULES, examples=tuple(draft.naming_examples)),
            "hashtags": hashtags(draft.hashtags),
        }
    )


def _second_thoughts(draft: WorldDraft, request: WorldRequest) -> list[str]:
    """Complaints that are sent back once, because the rest of the world follows this language and these names."""
    language = request.language or languages.canonical(draft.content_language)
    seems = languages.foreign("\n".join(draft.paragraphs), language)
    # Names of events are not checked: the whole world would be asked for again because of one of them.
    names = "\n".join((draft.name, *draft.naming_examples))
    worn = banlist.find_banned(names, language, wished=request.user_prompt, kinds=("names", "jobs", "words"))
    return [
        *([complaint("foreign", named=language, seems=seems)] if seems else []),
        *([complaint("banned_world", found=worn)] if worn else []),
    ]


@durable_task
async def generate_world_description(parameters: TaskParameters, clients: TaskClients, request: WorldRequest) -> WorldDescription:
    """Describe the world and publish its parameters.

    Doubts about an accepted world are sent back; when that is refused or answered badly, the world stays as it is.

    Raises:
        RefusedSentenceError: moderation refuses the sentence in every form.
    """
    draft_class = in_language(WorldDraft, request.language) if request.language else WorldDraft
    doubts: list[str] = []

    def step(reason: str) -> Prompt:
        return ask_world.world_description(request, softened=reason).with_complaints(*doubts)

    try:
        draft, reason = await write_with_fallback(clients.text, draft_class, [step, step])
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
        draft, _ = await improve_or_keep(clients.text, step(reason), draft_class, draft)
    if second_thoughts := _second_thoughts(draft, request):
        doubts += second_thoughts
        draft, _ = await improve_or_keep(clients.text, step(reason), draft_class, draft)
    world = world_of(draft, request)
    await publish_world(clients, request, world)
    return world


async def publish_world(clients: TaskClients, request: WorldRequest, world: WorldDescription) -> None:
    """Give the platform the world's parameters and counts; repeating it changes nothing."""
    params = world.model_dump(mode="json", include=set(PLATFORM_FIELDS))
    await clients.platform.world_params(world.name, params, request.users_count, request.posts_count)
