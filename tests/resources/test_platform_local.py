"""The local platform on a real MongoDB: one object for each key, the real platform's rules, pictures below their root folder."""

import asyncio
from errno import EXDEV
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from pymongo import AsyncMongoClient, monitoring

from emulators import lifecycle
from resources.gateway.outcomes import FatalCallError, RequestFailedError, RequestRejectedError, TransientError
from resources.mongodb.connection import connect_async
from resources.pictures import write_whole
from resources.platform import local
from resources.platform.local import LocalPlatform
from resources.platform.protocol import Platform

WORLD = "2f6f6a4e-98a5-4c0e-9a55-3f8f2f1c9b10"
PICTURE = b"\xff\xd8 a picture"


@pytest.fixture
async def database(mongodb_uri, mongo_database_name):
    async with connect_async(mongodb_uri) as client:
        yield client[mongo_database_name]


@pytest.fixture
async def platform(database, tmp_path):
    local = LocalPlatform(database, tmp_path / "media")
    await local.ensure_indexes()
    return local


async def create(platform: Platform, key="c0", world_id=WORLD, name="Ada"):
    return await platform.create_character(
        key=key, world_id=world_id, display_name=name, meta={"bio": "counts", "interests": ["maps"]}
    )


async def upload(platform: Platform, character_id, key="m0", world_id=WORLD, media_type=4, data=PICTURE, **changes):
    order = {"filename": "post.jpg", "content_type": "image/jpeg"} | changes
    with NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return await platform.upload_media(
            key=key, world_id=world_id, character_id=character_id, media_type=media_type, path=Path(file.name), **order
        )


class Commands(monitoring.CommandListener):
    """The names of the commands that a client sends, in their order."""

    def __init__(self):
        self.names = []

    def started(self, event):
        self.names.append(event.command_name)

    def succeeded(self, event):
        """Nothing."""

    def failed(self, event):
        """Nothing."""


def refuse(*arguments):
    raise OSError(EXDEV, "Invalid cross-device link")


async def counts(database):
    """Characters, media and posts of the world."""
    names = ("platform_characters", "platform_media", "platform_posts")
    return tuple([await database[name].count_documents({"world_id": WORLD}) for name in names])


async def publish(platform: Platform, character_id, media_id, key="p0", world_id=WORLD):
    return await platform.create_post(
        key=key, world_id=world_id, character_id=character_id, caption="Hello", media_id=media_id, tags=("a", "b")
    )


async def test_a_published_world_can_be_read_back(platform, database, tmp_path):
    """Everything that was sent to the platform is stored with its type, and every picture's bytes are at the path of its record."""
    await platform.update_world_params(world_id=WORLD, params={"theme": "salt"}, name="Saltmarsh", users_count=1, posts_count=1)
    header = await upload(platform, None, key="h", media_type=1)
    icon = await upload(platform, None, key="i", media_type=2)
    await platform.update_world_image(world_id=WORLD, image_uuid=header.media_id, icon_uuid=icon.media_id)
    character_id = await create(platform)
    avatar = await upload(platform, character_id, key="a", media_type=3)
    await platform.update_character(character_id=character_id, avatar_media_id=avatar.media_id)
    image = await upload(platform, character_id)
    post_id = await publish(platform, character_id, image.media_id)

    world = await database["platform_worlds"].find_one({"_id": WORLD})
    assert (world["name"], world["params"], world["users_count"]) == ("Saltmarsh", {"theme": "salt"}, 1)
    assert (world["image_uuid"], world["icon_uuid"]) == (header.media_id, icon.media_id)
    character = await database["platform_characters"].find_one({"world_id": WORLD})
    assert (character["_id"], character["display_name"], character["meta"]["interests"]) == (character_id, "Ada", ["maps"])
    assert character["avatar_media_id"] == avatar.media_id
    post = await database["platform_posts"].find_one({"world_id": WORLD})
    assert (post["_id"], post["character_id"], post["media_id"]) == (post_id, character_id, image.media_id)
    assert (post["caption"], post["tags"]) == ("Hello", ["a", "b"])
    uploaded = [media async for media in database["platform_media"].find({"world_id": WORLD})]
    assert {media["media_type"] for media in uploaded} == {1, 2, 3, 4}
    for media in uploaded:
        assert (tmp_path / "media" / media["path"]).read_bytes() == PICTURE
    assert (tmp_path / image.url).read_bytes() == PICTURE
    assert await counts(database) == (1, 4, 1)


