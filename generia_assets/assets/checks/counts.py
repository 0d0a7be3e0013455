"""Checks of numbers and pictures: exactly what was ordered, nothing twice, all published, pictures whole, budget kept."""

from functools import partial

from generia_assets.asset_spec import AssetSpec
from generia_assets.assets.checks.finding import WARN, Check, CheckFinding, World, check
from generia_assets.catalog import ASSETS, TaskType, pictures_of, upstream_of
from generia_assets.content.documents import Media, Post, PostImage
from generia_assets.queries.completeness import mend, missing
from resources.mongodb.connection import MongoDocument
from resources.pictures import PictureError, picture

_SHAPE_SPREAD = 1.1
"""An image API has few shapes; the nearest one is never further from the ordered one than by this factor."""


def _exact(asset: str, world: World, found: CheckFinding) -> None:
    """Exactly as many documents as were ordered; items that failed for good are named, at whichever step they failed."""
    ordered = world.request.users_count if asset == "characters" else world.request.posts_count
    there = world.count(ASSETS[asset].document)
    # The items' tasks on the way to the asset: when one of them fails for good, the asset lacks something.
    way = [ASSETS[name].task_type for name in (*upstream_of(asset), asset) if ASSETS[name].unit.of_item]
    failed = [failure for failure in world.status.failures if failure.type in way]
    twice = _twice(world, asset, "post_id") if asset == "post_images" else []
    parts = [f"{there} of {ordered}"]
    if twice:
        parts.append(f"published under one id: {', '.join(twice)}")
    if failed:
        named = ", ".join(f"{failure.key} ({failure.error[:80]})" for failure in failed[:5])
        again = way[min(way.index(TaskType(failure.type)) for failure in failed) :]
        keys = sorted({failure.key.partition("-b")[0] for failure in failed})[:5]  # ideas are made again by their person's key
        assets = ", ".join(task_type.asset.name for task_type in again)
        parts.append(f"failed: {named}. Materialize {assets} again with keys {', '.join(keys)}")
    elif there != ordered:
        parts.append(f"Materialize {asset} again")
    found.wrong, found.description = abs(ordered - there) + len(twice), "; ".join(parts)
    found.figures |= {"ordered": ordered, "found": there, "failed_for_good": len(failed)}
    if failed and not twice:  # counted failures; lost documents are an error
        found.severity = WARN


def _twice(world: World, asset: str, field: str) -> list[str]:
    """Values of this field that occur more than once, whatever their case; at most ten."""
    pipeline: list[MongoDocument] = [
        {"$match": {"world_id": world.id}},
        {"$group": {"_id": {"$toLower": f"${field}"}, "count": {"$sum": 1}}},
        {"$match": {"count": {"$gt": 1}}},
        {"$limit": 10},
    ]
    return [row["_id"] for row in world.database[ASSETS[asset].collection].aggregate(pipeline, allowDiskUse=True)]


@check("character_briefs")
def unique_names(world: World, found: CheckFinding) -> None:
    """No username and no display name occurs twice, whatever its case."""
    twice = [name for field in ("username", "display_name") for name in _twice(world, "character_briefs", field)]
    found.wrong = found.figures["twice"] = len(twice)
    again = f"twice: {', '.join(twice)}. Materialize character_briefs and what follows again"
    found.description = again if twice else "every name once"


@check("post_images", "posts, each published")
def every_post_published(world: World, found: CheckFinding) -> None:
    """Every post has its picture, and its id is what the platform answered when it was published."""
    posts = {post.key for post in found.each(world.all(Post))}
    ids = {image.key: image.post_id for image in world.all(PostImage) if image.key in posts}
    for key in sorted(posts - ids.keys()):
        found.add(f"{key} has no picture and is not published", key)
    for (key, post_id), run in zip(ids.items(), world.runs_of(ids.values()), strict=True):
        if run is None:
            found.add(f"{key}: the platform never answered with {post_id or 'an id'}", key)


