"""The refusals of moderation in a world, and whether each one is marked where people look.

Here: comparing the record of requests with the documents. Not here: making the world (trials.py).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.exact import PLATFORM_DATABASE
from generia_assets.catalog import ASSETS, TaskType
from generia_assets.content import languages
from generia_assets.content.documents import (
    Character,
    CharacterAvatar,
    CharacterBrief,
    Post,
    PostBrief,
    PostImage,
    WorldDescription,
    WorldImages,
)
from generia_assets.content.keys import batch_key, character_index
from generia_assets.content.pictures import milder_prompts
from generia_assets.durable.collections import HISTORY
from generia_assets.tasks.fallback_chain import MOST_REFUSALS
from resources.mongodb.connection import MongoDatabase
from resources.mongodb.document_store import DocumentStore, DocumentT


@dataclass
class Refusals:
    """The refusals, and what replaced each refused item."""

    refused: Counter[str] = field(default_factory=Counter)
    """Refused calls by task type."""
    deleted_posts: int = 0
    softened_posts: int = 0
    softened_people: int = 0
    drawn_people: int = 0
    milder_pictures: int = 0
    wrong: list[str] = field(default_factory=list)


def refusals(database: MongoDatabase, world_id: str, *, language: str) -> Refusals:
    """Compare every refused call of this world with the document that it was made for."""
    found = Refusals()
    refused: Counter[tuple[str, str, str]] = Counter()
    for row in database[HISTORY].find({"world_id": world_id, "outcome": "refused"}, {"labels": 1, "api_type": 1}):
        refused[row["labels"]["task_type"], row["labels"]["key"], row["api_type"]] += 1
        found.refused[row["labels"]["task_type"]] += 1
    store = DocumentStore(database)

    def documents(asset: str, model: type[DocumentT]) -> list[DocumentT]:
        return store.read(ASSETS[asset], world_id, model)

    for post in documents("posts", Post):
        times = refused[TaskType.GENERATE_POST, post.key, "llm"]
        softened = "in softer words" in post.context
        found.deleted_posts += bool(post.deleted_reason)
        found.softened_posts += softened
        if (times == 1 and not softened) or (times >= 2 and not post.deleted_reason) or (not times and post.deleted_reason):
            found.wrong.append(f"post {post.key} was refused {times} times and is not marked so")
    for person in documents("characters", Character):
        times = refused[TaskType.GENERATE_CHARACTER, person.key, "llm"]
        found.softened_people += bool(person.moderation)
        if bool(times) != bool(person.moderation):
            found.wrong.append(f"character {person.key} was refused {times} times and is marked {person.moderation!r}")
    for brief in documents("character_briefs", CharacterBrief):
        times = refused[TaskType.GENERATE_CHARACTER_BATCH, batch_key(character_index(brief.key)), "llm"]
        found.drawn_people += bool(brief.moderation)
        if brief.moderation and times < MOST_REFUSALS:
            found.wrong.append(f"concept {brief.key} was refused {times} times and is marked {brief.moderation!r}")
    for idea in documents("post_briefs", PostBrief):
        if idea.moderation and not refused[TaskType.GENERATE_POST_BATCH, f"{idea.character}-b000", "llm"]:
            found.wrong.append(f"idea {idea.key} is marked {idea.moderation!r} and nothing was refused")
    pictures = [
        *((TaskType.GENERATE_CHARACTER_AVATAR, one.key, one.avatar) for one in documents("character_avatars", CharacterAvatar)),
        *((TaskType.GENERATE_POST_IMAGE, one.key, one.image) for one in documents("post_images", PostImage)),
    ]
    for task_type, key, media in pictures:
        times = refused[task_type, key, "image_generation"]
        found.milder_pictures += bool(media.moderation)
        if bool(times) != bool(media.moderation):
            found.wrong.append(f"picture of {key} was refused {times} times and is marked {media.moderation!r}")
    found.wrong += _placeholders(database, world_id, language, found.deleted_posts)
    return found


def words_in_a_tenth(database: MongoDatabase, world_id: str, number: int) -> list[str]:
    """Words that stand in about a tenth of this world's picture prompts each, and in none of the milder ones."""
    store = DocumentStore(database)
    (world,) = store.read(ASSETS["world_description"], world_id, WorldDescription)
    mildest = [text for kind in ("header", "icon", "avatar", "post") for text in milder_prompts(world, kind)]
    milder = {word for text in mildest for word in _words(text)}
    prompts = [set(_words(one.image.prompt)) for one in store.read(ASSETS["post_images"], world_id, PostImage)]
    prompts += [set(_words(one.avatar.prompt)) for one in store.read(ASSETS["character_avatars"], world_id, CharacterAvatar)]
    for images in store.read(ASSETS["world_images"], world_id, WorldImages):
        milder |= {*_words(images.header.prompt), *_words(images.icon.prompt)}
    counts = Counter(word for prompt in prompts for word in prompt - milder)
    return sorted(counts, key=lambda word: (abs(counts[word] / len(prompts) - 0.1), word))[:number]


def _words(text: str) -> Iterator[str]:
    yield from re.findall(r"\w+", text.casefold())


def _placeholders(database: MongoDatabase, world_id: str, language: str, expected: int) -> Iterator[str]:
    """A deleted post is published as such, and counts as a post."""
    caption = languages.placeholders(language).deleted
    found = database.client[PLATFORM_DATABASE]["platform_posts"].count_documents({"world_id": world_id, "caption": caption})
    if found != expected:
        yield f"{found} placeholders on the platform, {expected} in our documents"
