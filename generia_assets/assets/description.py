"""The metadata of a materialization: counts, cost, tokens, failures, a sample as Markdown, previews of pictures.

Here: the metadata of an asset's output, from the tasks' and calls' records; Dagster plots numbers over the materializations.
User and model text is escaped before it becomes Markdown.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import dagster as dg

from generia_assets.asset_spec import AssetSpec
from generia_assets.catalog import asset_of, pictures_of
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
from generia_assets.content.text import cut, one_line, plural
from generia_assets.durable.collections import HISTORY, TASKS
from generia_assets.durable.status import State
from generia_assets.queries.records import completed
from generia_assets.settings import settings
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.pictures import PictureError, picture

SAMPLES = 3
BANNED_TERMS_SHOWN = 8
"""Entries of the ban list that are named, those found most often."""
ROWS = 20
"""Rows of a table at most: a look at the results. All of them are on the world's page."""
CELL = 160
"""Characters of a cell at most."""
PREVIEWS = 6
PREVIEW_WIDTH = 220
"""Pixels; a preview is a few kilobytes inside the event, so that the page needs no other server."""

_TYPES = {str: "string", int: "int", float: "float"}

Row: TypeAlias = Mapping[str, str | int | float]

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>$])")


Figures: TypeAlias = dict[str, dg.MetadataValue]


def figures(database: MongoDatabase, world_id: str, generation: str, assets: Iterable[AssetSpec]) -> dict[str, Figures]:
    """Tasks, calls, tokens and dollars that each of these assets took in this generation, by the asset's name."""
    mine = {"world_id": world_id, "generation": generation}
    by_type = {"$group": {"_id": "$type", "count": {"$sum": 1}}}
    failures = database[TASKS].aggregate([{"$match": {**mine, "status": State.FAILED.value}}, by_type])
    failed = {row["_id"]: int(row["count"]) for row in failures}
    group = {
        "_id": {"task": "$labels.task_type", "api": "$api_type"},
        "calls": {"$sum": 1},
        "cost": {"$sum": "$cost_usd"},
        "prompt": {"$sum": "$tokens.prompt"},
        "cached": {"$sum": "$tokens.cached"},
        "output": {"$sum": "$tokens.output"},
    }
    rows: dict[str, dict[str, MongoDocument]] = {}
    for row in database[HISTORY].aggregate([{"$match": mine}, {"$group": group}]):
        rows.setdefault(row["_id"].get("task", ""), {})[row["_id"]["api"]] = row
    return {one.name: _figures(failed.get(one.task_name, 0), rows.get(one.task_name, {}), generation) for one in assets}


def _figures(failed: int, rows: Mapping[str, MongoDocument], generation: str) -> Figures:
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
    """How often the texts contain banned terms, and which ones most often: for people who tune prompts and lists."""
    most = sorted(found, key=lambda entry: (-found[entry], entry))[:BANNED_TERMS_SHOWN]
    listed = ", ".join(f"{entry} ({found[entry]})" for entry in most) or "(nothing)"
    return {"worn_out": dg.MetadataValue.int(sum(found.values())), "worn_out_most": dg.MetadataValue.text(listed)}


def banned_terms_in(database: MongoDatabase, world_id: str, generation: str, asset: AssetSpec) -> dict[str, dg.MetadataValue]:
    """``banned_terms`` of an asset whose tasks' results count them (``worn``); empty for the others."""
    if not asset.counts_banned_terms:
        return {}
    match = completed(world_id, generation, asset.task_type)
    group = {"_id": "$result.worn", "count": {"$sum": 1}}
    rows = database[TASKS].aggregate([{"$match": match}, {"$unwind": "$result.worn"}, {"$group": group}])
    return banned_terms({row["_id"]: row["count"] for row in rows})


def page_of(world_id: str) -> str:
    return f"{settings().pages_url.rstrip('/')}/worlds/{world_id}"


def world_label(world_id: str, name: str) -> str:
    """The world's name beside its id; the id alone while it has no name."""
    return f"{one_line(name)} ({world_id})" if name.strip() else world_id


def results_of(
    world_id: str, name: str, documents: Sequence[Document], media_dir: Path | None = None
) -> dict[str, dg.MetadataValue]:
    """The results in Dagster's order: the world, its page, previews, a sample; last the table, which is long."""
    pictures = previews(documents, media_dir) if media_dir else None
    return {
        "world": dg.MetadataValue.text(world_label(world_id, name)),
        "world_page": dg.MetadataValue.url(page_of(world_id)),
        **({"pictures": pictures} if pictures else {}),
        "sample": sample(documents),
        "results": table(documents),
    }


def sample(documents: Iterable[Document]) -> dg.MetadataValue:
    parts = [text for document in documents if (text := _sample_of(document))]
    return dg.MetadataValue.md("\n\n---\n\n".join(parts[:SAMPLES]) or "(nothing)")


def previews(documents: Iterable[Document], media_dir: Path) -> dg.MetadataValue | None:
    """Small pictures of the first documents that have any, or None."""
    media = (one for document in documents for _, one in pictures_of(document))
    shown = list(islice((preview for one in media if (preview := _preview(one, media_dir))), PREVIEWS))
    return dg.MetadataValue.md(" ".join(shown)) if shown else None