async def test_the_same_key_twice_gives_one_object(platform, database):
    """A repeated create or upload returns the object of the first one, and makes nothing."""
    character_id = await create(platform)
    assert await create(platform) == character_id
    image = await upload(platform, character_id)
    assert await upload(platform, character_id) == image
    post_id = await publish(platform, character_id, image.media_id)
    assert await publish(platform, character_id, image.media_id) == post_id
    assert await counts(database) == (1, 1, 1)


async def test_concurrent_calls_with_the_same_key_give_one_object(platform, database, tmp_path):
    """Twenty concurrent calls with one key end with the same id, one record, one file and no partial file."""
    characters = await asyncio.gather(*(create(platform) for _ in range(20)))
    images = await asyncio.gather(*(upload(platform, characters[0]) for _ in range(20)))
    posts = await asyncio.gather(*(publish(platform, characters[0], images[0].media_id) for _ in range(20)))
    assert len(set(characters)) == len(set(images)) == len(set(posts)) == 1
    assert await counts(database) == (1, 1, 1)
    assert [path.name for path in (tmp_path / "media").rglob("*") if path.is_file()] == [f"{images[0].media_id}.jpg"]


async def test_an_upload_that_died_between_file_and_record_can_be_repeated(platform, database):
    """A file without a record does not prevent the repeated upload."""
    character_id = await create(platform)
    image = await upload(platform, character_id)
    await database["platform_media"].delete_many({})
    assert await upload(platform, character_id) == image
    assert (await counts(database))[1] == 1


async def test_posts_are_found_by_their_caption(platform):
    """Only posts of this character, in this world, with exactly this caption, the oldest first."""
    ada, bob = await create(platform), await create(platform, key="c1", name="Bob")
    hers, his = await upload(platform, ada), await upload(platform, bob, key="m1")
    first, second = await publish(platform, ada, hers.media_id), await publish(platform, ada, hers.media_id, key="p1")
    await publish(platform, bob, his.media_id, key="p2")
    found = {"world_id": WORLD, "character_id": ada, "caption": "Hello"}
    assert await platform.find_posts(**found) == [first, second]
    assert await platform.find_posts(**{**found, "caption": "Hello!"}) == []
    assert await platform.find_posts(**{**found, "world_id": "another-world"}) == []


async def test_a_picture_comes_back_as_it_was_uploaded(platform, tmp_path):
    """Its bytes are returned by its id; an unknown picture, or one whose file is missing, is refused."""
    image = await upload(platform, None, media_type=1)
    assert await platform.download_media(media_id=image.media_id) == PICTURE
    (tmp_path / image.url).unlink()
    for media_id in (image.media_id, "nowhere"):
        with pytest.raises(RequestRejectedError):
            await platform.download_media(media_id=media_id)


async def test_one_key_in_two_worlds_is_refused(platform):
    """A key that two worlds share is an error; a world never gets the other world's character."""
    await create(platform)
    with pytest.raises(FatalCallError, match="keys must differ"):
        await create(platform, world_id="another-world")


async def test_a_post_without_its_picture_is_refused(platform, database):
    """A post needs media of its own character: none, unknown media, another character's or the world's are refused."""
    ada, bob = await create(platform), await create(platform, key="c1", name="Bob")
    his = await upload(platform, bob)
    header = await upload(platform, None, key="h", media_type=1)
    for media_id, message in (
        ("", "without media"),
        ("nowhere", "does not belong"),
        (his.media_id, "does not belong"),
        (header.media_id, "does not belong"),
    ):
        with pytest.raises(FatalCallError, match=message):
            await publish(platform, ada, media_id)
    assert await database["platform_posts"].count_documents({}) == 0


