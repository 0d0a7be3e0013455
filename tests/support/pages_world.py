"""Worlds for the pages' tests: documents as the IO manager stores them, without generation.

Here: a world of any size, made at once, in any language, with replies and with a person whose texts have hostile markup. Not here:
the server and the browser (pages_site.py).
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image

from generia_assets.catalog import ASSETS, TaskType
from generia_assets.content import documents as d
from generia_assets.content.keys import author_of, batch_key, character_index, character_key, post_key
from generia_assets.content.pictures import AVATAR_SIZE, HEADER_SIZE, ICON_SIZE, POST_SIZE
from generia_assets.content.shares import BATCH
from generia_assets.durable.collections import GENERATIONS, HISTORY, STATUS, TASKS
from generia_assets.durable.events.events import LiveEvent
from generia_assets.durable.events.outbox import change_with_event
from generia_assets.durable.indexes import ensure_indexes
from generia_assets.durable.status import State, new_status
from resources.mongodb.document_store import DocumentStore, DocumentStream

SCRIPT = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
DELETED_KEY = "c0001-p0000"


class MadeUp:
    """A finished world of invented documents in this database, its pictures below this folder."""

    def __init__(
        self, database: Any, media: Path, *, users: int = 6, posts: int = 12, language: str = "English", word: str = ""
    ) -> None:
        self.database = database
        self.media = media
        # The same in every run, because a world's colours follow from its id.
        self.world_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"world {database['made_up'].count_documents({})}"))
        database["made_up"].insert_one({"world_id": self.world_id})
        self.users, self.posts, self.language = users, posts, language
        self.word = word or "tortoise"
        ensure_indexes(database, history_ttl_days=30)
        self.store = DocumentStore(database)
        self.store.ensure_indexes(kind for kind in ASSETS.values())
        self._shared = {
            name: self._picture(name, size)
            for name, size in (("header", HEADER_SIZE), ("icon", ICON_SIZE), ("avatars", AVATAR_SIZE), ("posts", POST_SIZE))
        }

    def make(self, state: State = State.COMPLETED, *, documents: Mapping[str, list[Any]] | None = None) -> MadeUp:
        """Store the world, or these documents, with a status record in this state."""
        for asset, made in (documents or dict(self.documents())).items():
            self.keep(asset, made)
        self.say(state)
        return self

    def begin(self, documents: Mapping[str, list[Any]] | None = None) -> MadeUp:
        """Store the world, or these documents, as the completed tasks of an unfinished generation, without a materialization."""
        generation = f"{self.world_id}:1"
        of_all = {"world_id": self.world_id, "generation": generation, "status": State.COMPLETED.value}
        for asset, of_it in (documents or dict(self.documents())).items():
            of_asset = {**of_all, "type": ASSETS[asset].task_type.value}
            made = [one.model_dump(mode="json") for one in of_it]
            if ASSETS[asset].unit.batched:
                tens = range(0, len(made), BATCH)
                made = [{"key": batch_key(first), "briefs": made[first : first + BATCH]} for first in tens]
            self.database[TASKS].insert_many(
                {**of_asset, "_id": f"{generation}:{asset}:{one['key']}", "key": one["key"], "result": one} for one in made
            )
        self.note_generation(generation)
        self.say(State.IN_PROGRESS, generation=generation, users_created=self.users, posts_created=self.posts)
        return self

    def note_generation(self, generation: str) -> None:
        """Record the beginning of the generation."""
        record = {"world_id": self.world_id, "started_at": datetime.now(UTC)}
        self.database[GENERATIONS].replace_one({"_id": generation}, record, upsert=True)

    def documents(self) -> Iterator[tuple[str, list[Any]]]:
        """All documents of the world, by asset."""
        yield "world_description", [self.description()]
        yield "world_images", [d.WorldImages(key="world", header=self._shared["header"], icon=self._shared["icon"])]
        yield "character_briefs", [self.brief(index) for index in range(self.users)]
        yield "characters", [self.character(index) for index in range(self.users)]
        yield "character_avatars", [self.avatar(index) for index in range(self.users)]
        keys = [self.post_key(index) for index in range(self.posts)]
        yield "posts", [self.post(key) for key in keys]
        yield "post_images", [self.published(key, index) for index, key in enumerate(keys)]

    def say(self, state: State, **values: Any) -> None:
        """Write the status record."""
        record = new_status(self.world_id, {"user_prompt": f"A world of {SCRIPT}"}, users=self.users, posts=self.posts)
        counts = {"users_created": self.users, "posts_created": self.posts} if state is State.COMPLETED else {}
        record |= {"status": state.value, "name": f"{self.word} town", **counts, **values}
        self.database[STATUS].replace_one({"_id": self.world_id}, record, upsert=True)

    def keep(self, asset: str, made: list[Any]) -> None:
        self.store.replace(ASSETS[asset], self.world_id, "run-1", DocumentStream(made))

    def tell(self, event: LiveEvent, **values: Any) -> None:
        """Commit an event with its change of the status record, like the pipeline."""
        assert change_with_event(self.database, {"_id": self.world_id}, {**values, "updated_at": datetime.now(UTC)}, event)

    def trace(self, key: str) -> None:
        """Record the origin of a person's only post: planned without a call, a request with texts of others, an invalid answer and
        a valid one, and a failure at the end."""
        task = {"_id": f"{self.world_id}:{key}", "world_id": self.world_id, "generation": f"{self.world_id}:1"}
        now = datetime.now(UTC)
        self.note_generation(task["generation"])
        values = {"type": TaskType.GENERATE_POST.value, "key": key, "attempt_count": 2, "created_at": now, "updated_at": now}
        batch = f"{author_of(key)}-b000"
        idea = {"_id": f"{self.world_id}:{batch}", "key": batch, "type": TaskType.GENERATE_POST_BATCH.value}
        briefs = [self.idea(key).model_dump(mode="json")]
        self.database[TASKS].insert_one({**task, **values, **idea, "status": State.COMPLETED.value, "result": {"briefs": briefs}})
        self.database[TASKS].insert_one({**task, **values, "status": State.FAILED.value, "error": "The platform refused it."})
        for outcome, error in (("invalid_output", "An answer without its end."), ("ok", None)):
            request = {"_id": f"{task['_id']}:{outcome}", "task_id": task["_id"], "world_id": self.world_id, "created_at": now}
            call = {"api_type": "llm", "request_type": "post", "outcome": outcome, "error": error, "duration_ms": 1200}
            heard = f"<heard-0a1b>\n@person0: a walk {SCRIPT}\n@person2: a bath\n</heard-0a1b>"
            data = {"request_data": {"model": "gemini", "system": SCRIPT, "parts": [heard]}, "response_data": {"text": SCRIPT}}
            self.database[HISTORY].insert_one(
                {**request, **call, **data, "tokens": {"prompt": 900, "output": 90}, "cost_usd": 0.01}
            )

    def post_key(self, index: int) -> str:
        return post_key(character_key(index % self.users), index // self.users)

    def index_of(self, key: str) -> int:
        """The number of the post in the order of the world, from 0."""
        return self.users * int(key[-4:]) + character_index(author_of(key))

    def replied_to(self, key: str) -> str:
        """The post that this post answers, or '': of ten posts in a row the fifth, the sixth and the tenth answer the one
        before."""
        index = self.index_of(key)
        return self.post_key(index - 1) if index % 10 in (4, 5, 9) and self.users > 1 else ""

    def description(self) -> d.WorldDescription:
        text = {
            name: f"{self.word} {name}"
            for name in (
                "name",
                "description_short",
                "theme",
                "technology_level",
                "social_structure",
                "culture",
                "geography",
                "history",
            )
        }
        return d.WorldDescription(
            **{**text, "name": f"{self.word} town"},
            description=f"{self.word} one.\n\n{self.word} two.",
            visual_style="Ink.",
            common_activities=("walking",),
            typical_stories=("a walk",),
            user_preferences=d.UserPreferences(language=self.language),
            additional_details=d.AdditionalDetails(),
            naming=d.NamingCustoms(rules="short"),
            calendar=tuple(
                d.WorldEvent(name=f"{self.word} {n}", moment=f"day {n}", what_happens="rain", who_cares="all") for n in range(5)
            ),
        )

    def brief(self, index: int) -> d.CharacterBrief:
        return d.CharacterBrief(
            key=character_key(index),
            username=f"person{index}",
            display_name=f"{self.word} Person {index}",
            concept=self.word,
            one_line=self.word,
            kind=f"{self.word} kind",
            age=f"{20 + index} {self.word}",
            trade=f"{self.word} trade {SCRIPT}",
            posts_count=self.posts // self.users,
        )

    def character(self, index: int) -> d.Character:
        others = [number for number in (index - 1, index + 1, index + 7) if 0 <= number < self.users]
        return d.Character(
            key=character_key(index),
            username=f"person{index}",
            display_name=f"{self.word} Person {index}",
            bio=f"{self.word} bio {SCRIPT}"[:200],
            background_story=f"{self.word} story {SCRIPT}",
            personality=self.word,
            appearance=self.word,
            interests=(self.word, SCRIPT),
            speaking_style=self.word,
            common_topics=(self.word,),
            avatar_description="a face",
            avatar_style="ink",
            relationships=tuple(
                d.Relationship(
                    username=f"person{number}", relationship_type=f"neighbour {SCRIPT}", description=f"{self.word} next door"
                )
                for number in others
            ),
            secret=f"{self.word} secret",
            daily_routine=self.word,
            look="tall",
            posts_count=self.posts // self.users,
            character_id=f"character-{index}",
        )

    def avatar(self, index: int) -> d.CharacterAvatar:
        return d.CharacterAvatar(
            key=character_key(index), username=f"person{index}", character_id=f"character-{index}", avatar=self._shared["avatars"]
        )

    def idea(self, key: str) -> d.PostBrief:
        post = self.post(key)
        of_both = {name: getattr(post, name) for name in d.PostBrief.model_fields if name in d.Post.model_fields}
        return d.PostBrief(
            **{**of_both, "in_reply_to": self.replied_to(key) or self.post_key(0), "idea": f"{self.word} idea", "form": "a list"}
        )

    def post(self, key: str) -> d.Post:
        author = character_index(author_of(key))
        other = (author + 1) % self.users
        index, answered = self.index_of(key), self.replied_to(key)
        quote = self.post(answered).content if answered else ""
        content = f"{self.word} {key}, with @person{other} and @nobody. {SCRIPT}\n\nAnd {self.word} again."
        if index % 10 == 4:  # short enough to be quoted whole
            content = f"{self.word} {key}\n\n{SCRIPT}"
        return d.Post(
            key=key,
            character=character_key(author),
            username=f"person{author}",
            character_id=f"character-{author}",
            order=int(key[-4:]),
            moment=f"{self.word} day {index // 3}",
            content=f"{content} {self.word * 60}" if index % 10 == 8 else content,
            image_prompt=f"A street {SCRIPT}",
            image_style="ink",
            hashtags=(self.word, SCRIPT),
            mood=self.word,
            context="",
            mentions=(f"person{other}",),
            location=self.word,
            time_of_day=self.word,
            t=index,
            after=1 + index * 5 // max(self.posts, 1),
            in_reply_to=answered,
            quote=f"{self.word}, at first. {quote}" if index % 10 == 9 and answered else quote,
            comments=(
                d.Comment(character=character_key(other), username=f"person{other}", content=f"{self.word}, {SCRIPT}?"),
                d.Comment(character=character_key(author), username=f"person{author}", content=self.word),
            )
            if index % 10 == 3
            else (),
            wish=self.word,
            deleted_reason="refused" if key == DELETED_KEY else "",
        )

    def published(self, key: str, index: int) -> d.PostImage:
        author = character_index(author_of(key))
        return d.PostImage(
            key=key,
            character=character_key(author),
            character_id=f"character-{author}",
            post_id=f"post-{key}",
            image=self._shared["posts"],
            published_at=BEGAN + timedelta(seconds=index),
            t=self.index_of(key),
        )

    def _picture(self, folder: str, size: tuple[int, int]) -> d.Media:
        path = self.media / self.world_id / folder / "one.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = io.BytesIO()
        Image.new("RGB", size, (120, 90, 160)).save(data, "PNG")
        path.write_bytes(data.getvalue())
        return d.Media(media_id="one", url=f"media/{self.world_id}/{folder}/one.png", prompt="ink", width=size[0], height=size[1])
