"""Ladders: what is tried after moderation refused, rung by rung (R10).

Here: climbing down, and keeping what was let through when asking for more is refused. Not here: which rungs there are (each task),
what a softer request says (content/prompts).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import BaseModel

from generia_assets.content.documents import Media
from generia_assets.content.drafts import PicturePromptDraft
from generia_assets.content.prompt import Prompt
from generia_assets.tasks.clients import ImageClient, StoredPicture, TextClient
from resources.gateway.outcomes import LostCallAllowanceError, RefusedError, RequestFailedError

log = logging.getLogger(__name__)

MILD_AFTER = 2
"""Refusals by moderation after which a dialog is asked without what may be the cause, as far as it can be left out."""
MOST_REFUSALS = 3
"""Refusals after which the program's own plan stands for what is still missing."""

DraftT = TypeVar("DraftT", bound=BaseModel)
Rung = Callable[[str], Prompt]
"""Makes a request of the reason for which the one before was refused ('' on the first rung)."""


async def write_with_fallback(writer: TextClient, draft: type[DraftT], rungs: Sequence[Rung]) -> tuple[DraftT, str]:
    """The first answer that moderation lets through, and the last reason it refused for ('' when it never did).

    Raises the last RefusedError when every rung was refused, or when after a refusal there are no spare calls for the next one.
    """
    refused: RefusedError | None = None
    for rung in rungs:
        reason = refused.reason if refused else ""
        prompt = rung(reason)
        try:
            return await writer.write(prompt, draft), reason
        except RefusedError as refusal:
            log.warning("%s was refused (%s)", prompt.request_type, refusal.reason)
            refused = refusal
        except LostCallAllowanceError as error:
            raise refused or error from None
    raise refused or ValueError("a ladder without rungs")


async def improve_or_keep(writer: TextClient, prompt: Prompt, draft: type[DraftT], so_far: DraftT) -> tuple[DraftT, str]:
    """The answer to asking once for a better draft, and ''; when that fails the draft so far, with moderation's reason if any.

    What was let through and is valid is never given up for an improvement, nor is more than one answer spent on it.
    """
    try:
        return await writer.write(prompt, draft, once=True), ""
    except RequestFailedError as error:
        log.warning("%s stays as it is; asking for a better one brought nothing: %s", prompt.request_type, error)
        return so_far, error.reason if isinstance(error, RefusedError) else ""


async def paint_with_fallback(
    painter: ImageClient, picture: StoredPicture, milder: Sequence[str], *, character_id: str | None = None
) -> Media:
    """The picture, or the first of the ``milder`` prompts that is not refused, with the reason for it.

    Raises the last RefusedError when every one was refused.
    """
    reason = ""
    for prompt in milder:
        try:
            media = await painter.paint(picture, character_id=character_id)
        except RefusedError as refusal:
            log.warning("a picture (%s) was refused (%s); painting a milder one", picture.media_type.name, refusal.reason)
            reason = reason or f"refused by moderation: {refusal.reason}"
            picture = picture.model_copy(update={"prompt": prompt})
        else:
            return media.model_copy(update={"moderation": reason})
    media = await painter.paint(picture, character_id=character_id)
    return media.model_copy(update={"moderation": reason})


async def refined_scene(writer: TextClient, prompt: Prompt, scene: str) -> str:
    """A better picture prompt for this scene (quality ``high``); the scene as it was when asking for it brings none."""
    better, _ = await improve_or_keep(writer, prompt, PicturePromptDraft, PicturePromptDraft.model_construct(image_prompt=scene))
    return better.image_prompt
