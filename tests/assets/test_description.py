"""The metadata of a materialization: readable, and escaped whatever people and models wrote."""

from __future__ import annotations

import base64
import html
import io
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from generia_assets.assets.description import (
    BANNED_TERMS_SHOWN,
    PREVIEW_WIDTH,
    PREVIEWS,
    SAMPLES,
    banned_terms,
    escape_markdown,
    previews,
    sample,
)
from generia_assets.content.documents import Comment, Media, Post, PostImage, WorldImages
from generia_assets.content.samples import sample as filled
from tests.support.worlds import a_brief, a_character, a_request, a_world

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![stolen](https://evil.example/?c=1)",
    "[click](javascript:alert(1))",
    "# A heading",
    "`code` **bold** _line_ ~~gone~~",
    "> quote\n- list\n1. number\n| a | b |",
    "<https://evil.example>",
    "$x^2$ \\(y\\)",
    "&lt;b&gt;",
)
ACTIVE = re.compile(r"(?<!\\)[`*_\[\]#!|~$<>]")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_it_is_and_does_nothing(text: str) -> None:
    """Every character with a meaning in Markdown or HTML is escaped, and the rendered text is the original."""
    made = escape_markdown(text)
    bare = html.unescape(re.sub(r"&(lt|gt|amp);", "", made))
    assert not ACTIVE.search(bare), bare
    shown = html.unescape(re.sub(r"\\([^A-Za-z0-9\s])", r"\1", made)).replace("  \n", "\n")
    assert shown == text


def test_a_hostile_name_in_a_sample_is_escaped() -> None:
    """The sample contains the names and texts of people escaped, between its own Markdown."""
    request = a_request()
    brief = a_brief(0, request).model_copy(update={"display_name": "<b>Bo</b> [x](y)", "concept": "![p](q)"})
    text = sample([brief]).value
    assert isinstance(text, str)
    assert text.startswith("**&lt;b&gt;")
    assert "<b>" not in text
    assert "](" not in text


def test_banned_terms_are_counted_and_the_most_frequent_are_named() -> None:
    """All occurrences are counted, and at most eight terms are named, the most frequent first; without terms there is a word
    instead."""
    metadata = banned_terms({**{f"word {number}": 1 for number in range(9)}, "whisper*": 3})
    assert metadata["worn_out"].value == 12
    assert str(metadata["worn_out_most"].value).startswith("whisper* (3), word 0 (1), word 1 (1)")
    assert str(metadata["worn_out_most"].value).count(",") == BANNED_TERMS_SHOWN - 1
    assert banned_terms({})["worn_out_most"].value == "(nothing)"


def test_a_sample_has_the_first_documents_with_text() -> None:
    """At most three documents, separated by lines; without documents there is a word instead."""
    request = a_request()
    metadata = str(sample([a_character(index, request) for index in range(5)]).value)
    assert metadata.count("---") == SAMPLES - 1
    assert "Wicket 0" in metadata
    assert "Wicket 4" not in metadata
    assert sample([]).value == "(nothing)"
    assert a_world().name in str(sample([a_world()]).value)


def test_a_post_is_shown_with_its_comments() -> None:
    """Comments are below the text, each with its author, and escaped like the text."""
    post = filled(Post)
    said = [Comment(character="c0001", username="bo_b", content="<b>No.</b>"), post.comments[0]]
    metadata = str(sample([post.model_copy(update={"comments": tuple(said)})]).value)
    assert metadata.split("\n\n")[2:] == [f"@{escape_markdown(one.username)}: {escape_markdown(one.content)}" for one in said]


def media(path: Path, home: Path) -> Media:
    return Media(media_id="m", url=str(path.relative_to(home)), prompt="p", width=1200, height=600)


def a_picture(home: Path) -> Media:
    path = home / "media" / "w" / "picture.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (1200, 600), "teal").save(path)
    return media(path, home)


def a_post_image(picture: Media) -> PostImage:
    now = datetime.now(UTC)
    return PostImage(key="c0000-p0000", character="c0000", character_id="i", post_id="p", image=picture, published_at=now)


def urls(value: Any) -> list[str]:
    return re.findall(r"!\[picture\]\(([^)]+)\)", str(value.value))


def test_previews_are_small_pictures_inside_the_event(tmp_path: Path) -> None:
    """At most six, each a JPEG of a few kilobytes inside the event, so that no other server is asked."""
    picture = a_picture(tmp_path)
    shown = urls(previews([a_post_image(picture)] * 9, tmp_path / "media"))
    assert len(shown) == PREVIEWS
    kind, data = shown[0].split(",", 1)
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as small:
        assert small.size == (PREVIEW_WIDTH, PREVIEW_WIDTH // 2)
    assert len(urls(previews([WorldImages(header=picture, icon=picture)], tmp_path / "media"))) == 2


def test_a_preview_reads_nothing_outside_the_media_folder(tmp_path: Path) -> None:
    """A URL that leads out of the folder, or to another server, is left out and not opened."""
    a_picture(tmp_path)
    secret = tmp_path / "secret.jpg"
    Image.new("RGB", (10, 10)).save(secret)
    for url in ("media/../secret.jpg", str(secret), "../secret.jpg", "media/w", "media/gone.jpg"):
        outside = a_picture(tmp_path).model_copy(update={"url": url})
        assert previews([a_post_image(outside)], tmp_path / "media") is None
    far = a_picture(tmp_path).model_copy(update={"url": "https://media.example/p.jpg"})
    assert urls(previews([a_post_image(far)], tmp_path / "media")) == ["https://media.example/p.jpg"]


def test_without_pictures_there_are_no_previews(tmp_path: Path) -> None:
    """Assets of text have no entry for pictures."""
    assert previews([a_character(0, a_request())], tmp_path) is None
