"""Task type ``generate_post_image``: a post's picture; then, in its turn, it publishes the post (R4).

No call of the language model; one at quality ``high``.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from generia_assets.content.documents import Character, Post, PostImage, WorldDescription, WorldRequest
from generia_assets.content.pictures import AUTHOR, FRIEND, Shown, picture_prompt
from generia_assets.tasks.clients import NewPost, TaskClients
from generia_assets.tasks.fallback_chain import paint_with_fallback, refined_scene
from generia_assets.tasks.task_definition import TaskParameters, durable_task


@durable_task
async def generate_post_image(
    parameters: TaskParameters,
    clients: TaskClients,
    request: WorldRequest,
    world: WorldDescription,
    character: Character,
    post: Post,
    turn: Callable[[], Awaitable[None]],
    faces: Mapping[str, str] = MappingProxyType({}),
) -> PostImage:
    """Paint the picture in the world's style (a refused one becomes a milder one) and publish the post with it.

    Args:
        turn: returns when every earlier post of the world is published, or will not be.
        faces: media ids of the avatars of people in the picture, by their keys.
    """
    prompt = post.image_prompt
    if not post.deleted_reason:
        scene = await refined_scene(clients.text, request, world, "post", prompt, post.content)
        prompt = picture_prompt(world, "post", scene, manner=post.image_style)
    references = tuple(
        Shown(who=AUTHOR if key == character.key else FRIEND, media_id=faces[key]) for key in post.pictured if key in faces
    )
    media = await paint_with_fallback(
        clients.images, request, world, "post", prompt, post.key, character_id=character.character_id, references=references
    )
    post_id = await clients.platform.post(
        NewPost(character_id=character.character_id, caption=post.content, media_id=media.media_id, tags=post.hashtags), turn
    )
    return PostImage(
        key=post.key,
        character=character.key,
        character_id=character.character_id,
        post_id=post_id,
        image=media,
        published_at=datetime.now(UTC),
        t=post.t,
    )
