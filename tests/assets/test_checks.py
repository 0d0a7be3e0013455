"""The asset checks: each passes for a good world, and fails when its fault is planted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from PIL import Image

from generia_assets.catalog import ASSETS
from generia_assets.queries.fleet import check_figures
from tests.support.checked_world import WORLD, asked, asked_in_a_run, change, comment_on, first
from tests.support.content_faults import FAULTS as CONTENT_FAULTS
from tests.support.worlds_in_process import Worlds

PEOPLE, POSTS = 4, 6


def copy(worlds: Worlds, asset: str, field: str) -> str:
    """Copy the text of the first document to the second; return the key of the second."""
    one, other = first(worlds, asset), first(worlds, asset, 1)
    change(worlds, asset, other.key, {field: getattr(one, field).replace("a", "A")})
    return str(other.key)


def drop(worlds: Worlds, asset: str) -> str:
    """Delete the last document, and lower the count of the materialization."""
    last = worlds.documents(asset, WORLD)[-1]
    worlds.database[ASSETS[asset].collection].delete_one({"world_id": WORLD, "key": last.key})
    worlds.database["materializations"].update_one({"_id": f"{WORLD}:{ASSETS[asset].collection}"}, {"$inc": {"count": -1}})
    return str(last.key)


def picture_of(worlds: Worlds, asset: str, field: str) -> Path:
    """The file of the first document's picture."""
    return Path(worlds.settings.generia_data_dir / getattr(first(worlds, asset), field).url)


def smaller(path: Path) -> None:
    Image.new("RGB", (64, 64)).save(path, "JPEG")


def same_name(worlds: Worlds) -> str:
    name = first(worlds, "character_briefs").username.upper()
    change(worlds, "character_briefs", "c0001", {"username": name})
    return str(name.lower())


def relation_with_nobody(worlds: Worlds) -> str:
    person = next(one for one in worlds.documents("characters", WORLD) if one.relationships)
    change(worlds, "characters", person.key, {"relationships.0.username": "nobody_at_all"})
    return f"{person.key} @{person.username} is related to @nobody_at_all"


def mention_of_nobody(worlds: Worlds) -> str:
    post = first(worlds, "posts")
    change(worlds, "posts", post.key, {"content": f"{post.content} Ask @somebody.else."})
    return f"{post.key} mentions @somebody.else"


def comment_that_mentions_nobody(worlds: Worlds) -> str:
    post = first(worlds, "posts")
    comment_on(worlds, post, "Ask @somebody.else.")
    return f"{post.key} mentions @somebody.else"


def comment_by_nobody(worlds: Worlds) -> str:
    post = first(worlds, "posts")
    comment_on(worlds, post, "Who am I?", username="nobody_at_all")
    return f"{post.key} mentions @nobody_at_all"


def comments_in_russian(worlds: Worlds) -> str:
    post = first(worlds, "posts")
    comment_on(worlds, post, "Пчёлы опять переехали в часы, и сторож молчит.")
    return f"the text of the comments on {post.key} is not written in English"


def comments_in_spanish(worlds: Worlds) -> str:
    for post in worlds.documents("posts", WORLD):
        comment_on(worlds, post, "La vecina dice que el tranvía no llega.")
    return "seems to be in Spanish, not in English"


def in_russian(asset: str, field: str) -> Callable[[Worlds], str]:
    def plant(worlds: Worlds) -> str:
        key = first(worlds, asset).key
        change(worlds, asset, key, {field: "Пчёлы опять переехали в часы, и сторож говорит, что это к дождю. " * 40})
        return f"{key} is not written in English"

    return plant


def described_in_russian(worlds: Worlds) -> str:
    text = "Город на черепахе, идущей на юг. " * 20
    worlds.database["world_parameters"].update_one({"_id": WORLD}, {"$set": {"description": text}})
    return "not written in English"


def ordered_in_spanish(worlds: Worlds) -> str:
    sentence = "Una ciudad donde los sueños se vuelven sólidos hasta que amanece"
    worlds.database["world_request"].update_one({"world_id": WORLD}, {"$set": {"user_prompt": sentence}})
    return "ordered with seems to be in Spanish, the world is in English"


def all_in_spanish(worlds: Worlds) -> str:
    for post in worlds.documents("posts", WORLD):
        text = f"La vecina dice que el tranvía {post.key} no llega y que los niños se van con una flor."
        change(worlds, "posts", post.key, {"content": text})
    return "seems to be in Spanish, not in English"


