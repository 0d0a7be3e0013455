"""What a materialization tells people: counts, cost, tokens, failures, a sample that reads well, previews of pictures.

Here: the metadata of an asset's output, from the journal's and the record's own figures; numbers are plotted over the asset's
materializations. The table of results is in tables.py. User and model text is inert: escaped
before it becomes Markdown.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import dagster as dg

from generia_assets.assets.tables import table
from generia_assets.catalog import AssetSpec
from generia_assets.content.documents import (
    Character,
    CharacterAvatar,
    CharacterBrief,
    Document,
    Media,
    Post,
    PostBrief,
    PostImage,
    WorldDescription,
    WorldImages,
    WorldRequest,
)
from generia_assets.content.text import cut, plural
from generia_assets.durable.collections import HISTORY, TASKS
from generia_assets.durable.status import State
from generia_assets.settings import settings
from resources.images.files import PictureError, picture
from resources.mongodb.connection import MongoDatabase

SAMPLES = 3
WORN_SHOWN = 8
"""Entries of the ban list that are named, those met most often."""
PREVIEWS = 6
PREVIEW_WIDTH = 220
"""Pixels; a preview is a few kilobytes inside the event, so that the page needs no other server."""

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>$])")


def figures(database: MongoDatabase, world_id: str, generation: str, kind: AssetSpec) -> dict[str, dg.MetadataValue]:
    """Tasks, calls, tokens and dollars that this asset took in this generation."""
    mine = {"world_id": world_id, "generation": generation, "type": kind.task_type.value}
    failed = database[TASKS].count_documents({**mine, "status": State.FAILED.value})
    group = {
        "_id": "$api_type",
        "calls": {"$sum": 1},
        "cost": {"$sum": "$cost_usd"},
        "prompt": {"$sum": "$tokens.prompt"},
        "cached": {"$sum": "$tokens.cached"},
        "output": {"$sum": "$tokens.output"},
    }
    match = {"world_id": world_id, "generation": generation, "labels.task_type": kind.task_type.value}
    rows = {row["_id"]: row for row in database[HISTORY].aggregate([{"$match": match}, {"$group": group}])}
    llm = rows.get("llm", {})
    return {
        "failed_tasks": dg.MetadataValue.int(failed),
        "llm_calls": dg.MetadataValue.int(int(llm.get("calls", 0))),
        "image_calls": dg.MetadataValue.int(int(rows.get("image_generation", {}).get("calls", 0))),
        "cost_usd": dg.MetadataValue.float(round(float(sum(row["cost"] for row in rows.values())), 6)),
        "input_tokens": dg.MetadataValue.int(int(llm.get("prompt", 0))),
        "cached_tokens": dg.MetadataValue.int(int(llm.get("cached", 0))),
        "output_tokens": dg.MetadataValue.int(int(llm.get("output", 0))),
        "generation": dg.MetadataValue.text(generation),
    }


def banned_terms(found: Mapping[str, int]) -> dict[str, dg.MetadataValue]:
    """How often what was made trips over the ban list, and over what most: for whoever tunes prompts and lists."""
    most = sorted(found, key=lambda entry: (-found[entry], entry))[:WORN_SHOWN]
    told = ", ".join(f"{entry} ({found[entry]})" for entry in most) or "(nothing)"
    return {"worn_out": dg.MetadataValue.int(sum(found.values())), "worn_out_most": dg.MetadataValue.text(told)}


def banned_terms_in(database: MongoDatabase, world_id: str, generation: str, kind: AssetSpec) -> dict[str, dg.MetadataValue]:
    """The same of an asset whose tasks count it themselves (``worn`` of their results); nothing for the others."""
    if kind.name not in ("character_briefs", "posts"):
        return {}
    match = {
        "world_id": world_id,
        "generation": generation,
        "type": kind.task_type.value,
        "status": State.COMPLETED.value,
    }
    group = {"_id": "$result.worn", "count": {"$sum": 1}}
    rows = database[TASKS].aggregate([{"$match": match}, {"$unwind": "$result.worn"}, {"$group": group}])
    return banned_terms({row["_id"]: row["count"] for row in rows})


def results_of(world_id: str, documents: Sequence[Document], media_dir: Path | None = None) -> dict[str, dg.MetadataValue]:
    """What there is to look at, as Dagster lists it: the world's page, pictures, something to read; last, being long, the table."""
    page = f"{settings().pages_url.rstrip('/')}/worlds/{world_id}"
    pictures = previews(documents, media_dir) if media_dir else None
    return {
        "world_page": dg.MetadataValue.url(page),
        **({"pictures": pictures} if pictures else {}),
        "sample": sample(documents),
        "results": table(documents),
    }


