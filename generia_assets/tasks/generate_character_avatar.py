"""Task type ``generate_character_avatar``: a character's portrait (R4). No call of the model, one at quality ``high``."""

from generia_assets.content.documents import Character, CharacterAvatar, WorldDescription, WorldRequest
from generia_assets.content.pictures import picture_prompt
from generia_assets.tasks.clients import TaskClients
from generia_assets.tasks.fallback_chain import paint_with_fallback, refined_scene
from generia_assets.tasks.task_definition import TaskParameters, durable_task


@durable_task
async def generate_character_avatar(
    parameters: TaskParameters, clients: TaskClients, request: WorldRequest, world: WorldDescription, character: Character
) -> CharacterAvatar:
    """Paint the picture the character chose of themselves, in the world's style and with their looks, and set it as avatar."""
    scene = await refined_scene(clients.text, request, world, "avatar", character.avatar_description)
    prompt = picture_prompt(world, "avatar", scene, look=character.look, manner=character.avatar_style)
    media = await paint_with_fallback(
        clients.images, request, world, "avatar", prompt, character.key, character_id=character.character_id
    )
    await clients.platform.avatar(character.character_id, media)
    return CharacterAvatar(key=character.key, username=character.username, character_id=character.character_id, avatar=media)
