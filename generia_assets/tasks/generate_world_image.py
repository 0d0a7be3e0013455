"""Task type ``generate_world_image``: the world's wide header and its icon (R4). One call for both prompts, two pictures."""

from __future__ import annotations

import logging

from generia_assets.content import ask_world, seeding
from generia_assets.content.documents import Media, WorldDescription, WorldImages, WorldRequest
from generia_assets.content.drafts import WorldImagesDraft
from generia_assets.content.pictures import HEADER_SIZE, ICON_SIZE, milder_prompts, picture_prompt
from generia_assets.tasks.clients import ImageRequest, MediaType, TaskClients
from generia_assets.tasks.fallback_chain import paint_with_fallback
from generia_assets.tasks.task_definition import TaskParameters, durable_task
from resources.gateway.outcomes import RefusedError

log = logging.getLogger(__name__)


def _scenes(draft: WorldImagesDraft) -> tuple[tuple[str, str], ...]:
    return ("header", draft.header_prompt), ("icon", draft.icon_prompt)


@durable_task
async def generate_world_image(
    parameters: TaskParameters, clients: TaskClients, request: WorldRequest, world: WorldDescription
) -> WorldImages:
    """Write both prompts, paint both pictures in the world's visual style, and give them to the world on the platform."""
    try:
        draft = await clients.text.write(ask_world.world_images(request, world), WorldImagesDraft)
        prompts, reason = {kind: picture_prompt(world, kind, scene) for kind, scene in _scenes(draft)}, ""
    except RefusedError as refusal:
        log.warning("the prompts of the world's pictures were refused (%s); painting neutral ones", refusal.reason)
        prompts, reason = {}, f"prompt refused by moderation: {refusal.reason}"

    async def paint(kind: str, media_type: MediaType, size: tuple[int, int]) -> Media:
        width, height = size
        milder = milder_prompts(world, kind)
        picture = ImageRequest(
            media_type=media_type,
            prompt=prompts.get(kind, milder[0]),
            width=width,
            height=height,
            seed=seeding.number(request.seed, "picture", kind),
        )
        media = await paint_with_fallback(clients.images, picture, milder)
        return media.model_copy(update={"moderation": reason or media.moderation})

    header = await paint("header", MediaType.WORLD_HEADER, HEADER_SIZE)
    icon = await paint("icon", MediaType.WORLD_ICON, ICON_SIZE)
    await clients.platform.world_images(header.media_id, icon.media_id)
    return WorldImages(header=header, icon=icon)
