"""Task type ``generate_character_avatar``: a character's portrait (R4). No call of the model, one at quality ``high``."""

from __future__ import annotations

from generia_assets.content import ask_world, seeding
from generia_assets.content.documents import Character, CharacterAvatar, Quality, WorldDescription, WorldRequest
from generia_assets.content.pictures import AVATAR_SIZE, milder_prompts, picture_prompt
from generia_assets.tasks.clients import ImageRequest, MediaType, TaskClients
from generia_assets.tasks.fallback_chain import paint_with_fallback, refined_scene
from generia_assets.tasks.task_definition import TaskParameters, durable_task


@durable_task
async def generate_character_avatar(
    parameters: TaskParameters, clients: TaskClients, request: WorldRequest, world: WorldDescription, character: Character
) -> CharacterAvatar:
    """Paint the picture the character chose of themselves, in the world's style and with their looks, and set it as avatar."""
    scene = character.avatar_description
    if request.quality is Quality.HIGH:
        scene = await refined_scene(clients.text, ask_world.refine_picture(request, world, "avatar", scene), scene)
    width, height = AVATAR_SIZE
    picture = ImageRequest(
        media_type=MediaType.AVATAR,
        prompt=picture_prompt(world, "avatar", scene, look=character.look, manner=character.avatar_style),
        width=width,
        height=height,
        seed=seeding.number(request.seed, "picture", "avatar", character.key),
    )
    milder = milder_prompts(world, "avatar")
    media = await paint_with_fallback(clients.images, picture, milder, character_id=character.character_id)
    await clients.platform.avatar(character.character_id, media)
    return CharacterAvatar(key=character.key, username=character.username, character_id=character.character_id, avatar=media)
