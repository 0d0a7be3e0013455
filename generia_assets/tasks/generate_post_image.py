"""Task type ``generate_post_image``: a post's picture; then, in its turn, it publishes the post (R4).

No call of the language model; one at quality ``high``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from generia_assets.content import ask_world, seeding
from generia_assets.content.documents import Character, Post, PostImage, Quality, WorldDescription, WorldRequest
from generia_assets.content.pictures import AUTHOR, FRIEND, POST_SIZE, Shown, milder_prompts, picture_prompt
from generia_assets.tasks.clients import ImageRequest, MediaType, NewPost, TaskClients
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
    milder = milder_prompts(world, "post")
    if post.deleted_reason:
        prompt = post.image_prompt
    else:
        scene = post.image_prompt
        if request.quality is Quality.HIGH:
            asked = ask_world.refine_picture(request, world, "post", scene, text=post.content)
            scene = await refined_scene(clients.text, asked, scene)
        prompt = picture_prompt(world, "post", scene, manner=post.image_style)
    width, height = POST_SIZE
    picture = ImageRequest(
        media_type=MediaType.POST_IMAGE,
        prompt=prompt,
        width=width,
        height=height,
        seed=seeding.number(request.seed, "picture", "post", post.key),
        references=tuple(
            Shown(who=AUTHOR if key == character.key else FRIEND, media_id=faces[key]) for key in post.pictured if key in faces
        ),
    )
    media = await paint_with_fallback(clients.images, picture, milder, character_id=character.character_id)
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
