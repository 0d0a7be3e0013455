"""A world as a book in Markdown: what it is, who lives there, what they post.

Here: its pages. Every text of a user or a model is escaped before it becomes Markdown, and no HTML comes through. Not here: files
(export.py).
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from generia_assets.cli.console import safe_line
from generia_assets.cli.rendering.formats import moment
from generia_assets.cli.texts import PictureFolder, PictureView
from generia_assets.content.keys import author_of
from generia_assets.content.text import cut, dollars, one_line, plural
from generia_assets.durable.status import WorldStatus
from generia_assets.queries.sections import documents
from resources.mongodb.connection import MongoDatabase, MongoDocument

_MARKDOWN = re.compile(
    r"[\\`*_{}\[\]<>#|~$]"  # marks
    r"|^\s*[-+=]|^\s*\d+[.)]"  # lists and rules, at the beginning of a line
    r"|:(?=//)|(?<=www)\.|(?<=\w)@(?=\w)",  # what some readers make a link of by themselves
    re.IGNORECASE,
)

QUOTED = 120
"""Characters of a post that are quoted above its reply."""


def escaped(text: object) -> str:
    """The text on one line, escaped for Markdown and HTML."""
    marked = _MARKDOWN.sub(lambda found: f"{found.group()[:-1]}\\{found.group()[-1]}", safe_line(str(text)))
    return html.escape(marked, quote=False).replace("\\&lt;", "&lt;").replace("\\&gt;", "&gt;")


def paragraphs(text: object) -> str:
    """The text with its paragraphs, escaped for Markdown and HTML."""
    blocks = (escaped(block) for block in re.split(r"\n\s*\n", str(text)))
    return "\n\n".join(block for block in blocks if block)


@dataclass
class Book:
    """The book of one world, to be written into ``folder``.

    ``pictures`` None: the book links to where this machine's platform has them, in ``data_dir``.
    """

    database: MongoDatabase
    status: WorldStatus
    folder: Path
    data_dir: Path
    pictures: PictureFolder | None
    _names: dict[str, str] = field(default_factory=dict)
    """Everybody by key, as the book names them."""

    def pages(self) -> Iterator[str]:
        """Its paragraphs, each with the empty line after it."""
        for part in (self._world(), self._people(), self._posts(), self._end()):
            yield from (f"{paragraph}\n\n" for paragraph in part)

    def _end(self) -> Iterator[str]:
        status = self.status
        yield "---"
        size = f"{plural(status.users_created, 'person')}, {plural(status.posts_created, 'post')}"
        yield f"World `{status.world_id}`, ordered {moment(status.created_at)} UTC; {size}, {dollars(status.cost_usd)}."

    def _world(self) -> Iterator[str]:
        world = next(self._read("description"), None)
        images = next(self._read("images"), None)
        prompt = escaped(self.status.parameters.get("user_prompt", ""))
        if world is None:
            yield f"# {escaped(self.status.name) or 'A world without a name'}"
            yield f"*{prompt}*"
            return
        yield f"# {escaped(world['name'])}"
        if images is not None:
            yield self._image("the world", "header", images["header"])
            if self.pictures is not None:
                self.pictures.path(PictureView("icon", images["icon"]["url"]))
        yield f"*{prompt}*"
        yield f"**{escaped(world['description_short'])}**"
        yield paragraphs(world["description"])
        for title, part in (
            ("How people live", "social_structure"),
            ("Culture", "culture"),
            ("Places", "geography"),
            ("Technology", "technology_level"),
            ("History", "history"),
        ):
            if world.get(part):
                yield f"## {title}\n\n{paragraphs(world[part])}"
        if world.get("calendar"):
            yield "## What everybody has lived through"
            yield "\n".join(
                f"* **{escaped(event['name'])}** ({escaped(event['moment'])}): {escaped(event['what_happens'])}"
                for event in world["calendar"]
            )

    def _people(self) -> Iterator[str]:
        avatars = {avatar["key"]: avatar["avatar"] for avatar in self._read("avatars")}
        for number, person in enumerate(self._read("characters")):
            if number == 0:
                yield "## People"
            self._names[person["key"]] = f"**{escaped(person['display_name'])}** {escaped('@' + person['username'])}"
            yield f"### {escaped(person['display_name'])} · {escaped('@' + person['username'])}"
            if person["key"] in avatars:
                yield self._image(person["display_name"], f"avatars/{person['key']}", avatars[person["key"]])
            yield f"*{escaped(person['bio'])}*"
            yield paragraphs(person["background_story"])
            for title, part in (("Looks", "appearance"), ("Character", "personality"), ("Secret", "secret")):
                if person.get(part):
                    yield f"**{title}:** {escaped(person[part])}"
            if person.get("relationships"):
                yield "\n".join(
                    f"* {escaped('@' + one['username'])}, {escaped(one['relationship_type'])}: {escaped(one['description'])}"
                    for one in person["relationships"]
                )

    def _posts(self) -> Iterator[str]:
        """The feed in the order of the world. Texts and pictures are two streams in that order."""
        pictures = self._read("post-images")
        ahead = next(pictures, None)
        for number, post in enumerate(self._read("posts")):
            if number == 0:
                yield "## The feed"
            while ahead is not None and (ahead["t"], ahead["key"]) < (post["t"], post["key"]):
                ahead = next(pictures, None)
            image = ahead["image"] if ahead is not None and ahead["key"] == post["key"] else None
            yield from self._post(post, image)

    def _post(self, post: MongoDocument, image: MongoDocument | None) -> Iterator[str]:
        about = [escaped(part) for part in (post["moment"], post["location"]) if part]
        yield " · ".join([self._name(post["key"]), *about, f"`{post['key']}`"])
        if post["in_reply_to"]:
            quote = escaped(cut(one_line(str(post["quote"])), QUOTED))
            yield f"> ↩ {self._name(post['in_reply_to'])}, `{escaped(post['in_reply_to'])}`: {quote}"
        if image is not None:
            yield self._image(post["image_prompt"], f"posts/{post['key']}", image)
        yield paragraphs(post["content"])
        if post["hashtags"]:
            yield " ".join(escaped("#" + str(tag).lstrip("#")) for tag in post["hashtags"])
        if post["comments"]:
            yield "\n".join(
                f"* {self._names.get(one['character'], escaped(one['username']))}: {escaped(one['content'])}"
                for one in post["comments"]
            )

    def _name(self, post: str) -> str:
        character = author_of(post)
        return self._names.get(character, escaped(character))

    def _image(self, shows: str, name: str, media: MongoDocument) -> str:
        """A picture, by a path from the book to it, or by its address where it is not on this machine."""
        url = str(media["url"])
        if self.pictures is not None:
            place = self.pictures.path(PictureView(name, url))
            address = url if place is None else os.path.relpath(place, self.folder)
        else:
            local = self.data_dir.absolute() / url
            address = os.path.relpath(local, self.folder) if local.is_file() else url
        return f"![{escaped(safe_line(shows, 120))}](<{quote(address, safe='/:.-_~?&=%')}>)"

    def _read(self, section: str) -> Iterator[MongoDocument]:
        return documents(self.database, self.status.world_id, section)
