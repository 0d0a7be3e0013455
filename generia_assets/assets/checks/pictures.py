"""Checks of pictures: there, a picture that is whole, and of the size that was ordered. Every file is decoded once."""

from collections.abc import Iterable

from generia_assets.assets.checks.finding import Check, CheckFinding, World, again_by_keys, asking
from generia_assets.content.documents import CharacterAvatar, Media, PostImage, WorldImages
from generia_assets.content.pictures import AVATAR_SIZE, HEADER_SIZE, ICON_SIZE, POST_SIZE
from resources.images.files import PictureError, picture

Shown = tuple[str, Media, tuple[int, int]]


def _pictures(of: Iterable[Shown], world: World) -> CheckFinding:
    found = CheckFinding(figures={"kept_elsewhere": 0})
    elsewhere = 0
    for key, media, size in of:
        found.looked_at += 1
        if "://" in media.url:  # kept by the media service, which has checked it when it was uploaded
            elsewhere += 1
        elif problem := _problem(world, media, size):
            found.add(f"{key}: {problem}", key)
    found.figures["kept_elsewhere"] = elsewhere
    return found


def _problem(world: World, media: Media, size: tuple[int, int]) -> str:
    """What is wrong with the picture, or ''."""
    root = world.media_dir.resolve()
    path = (root.parent / media.url).resolve()
    if root not in path.parents:
        return f"{media.url} is not there"
    try:
        with picture(path) as opened:
            found = opened.size
            if found != size:
                return f"{media.url} is {found[0]}×{found[1]}, not {size[0]}×{size[1]}"
            opened.draft(None, (1, 1))  # of a JPEG every byte is read, and few pixels are made
            opened.load()
    except PictureError as error:
        return f"{media.url} {error}"
    return ""


def _of_world(world: World) -> CheckFinding:
    images = world.all("world_images", WorldImages)
    shown = ((one.key, media, size) for one in images for media, size in ((one.header, HEADER_SIZE), (one.icon, ICON_SIZE)))
    return _pictures(shown, world)


def _of_people(world: World) -> CheckFinding:
    return _pictures(((one.key, one.avatar, AVATAR_SIZE) for one in world.all("character_avatars", CharacterAvatar)), world)


def _of_posts(world: World) -> CheckFinding:
    return _pictures(((one.key, one.image, POST_SIZE) for one in world.all("post_images", PostImage)), world)


CHECKS = [
    Check(
        asset,
        name,
        f"{what}: there, a picture that is whole, and of the size that was ordered.",
        asking(question, again_by_keys(asset), good="pictures of the right size"),
    )
    for asset, name, what, question in (
        ("world_images", "world_pictures", "The header and the icon", _of_world),
        ("character_avatars", "avatar_pictures", "Everybody's avatar", _of_people),
        ("post_images", "post_pictures", "Every post's picture", _of_posts),
    )
]