@check("post_images")
def world_is_whole(world: World, found: CheckFinding) -> None:
    """Status and documents agree: of all nine assets there is all that was ordered, but for what failed and is counted."""
    lacking = missing(world.database, world.status)
    found.wrong, found.description = len(lacking), "every document is there, or its failure is counted"
    if lacking:
        there = f"there are {', '.join(map(str, lacking))}, and no failure is counted for what is missing. "
        found.description = there + mend(world.status, lacking)
        found.figures |= {one.asset: f"{one.found} of {one.needed}" for one in lacking}


@check("post_images")
def budget_kept(world: World, found: CheckFinding) -> None:
    """No more calls than the limits, no more dollars than the cap."""
    status = world.status
    made_and_limit = {
        "LLM calls": (status.api_calls_made_LLM, status.api_call_limits_LLM),
        "image calls": (status.api_calls_made_images, status.api_call_limits_images),
        "US dollars": (round(status.cost_usd, 6), status.cost_limit_usd),
    }
    over = [name for name, (made, limit) in made_and_limit.items() if limit is not None and made > limit]
    description = "; ".join(
        f"{made} of {'no cap' if limit is None else limit} {name}" for name, (made, limit) in made_and_limit.items()
    )
    advice = f". Over: {', '.join(over)}; what was in flight when the limit was met is recorded in generia history {world.id}"
    found.wrong, found.description = len(over), description + (advice if over else "")
    found.figures |= {name.lower().replace(" ", "_"): made for name, (made, _) in made_and_limit.items()}


def _pictures(asset: AssetSpec, world: World, found: CheckFinding) -> None:
    """Every picture of the asset is a whole file of the size in its document and of the shape ordered. Each is decoded once."""
    elsewhere = 0
    for document in world.all(asset.document):
        for slot, media in found.each(pictures_of(document)):
            if "://" in media.url:  # stored by the media service, which checked it at the upload
                elsewhere += 1
            elif problem := _problem(world, media, slot.size):
                found.add(f"{document.key}: {problem}", document.key)
    found.figures["kept_elsewhere"] = elsewhere


def _problem(world: World, media: Media, size: tuple[int, int]) -> str:
    """What is wrong with the picture, or ''."""
    root = world.media_dir.resolve()
    path = (root.parent / media.url).resolve()
    if root not in path.parents:
        return f"{media.url} is not there"
    try:
        with picture(path) as opened:
            width, height = opened.size
            if (width, height) != (media.width, media.height):
                return f"{media.url} is {width}×{height}, and its document says {media.width}×{media.height}"
            if not 1 / _SHAPE_SPREAD < (width * size[1]) / (height * size[0]) < _SHAPE_SPREAD:
                return f"{media.url} is {width}×{height}, not of the shape {size[0]}×{size[1]}"
            opened.draft(None, (1, 1))  # of a JPEG every byte is read, and few pixels are made
            opened.load()
    except PictureError as error:
        return f"{media.url} {error}"
    return ""


_PICTURES = {
    "world_images": ("world_pictures", "The header and the icon"),
    "character_avatars": ("avatar_pictures", "Everybody's avatar"),
    "post_images": ("post_pictures", "Every post's picture"),
}
EXACT = [
    Check("characters", "exact_characters", "As many people as were ordered.", partial(_exact, "characters")),
    Check("posts", "exact_posts", "As many posts as were ordered.", partial(_exact, "posts")),
    Check("post_images", "exact_publications", "As many published posts as were ordered.", partial(_exact, "post_images")),
]
PICTURES = [
    Check(
        asset.name,
        name,
        f"{what}: there, a picture that is whole, and of the shape that was ordered.",
        partial(_pictures, asset),
        "pictures of the right shape",
    )
    for asset in ASSETS.values()
    if asset.pictures
    for name, what in [_PICTURES.get(asset.name, (f"{asset.name}_pictures", f"Every picture of {asset.name}"))]
]