def escape_markdown(text: str) -> str:
    """The text escaped, so that Markdown and HTML show it literally."""
    return _MARKDOWN.sub(r"\\\1", html.escape(text, quote=False)).replace("\n", "  \n")


def _sample_of(document: Document) -> str:
    shown = escape_markdown
    match document:
        case WorldRequest():
            people, posts = plural(document.users_count, "person"), plural(document.posts_count, "post")
            return f"{shown(document.user_prompt)}\n\n{people}, {posts}"
        case WorldDescription():
            short, text = shown(document.description_short), shown(cut(document.description, 1500))
            return f"### {shown(document.name)}\n\n*{short}*\n\n{text}"
        case CharacterBrief():
            return f"**{shown(document.display_name)}** (@{shown(document.username)}): {shown(document.concept)}"
        case Character():
            who = f"**{shown(document.display_name)}** (@{shown(document.username)})"
            return f"{who}\n\n{shown(document.bio)}\n\n{shown(cut(document.background_story, 700))}"
        case PostBrief():
            return f"**@{shown(document.username)}**, {shown(document.moment)}: {shown(document.idea)}"
        case Post():
            said = "".join(f"\n\n@{shown(one.username)}: {shown(one.content)}" for one in document.comments)
            return f"**@{shown(document.username)}**, {shown(document.moment)}\n\n{shown(document.content)}{said}"
        case CharacterAvatar():
            return f"@{shown(document.username)}: {shown(document.avatar.prompt)}"
        case PostImage():
            return f"{document.key}: {shown(document.image.prompt)}"
        case WorldImages():
            return f"{shown(document.header.prompt)}\n\n{shown(document.icon.prompt)}"
        case _:
            return "\n\n".join(shown(str(value)) for value in _shown(document).values())


def _shown(document: Document) -> dict[str, object]:
    """The fields that a trace shows: for documents without columns of their own here."""
    return {name: getattr(document, name) for name in asset_of(type(document)).shown}


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
            opened.thumbnail((PREVIEW_WIDTH, PREVIEW_WIDTH), reducing_gap=1.0)  # a JPEG is decoded smaller at once
            opened.convert("RGB").save(buffer, "JPEG", quality=70)
    except PictureError:
        return ""
    return f"![picture](data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()})"


def table(documents: Iterable[Document]) -> dg.TableMetadataValue:
    """The first rows; a column that is empty in all of them is left out. An asset without documents has an empty table."""
    every = (row for document in documents for row in _rows(document))
    rows = [{name: _cell(value) for name, value in row.items()} for row in islice(every, ROWS)]
    first = rows[0] if rows else {"key": ""}
    columns_shown = [name for name in first if not rows or any(row[name] != "" for row in rows)]
    columns = [dg.TableColumn(name, type=_TYPES[type(first[name])]) for name in columns_shown]
    records = [dg.TableRecord({name: row[name] for name in columns_shown}) for row in rows]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))


def _cell(value: str | int | float) -> str | int | float:
    return cut(one_line(value), CELL) if isinstance(value, str) else value


def _rows(document: Document) -> Iterable[Row]:
    match document:
        case WorldRequest():
            cap = document.max_cost_usd
            counts: Row = {"people": document.users_count, "posts": document.posts_count, "quality": document.quality.value}
            tier = document.service_tier.value
            yield {"prompt": document.user_prompt, **counts, "service_tier": tier, "cap_usd": "none" if cap is None else cap}
        case WorldDescription():
            for event in document.calendar:
                yield {"event": event.name, "when": event.moment, "what_happens": event.what_happens, "who_cares": event.who_cares}
        case WorldImages():
            yield {"picture": "header", **_media(document.header)}
            yield {"picture": "icon", **_media(document.icon)}
        case CharacterBrief():
            who: Row = {"key": document.key, "username": f"@{document.username}", "name": document.display_name}
            yield {**who, "posts": document.posts_count, "concept": document.concept, "moderation": document.moderation}
        case Character():
            knows = ", ".join(f"@{tie.username} ({tie.relationship_type})" for tie in document.relationships) or "nobody"
            who = {"key": document.key, "username": f"@{document.username}", "name": document.display_name}
            yield {**who, "bio": document.bio, "knows": knows, "moderation": document.moderation}
        case CharacterAvatar():
            yield {"key": document.key, "username": f"@{document.username}", **_media(document.avatar)}
        case PostBrief():
            occasion: Row = {"when": document.moment, "form": document.form, "event": document.event}
            idea: Row = {"idea": document.idea, "moderation": document.moderation}
            yield {"key": document.key, "username": f"@{document.username}", **idea, **occasion}
        case Post():
            text: Row = {"content": document.content, "when": document.moment, "mood": document.mood}
            yield {"key": document.key, "username": f"@{document.username}", **text, "placeholder": document.deleted_reason}
        case PostImage():
            yield {"key": document.key, "post_id": document.post_id, **_media(document.image)}
        case _:
            yield {"key": document.key, **{name: str(value) for name, value in _shown(document).items()}}


def _media(media: Media) -> Row:
    return {"prompt": media.prompt, "size": f"{media.width}×{media.height}", "moderation": media.moderation}