def sample(documents: Iterable[Document]) -> dg.MetadataValue:
    """The first documents as Markdown that reads well."""
    parts = [text for document in documents if (text := _told(document))]
    return dg.MetadataValue.md("\n\n---\n\n".join(parts[:SAMPLES]) or "(nothing)")


def previews(documents: Iterable[Document], media_dir: Path) -> dg.MetadataValue | None:
    """Small pictures of the first documents that have any, or None."""
    media = (one for document in documents for one in _pictures(document))
    shown = list(islice((preview for one in media if (preview := _preview(one, media_dir))), PREVIEWS))
    return dg.MetadataValue.md(" ".join(shown)) if shown else None


def escape_markdown(text: str) -> str:
    """Text that Markdown and HTML show as it is and never act upon."""
    return _MARKDOWN.sub(r"\\\1", html.escape(text, quote=False)).replace("\n", "  \n")


def _told(document: Document) -> str:
    match document:
        case WorldRequest():
            people, posts = plural(document.users_count, "person"), plural(document.posts_count, "post")
            return f"{escape_markdown(document.user_prompt)}\n\n{people}, {posts}"
        case WorldDescription():
            short, text = escape_markdown(document.description_short), escape_markdown(cut(document.description, 1500))
            return f"### {escape_markdown(document.name)}\n\n*{short}*\n\n{text}"
        case CharacterBrief():
            who = f"**{escape_markdown(document.display_name)}** (@{escape_markdown(document.username)})"
            return f"{who}: {escape_markdown(document.concept)}"
        case Character():
            who = f"**{escape_markdown(document.display_name)}** (@{escape_markdown(document.username)})"
            return f"{who}\n\n{escape_markdown(document.bio)}\n\n{escape_markdown(cut(document.background_story, 700))}"
        case PostBrief():
            return (
                f"**@{escape_markdown(document.username)}**, {escape_markdown(document.moment)}: {escape_markdown(document.idea)}"
            )
        case Post():
            moment = escape_markdown(document.moment)
            return f"**@{escape_markdown(document.username)}**, {moment}\n\n{escape_markdown(document.content)}"
        case CharacterAvatar():
            return f"@{escape_markdown(document.username)}: {escape_markdown(document.avatar.prompt)}"
        case PostImage():
            return f"{document.key}: {escape_markdown(document.image.prompt)}"
        case WorldImages():
            return f"{escape_markdown(document.header.prompt)}\n\n{escape_markdown(document.icon.prompt)}"
        case _:
            return ""


def _pictures(document: Document) -> Sequence[Media]:
    match document:
        case WorldImages():
            return (document.header, document.icon)
        case CharacterAvatar():
            return (document.avatar,)
        case PostImage():
            return (document.image,)
        case _:
            return ()


def _preview(media: Media, media_dir: Path) -> str:
    """The picture, small, as Markdown; '' for a file that cannot be shown, which the asset's check names."""
    if "://" in media.url:
        return f"![picture]({media.url})" if media.url.startswith("https://") else f"`{media.url}`"
    path = (media_dir.parent / media.url).resolve()
    if media_dir.resolve() not in path.parents:
        return ""
    buffer = io.BytesIO()
    try:
        with picture(path) as opened:
            opened.thumbnail((PREVIEW_WIDTH, PREVIEW_WIDTH))
            opened.convert("RGB").save(buffer, "JPEG", quality=70)
    except PictureError:
        return ""
    return f"![picture](data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()})"
