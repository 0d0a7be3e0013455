"""Task type ``generate_world_image``: the world's wide header and its icon (R4). One call for both prompts, two pictures."""

import logging

from generia_assets.content import ask_world
from generia_assets.content.documents import Media, WorldDescription, WorldImages, WorldRequest
from generia_assets.content.drafts import WorldImagesDraft
from generia_assets.content.pictures import neutral_prompt, picture_prompt
from generia_assets.tasks.clients import TaskClients
from generia_assets.tasks.fallback_chain import paint_with_fallback
from generia_assets.tasks.task_definition import TaskParameters, durable_task
from resources.gateway.outcomes import RefusedError

log = logging.getLogger(__name__)


@durable_task
async def generate_world_image(
    parameters: TaskParameters, clients: TaskClients, request: WorldRequest, world: WorldDescription
) -> WorldImages:
    """Write both prompts, paint both pictures in the world's visual style, and give them to the world on the platform."""
    try:
        draft = await clients.text.write(ask_world.world_images(request, world), WorldImagesDraft)
        scenes, reason = {"header": draft.header_prompt, "icon": draft.icon_prompt}, ""
    except RefusedError as refusal:
        log.warning("the prompts of the world's pictures were refused (%s); painting neutral ones", refusal.reason)
        scenes, reason = {}, f"prompt refused by moderation: {refusal.reason}"

    async def paint(kind: str) -> Media:
        prompt = picture_prompt(world, kind, scenes[kind]) if scenes else neutral_prompt(world, kind)
        media = await paint_with_fallback(clients.images, request, world, kind, prompt)
        return media.model_copy(update={"moderation": reason or media.moderation})

    header, icon = await paint("header"), await paint("icon")
    await clients.platform.world_images(header.media_id, icon.media_id)
    return WorldImages(header=header, icon=icon)