def concept_alone(worlds: Worlds) -> str:
    change(worlds, "characters", "c0002", {"personality": "", "moderation": "told by the concept alone"})
    return "c0002"


def drawn_by_lot(worlds: Worlds) -> str:
    change(worlds, "character_briefs", "c0002", {"moderation": "drawn by lot, the model's concepts were refused"})
    return "c0002"


def placeholder(worlds: Worlds) -> str:
    key = first(worlds, "posts").key
    change(worlds, "posts", key, {"deleted_reason": "refused by moderation twice: SAFETY"})
    return f"{key} is a placeholder: refused by moderation twice"


def unpublished(worlds: Worlds) -> str:
    image = first(worlds, "post_images")
    worlds.database["publications"].update_one({"answer": image.post_id}, {"$set": {"status": "sent"}, "$unset": {"answer": ""}})
    return f"{image.key}: the platform never answered"


def one_id_twice(worlds: Worlds) -> str:
    post_id = first(worlds, "post_images").post_id
    change(worlds, "post_images", first(worlds, "post_images", 1).key, {"post_id": post_id})
    return f"published under one id: {post_id}"


def overspent(worlds: Worlds) -> str:
    worlds.database["world_generation_status"].update_one({"_id": WORLD}, {"$set": {"cost_limit_usd": 0.0001}})
    return "Over: US dollars"


def no_file(asset: str, field: str) -> Callable[[Worlds], str]:
    def plant(worlds: Worlds) -> str:
        picture_of(worlds, asset, field).unlink()
        return "is not there"

    return plant


def too_small(worlds: Worlds) -> str:
    smaller(picture_of(worlds, "character_avatars", "avatar"))
    said = first(worlds, "character_avatars").avatar
    return f"64×64, and its document says {said.width}×{said.height}"


def no_picture(worlds: Worlds) -> str:
    picture_of(worlds, "world_images", "icon").write_bytes(b"<html>not found</html>")
    return "is no picture"


FAULTS: list[tuple[str, str, str, Callable[[Worlds], str], str]] = [
    ("character_briefs", "unique_names", "ERROR", same_name, "character_briefs"),
    ("character_briefs", "distinct_concepts", "WARN", lambda w: copy(w, "character_briefs", "concept"), "job rerun_character"),
    ("characters", "exact_characters", "ERROR", lambda w: drop(w, "characters") and f"{PEOPLE - 1} of {PEOPLE}", "Materialize"),
    ("characters", "relations_exist", "ERROR", relation_with_nobody, "job rerun_character with character: c000"),
    ("characters", "people_in_language", "ERROR", in_russian("characters", "background_story"), "job rerun_character"),
    ("characters", "people_in_full", "WARN", concept_alone, "job rerun_character with character: c0002"),
    ("characters", "people_in_full", "WARN", drawn_by_lot, "job rerun_character with character: c0002"),
    ("character_avatars", "avatar_pictures", "ERROR", too_small, "materialize character_avatars with keys: [c0000]"),
    ("world_images", "world_pictures", "ERROR", no_picture, "materialize world_images with keys: [world]"),
    ("world_description", "description_in_language", "ERROR", described_in_russian, "materialize world_description"),
    ("world_description", "description_in_language", "WARN", ordered_in_spanish, "materialize world_description"),
    ("posts", "exact_posts", "ERROR", lambda w: drop(w, "posts") and f"{POSTS - 1} of {POSTS}", "Materialize posts"),
    ("posts", "distinct_posts", "WARN", lambda w: copy(w, "posts", "content"), "job rerun_post with post: c00"),
    ("posts", "mentions_exist", "ERROR", mention_of_nobody, "job rerun_post with post: c00"),
    ("posts", "mentions_exist", "ERROR", comment_that_mentions_nobody, "job rerun_post with post: c00"),
    ("posts", "mentions_exist", "ERROR", comment_by_nobody, "job rerun_post with post: c00"),
    ("posts", "posts_in_language", "ERROR", in_russian("posts", "content"), "job rerun_post with post: c00"),
    ("posts", "posts_in_language", "ERROR", all_in_spanish, "job rerun_post with post: c00"),
    ("posts", "posts_in_language", "ERROR", comments_in_russian, "job rerun_post with post: c00"),
    ("posts", "posts_in_language", "ERROR", comments_in_spanish, "job rerun_post with post: c00"),
    ("posts", "no_placeholder", "WARN", placeholder, "job rerun_post with post: c00"),
    ("post_images", "exact_publications", "ERROR", one_id_twice, "of"),
    ("post_images", "every_post_published", "ERROR", unpublished, "materialize post_images with keys: [c00"),
    ("post_images", "every_post_published", "ERROR", lambda w: f"{drop(w, 'post_images')} has no picture", "post_images"),
    ("post_images", "post_pictures", "ERROR", no_file("post_images", "image"), "materialize post_images with keys: [c00"),
    ("post_images", "world_is_whole", "ERROR", lambda w: drop(w, "posts") and f"{POSTS - 1} of {POSTS} posts", "--part posts"),
    ("post_images", "budget_kept", "ERROR", overspent, "generia history checked"),
]


