"""A materialization's table: its first documents, a row each, the columns that people look for in that asset.

Here: columns and cells. Text is cut to a cell's length and stands in it as text. Not here: figures, samples, pictures
(description.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import dagster as dg

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
from generia_assets.content.text import cut, one_line

ROWS = 20
"""Rows of a table at most: a look at the results. All of them are on the world's page."""
CELL = 160
"""Characters of a cell at most."""

_TYPES = {str: "string", int: "int", float: "float"}

Row: TypeAlias = Mapping[str, str | int | float]


def table(documents: Iterable[Document]) -> dg.TableMetadataValue:
    """The first rows; a column that says nothing in any of them is left out. An asset without documents has an empty table."""
    rows: list[dict[str, str | int | float]] = []
    for document in documents:
        rows += [{name: _cell(value) for name, value in row.items()} for row in _rows(document)]
        if len(rows) >= ROWS:
            break
    rows = rows[:ROWS]
    first = rows[0] if rows else {"key": ""}
    said = [name for name in first if not rows or any(row[name] != "" for row in rows)]
    columns = [dg.TableColumn(name, type=_TYPES[type(first[name])]) for name in said]
    records = [dg.TableRecord({name: row[name] for name in said}) for row in rows]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))


def _cell(value: str | int | float) -> str | int | float:
    return cut(one_line(value), CELL) if isinstance(value, str) else value


def _rows(document: Document) -> Iterable[Row]:
    match document:
        case WorldRequest():
            cap = document.max_cost_usd
            counts: Row = {"people": document.users_count, "posts": document.posts_count, "quality": document.quality.value}
            yield {"prompt": document.user_prompt, **counts, "cap_usd": "none" if cap is None else cap}
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
            had: Row = {"idea": document.idea, "moderation": document.moderation}
            yield {"key": document.key, "username": f"@{document.username}", **had, **occasion}
        case Post():
            told: Row = {"content": document.content, "when": document.moment, "mood": document.mood}
            yield {"key": document.key, "username": f"@{document.username}", **told, "placeholder": document.deleted_reason}
        case PostImage():
            yield {"key": document.key, "post_id": document.post_id, **_media(document.image)}
        case _:
            yield {"key": document.key}


def _media(media: Media) -> Row:
    return {"prompt": media.prompt, "size": f"{media.width}×{media.height}", "moderation": media.moderation}