async def test_objects_of_an_unknown_character_are_refused(platform, database, tmp_path):
    """Media, avatar and post of an unknown character, or of one in another world, are refused, and nothing is stored."""
    elsewhere = await create(platform, world_id="another-world")
    for character_id in ("nobody", elsewhere):
        with pytest.raises(FatalCallError, match="create it first"):
            await upload(platform, character_id)
        with pytest.raises(FatalCallError, match="create it first"):
            await publish(platform, character_id, "any")
    with pytest.raises(FatalCallError, match="create it first"):
        await platform.update_character(character_id="nobody", avatar_media_id="any")
    assert await counts(database) == (0, 0, 0)
    assert not (tmp_path / "media").exists()


async def test_pictures_must_be_uploaded_before_they_are_used(platform, database):
    """A world's header and icon and a character's avatar must be already uploaded media of their own."""
    ada, bob = await create(platform), await create(platform, key="c1", name="Bob")
    his = await upload(platform, bob, media_type=3)
    header = await upload(platform, None, key="h", media_type=1)
    with pytest.raises(FatalCallError, match="upload it"):
        await platform.update_character(character_id=ada, avatar_media_id=his.media_id)
    with pytest.raises(FatalCallError, match="upload it"):
        await platform.update_world_image(world_id=WORLD, image_uuid=header.media_id, icon_uuid="nowhere")
    assert await database["platform_worlds"].find_one({"_id": WORLD}) is None


async def test_nothing_is_published_in_a_real_users_name(platform, database, tmp_path):
    """A character of a real user gets no media, no avatar and no post."""
    character_id = await create(platform)
    image = await upload(platform, character_id)
    await database["platform_characters"].update_one({"_id": character_id}, {"$set": {"is_ai": False}})
    later = LocalPlatform(database, tmp_path / "media")  # the store above has created the character, as an AI
    assert await create(later) == character_id
    with pytest.raises(FatalCallError, match="real user"):
        await upload(later, character_id, key="m1")
    with pytest.raises(FatalCallError, match="real user"):
        await later.update_character(character_id=character_id, avatar_media_id=image.media_id)
    with pytest.raises(FatalCallError, match="real user"):
        await publish(later, character_id, image.media_id)


async def test_objects_that_this_process_created_are_not_read_again(mongodb_uri, mongo_database_name, tmp_path):
    """A post and its picture are two inserts; another process reads the owners of the character and the picture."""
    commands = Commands()
    async with AsyncMongoClient(mongodb_uri, event_listeners=[commands]) as client:
        here, later = (LocalPlatform(client[mongo_database_name], tmp_path / "media") for _ in range(2))
        character_id = await create(here)
        commands.names.clear()
        image = await upload(here, character_id)
        await publish(here, character_id, image.media_id)
        assert commands.names == ["insert", "insert"]
        commands.names.clear()
        await publish(later, character_id, image.media_id, key="p1")
        assert commands.names == ["find", "find", "insert"]


async def test_remembered_objects_keep_their_kind(platform):
    """A picture is not accepted as a character, nor a character as a picture, although this process remembers both."""
    header, character_id = await upload(platform, None, key="h", media_type=1), await create(platform)
    with pytest.raises(FatalCallError, match="create it first"):
        await upload(platform, header.media_id)
    with pytest.raises(FatalCallError, match="does not belong"):
        await publish(platform, character_id, character_id)
    with pytest.raises(FatalCallError, match="does not belong"):
        await platform.update_world_image(world_id=WORLD, image_uuid=header.media_id, icon_uuid=character_id)


async def test_few_owners_are_remembered(platform, monkeypatch):
    """A world of any size is published with bounded memory; forgotten owners are read again."""
    monkeypatch.setattr(local, "MOST_REMEMBERED", 2)
    people = [await create(platform, key=f"c{number}") for number in range(4)]
    pictures = [await upload(platform, one, key=f"m{number}") for number, one in enumerate(people)]
    for number, (one, picture) in enumerate(zip(people, pictures, strict=True)):
        assert await publish(platform, one, picture.media_id, key=f"p{number}")
    assert (len(platform._worlds_of), len(platform._owners)) == (2, 2)


