"""Fallback chains: the requests that are tried, step by step, after moderation refuses one (R10).

Not here: the steps (each task), the wording of softer requests (content/prompts).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from generia_assets.content import ask_world, seeding
from generia_assets.content.documents import Media, Quality, WorldDescription, WorldRequest
from generia_assets.content.drafts import PicturePromptDraft
from generia_assets.content.pictures import AVATAR_SIZE, HEADER_SIZE, ICON_SIZE, POST_SIZE, Shown, milder_prompts
from generia_assets.content.prompt import Prompt
from generia_assets.tasks.clients import DraftT, ImageClient, ImageRequest, MediaType, TextClient
from resources.gateway.outcomes import InvalidAnswerError, LostCallAllowanceError, RefusedError, RequestFailedError

log = logging.getLogger(__name__)

MOST_ANSWERS = 6
"""Answers asked for one batch before it has failed."""
STRICT_ANSWERS = 3
"""Answers in which a similar person or idea, a banned name, or one in another script than the world's is sent back. In later ones
only copies and mixed alphabets are: a dull person is better than no world, and a dull post better than a missing one."""
MILD_AFTER = 2
"""Refusals by moderation after which a request leaves out the parts that may be the cause."""
MOST_REFUSALS = 3
"""Refusals after which the program's own plan replaces what is still missing."""
_PICTURES: Mapping[str, tuple[MediaType, tuple[int, int]]] = MappingProxyType(
    {
        "header": (MediaType.WORLD_HEADER, HEADER_SIZE),
        "icon": (MediaType.WORLD_ICON, ICON_SIZE),
        "avatar": (MediaType.AVATAR, AVATAR_SIZE),
        "post": (MediaType.POST_IMAGE, POST_SIZE),
    }
)

Step = Callable[[str], Prompt]
"""Makes a request from the reason of the previous refusal ('' at the first step)."""


async def write_with_fallback(client: TextClient, draft: type[DraftT], steps: Sequence[Step]) -> tuple[DraftT, str]:
    """Ask step by step until moderation accepts.

    Returns:
        The answer, and the last reason for a refusal ('' when there was none).

    Raises:
        RefusedError: every step was refused, or after a refusal the lost-call allowance is used up.
    """
    refused: RefusedError | None = None
    for step in steps:
        reason = refused.reason if refused else ""
        prompt = step(reason)
        try:
            return await client.write(prompt, draft), reason
        except RefusedError as refusal:
            log.warning("%s was refused (%s)", prompt.request_type, refusal.reason)
            refused = refusal
        except LostCallAllowanceError as error:
            raise refused or error from None
    raise refused or ValueError("a fallback chain without steps")


async def improve_or_keep(client: TextClient, prompt: Prompt, draft: type[DraftT], so_far: DraftT) -> tuple[DraftT, str]:
    """Ask once for a better draft.

    Returns:
        The answer and ''; when that fails, the draft so far (accepted and valid) and moderation's reason, if any.
    """
    try:
        return await client.write(prompt, draft, once=True), ""
    except RequestFailedError as error:
        log.warning("%s stays as it is; a better one was not to be had: %s", prompt.request_type, error)
        return so_far, error.reason if isinstance(error, RefusedError) else ""


async def paint_with_fallback(
    client: ImageClient,
    request: WorldRequest,
    world: WorldDescription,
    kind: str,
    prompt: str,
    *key: str,
    character_id: str | None = None,
    references: tuple[Shown, ...] = (),
) -> Media:
    """Generate a picture of this kind, or that of the first of the milder prompts that gives one, with the reason why.

    ``key``: the item's, whose picture it is. Raises RefusedError or InvalidAnswerError of the last prompt if none gave an image.
    """
    media_type, (width, height) = _PICTURES[kind]
    seed, reason = seeding.number(request.seed, "picture", kind, *key), ""
    picture = ImageRequest(media_type=media_type, prompt=prompt, width=width, height=height, seed=seed, references=references)
    for milder in milder_prompts(world, kind):
        try:
            media = await client.paint(picture, character_id=character_id)
        except (RefusedError, InvalidAnswerError) as error:
            if isinstance(error, InvalidAnswerError) and not error.chance:
                raise  # the provider breaks its protocol, whatever the prompt
            log.warning("a picture (%s) was not made (%s); painting a milder one", media_type.name, error)
            why = f"refused by moderation: {error.reason}" if isinstance(error, RefusedError) else f"no picture came: {error}"
            reason = reason or why
            picture = picture.model_copy(update={"prompt": milder, "references": ()})
        else:
            return media.model_copy(update={"moderation": reason})
    media = await client.paint(picture, character_id=character_id)
    return media.model_copy(update={"moderation": reason})


async def refined_scene(
    client: TextClient, request: WorldRequest, world: WorldDescription, kind: str, scene: str, text: str = ""
) -> str:
    """At quality ``high`` a better image prompt for this scene; the scene itself otherwise, and when there is none."""
    if request.quality is not Quality.HIGH:
        return scene
    prompt = ask_world.refine_picture(request, world, kind, scene, text)
    better, _ = await improve_or_keep(client, prompt, PicturePromptDraft, PicturePromptDraft.model_construct(image_prompt=scene))
    return better.image_prompt