@pytest.mark.parametrize(
    ("asset", "name", "severity", "plant", "again"), FAULTS, ids=[f"{fault[1]}-{number}" for number, fault in enumerate(FAULTS)]
)
def test_a_planted_fault_is_named_with_how_to_repair_it(
    undamaged: Mapping[str, Any],
    restored: Worlds,
    asset: str,
    name: str,
    severity: str,
    plant: Callable[[Worlds], str],
    again: str,
) -> None:
    """The check passes before; afterwards it fails, names the fault, and names the items that must be made again."""
    if name != "distinct_posts":  # the emulator's texts can repeat
        assert undamaged[name].passed, undamaged[name].description
    wrong = plant(restored)
    found = asked(restored, asset, name)
    assert not found.passed
    assert found.severity.value == severity
    assert wrong in found.description
    assert again in found.description


def test_comments_of_a_few_words_may_be_in_any_language(restored: Worlds) -> None:
    """Such comments are not evidence of a language, in any script and on any number of posts."""
    for post in restored.documents("posts", WORLD):
        comment_on(restored, post, "¡Sí, el tranvía! Да.")
    assert asked(restored, "posts", "posts_in_language").passed


def test_one_check_can_be_executed_without_the_others(restored: Worlds) -> None:
    """The button on an asset's page executes only that check; Dagster stores its result with the asset's newest materialization."""
    wrong = one_id_twice(restored)
    key = dg.AssetCheckKey(dg.AssetKey("post_images"), "exact_publications")
    (result,) = asked_in_a_run(restored, {key})
    found = asked(restored, "post_images", "exact_publications")
    assert (result.passed, result.severity, result.description) == (False, found.severity, found.description)
    assert wrong in str(result.description)
    assert (result.check_name, dict(result.metadata)) == ("exact_publications", dict(found.metadata))
    of_world = dg.AssetRecordsFilter(key.asset_key, asset_partitions=[WORLD])
    (newest,) = restored.instance.fetch_materializations(of_world, limit=1).records
    assert result.target_materialization_data is not None
    assert result.target_materialization_data.storage_id == newest.storage_id


def test_a_failed_check_is_counted_for_monitors(undamaged: Mapping[str, Any], restored: Worlds) -> None:
    """A failed check is counted by severity and named with its world; a passed check is not counted."""
    before = check_figures(restored.database)
    assert asked(restored, "post_images", "exact_publications").passed
    assert check_figures(restored.database) == before
    one_id_twice(restored)
    asked(restored, "post_images", "exact_publications")
    after = check_figures(restored.database)
    assert (after.error, after.warn) == (before.error + 1, before.warn)
    assert (after.errors[-1].world_id, after.errors[-1].check) == (WORLD, "exact_publications")


def test_every_check_has_a_planted_fault(checked: Worlds) -> None:
    """Each check can fail."""
    checks = {(key.asset_key.path[-1], key.name) for key in checked.defs.resolve_asset_graph().asset_check_keys}
    assert {(asset, name) for asset, name, *_ in (*FAULTS, *CONTENT_FAULTS)} == checks


def test_the_description_of_many_faults_is_bounded(restored: Worlds) -> None:
    """It names five faults and the number of the others."""
    restored.database["posts"].update_many({"world_id": WORLD}, {"$set": {"deleted_reason": "refused by moderation twice"}})
    found = asked(restored, "posts", "no_placeholder")
    assert f"{POSTS} wrong: " in found.description
    assert " and 1 more." in found.description
    assert found.description.count("is a placeholder") == 5
    assert found.metadata["wrong"].value == POSTS