@pytest.mark.parametrize("linked", [True, False], ids=["a link", "a copy"])
async def test_an_uploaded_picture_does_not_need_its_source_file(platform, tmp_path, monkeypatch, linked):
    """The platform's file stays when the pending one is deleted, also if files cannot be linked; the same file may be uploaded
    twice."""
    if not linked:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    source = tmp_path / "pending.jpg"
    write_whole(source, PICTURE)
    order = {"filename": "x.jpg", "content_type": "image/jpeg", "media_type": 1, "path": source}
    for _ in range(2):
        image = await platform.upload_media(key="h", world_id=WORLD, character_id=None, **order)
    write_whole(source, b"another")
    source.unlink()
    (kept,) = [path for path in (tmp_path / "media").rglob("*") if path.is_file()]
    assert (tmp_path / image.url, PICTURE, 0o644) == (kept, kept.read_bytes(), kept.stat().st_mode & 0o777)


@pytest.mark.parametrize("world_id", ["../../etc", "/etc", "a/b", "..", ".", "", "w\x00", "C:\\x", "w" * 200, "мир", "w\n"])
async def test_a_world_id_cannot_lead_out_of_the_media_root(platform, tmp_path, world_id):
    """An id that is not a plain name is refused before anything is written, on disk or in the database."""
    with pytest.raises(FatalCallError, match="refused"):
        await upload(platform, None, world_id=world_id, media_type=1)
    with pytest.raises(FatalCallError, match="refused"):
        await create(platform, world_id=world_id)
    with pytest.raises(FatalCallError, match="refused"):
        await platform.update_world_params(world_id=world_id, params={}, name="x", users_count=1, posts_count=0)
    assert list(tmp_path.iterdir()) == []


async def test_a_file_name_is_never_part_of_a_path(platform, tmp_path):
    """For any name of a picture its file is named by its id, in the folder of its world."""
    image = await upload(platform, None, media_type=2, filename="../../../escape.sh", content_type="image/png")
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert file == tmp_path / "media" / WORLD / "icon" / f"{image.media_id}.png"


@pytest.mark.parametrize("changes", [{"media_type": 9}, {"content_type": "text/html"}, {"data": b""}])
async def test_an_invalid_picture_is_refused(platform, tmp_path, changes):
    """Unknown media types, other content types and empty files are refused, and nothing is stored."""
    with pytest.raises(RequestFailedError if "data" in changes else FatalCallError):  # an empty file: the picture is made again
        await upload(platform, None, **changes)
    assert list(tmp_path.iterdir()) == []


async def test_a_disk_error_is_reported(database, tmp_path):
    """A media root that cannot be written gives a clear error, and no record without its file."""
    (tmp_path / "media").write_text("in the way")
    platform = LocalPlatform(database, tmp_path / "media")
    with pytest.raises(FatalCallError, match="cannot be written"):
        await upload(platform, None, media_type=1)
    assert (await counts(database))[1] == 0


async def test_a_world_can_be_updated_without_losing_its_pictures(platform, database):
    """Params and pictures of a world are updated independently, and the last values count."""
    header = await upload(platform, None, key="h", media_type=1)
    await platform.update_world_image(world_id=WORLD, image_uuid=header.media_id, icon_uuid=header.media_id)
    for name in ("First", "Second"):
        await platform.update_world_params(world_id=WORLD, params={"name": name}, name=name, users_count=2, posts_count=3)
    world = await database["platform_worlds"].find_one({"_id": WORLD})
    assert (world["name"], world["params"], world["image_uuid"]) == ("Second", {"name": "Second"}, header.media_id)


@pytest.mark.slow
async def test_a_database_that_does_not_answer_is_transient(tmp_path):
    """Without MongoDB every call ends as a transient outcome, which the breaker counts."""
    async with AsyncMongoClient(f"mongodb://127.0.0.1:{lifecycle.free_port()}", serverSelectionTimeoutMS=50) as client:
        platform = LocalPlatform(client["platform"], tmp_path)
        for call in (
            create(platform),
            platform.find_posts(world_id=WORLD, character_id="c", caption="x"),
            upload(platform, None, media_type=1),
        ):
            with pytest.raises(TransientError):
                await call


async def test_a_value_that_the_database_cannot_store_is_fatal(platform):
    """A value that is neither JSON nor BSON is refused as our own error, because a repetition cannot help."""
    with pytest.raises(FatalCallError):
        await platform.create_character(key="c0", world_id=WORLD, display_name="Ada", meta={"bio": object()})
