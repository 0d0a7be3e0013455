"""Worlds with pictures of the Gemini provider, made with the emulator: one face for every person, and faults."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulators.gemini.client import EmulatorControl
from generia_assets.catalog import ASSETS, pictures_of
from generia_assets.durable.collections import HISTORY
from resources.pictures import as_jpeg, picture
from tests.support.worlds_in_process import Worlds

SETTINGS = {"image_provider": "gemini", "image_model": "gemini-3.1-flash-lite-image"}
WITH_CHECKS = True


@pytest.fixture(autouse=True)
def undisturbed(gemini_process: str) -> Iterator[None]:
    """The emulator without faults, and without the requests of other tests."""
    EmulatorControl(gemini_process).reset()
    yield
    EmulatorControl(gemini_process).reset()


def requests_of(gemini: str) -> list[Any]:
    """The bodies of the requests for pictures, in the order of their arrival."""
    with EmulatorControl(gemini) as control:
        return [one.body for one in control.requests(1000, contains='"responseModalities"') if one.outcome == "ok"]


def test_each_person_has_one_face_in_all_pictures(worlds: Worlds, gemini_process: str) -> None:
    """The request of each picture with a person contains their avatar and name; all pictures decode. The world's cost of pictures
    is the sum of its calls, and near the usual price of each; nothing stays reserved.
    """
    world, made = worlds.make(users=3, posts=12)
    assert made.success, made.failure
    root = worlds.settings.media_dir.parent
    avatars = {one.key: as_jpeg((root / one.avatar.url).read_bytes()) for one in worlds.documents("character_avatars", world)}
    posts = {one.key: one for one in worlds.documents("posts", world)}
    assert len(avatars) == 3
    assert any(post.pictured for post in posts.values())
    sent = {body["contents"][0]["parts"][-1]["text"]: body["contents"][0]["parts"][:-1] for body in requests_of(gemini_process)}
    for made_of in worlds.documents("post_images", world):
        post = posts[made_of.key]
        prompt = next(text for text in sent if text.startswith(made_of.image.prompt))
        given = [base64.urlsafe_b64decode(part["inlineData"]["data"]) for part in sent[prompt]]
        assert given == [avatars[key] for key in post.pictured], post.key
        assert ("The author is the person in the first picture." in prompt) is bool(post.pictured)
        assert ("The friend is the person in the second picture." in prompt) is (len(post.pictured) == 2)
    for asset in ASSETS.values():
        if asset.pictures:
            for document in worlds.documents(asset.name, world):
                for slot, media in pictures_of(document):
                    with picture(root / media.url) as found:
                        found.load()
                        assert found.size == (media.width, media.height)
                    assert media.width / media.height == pytest.approx(slot.size[0] / slot.size[1], rel=0.1)
    named = ("world_pictures", "avatar_pictures", "post_pictures")
    assert [made.checks[name].passed for name in named] == [True] * 3
    status = worlds.status(world)
    calls = list(worlds.database[HISTORY].find({"world_id": world, "api_type": "image_generation"}))
    assert status.image_cost_total == pytest.approx(sum(call["cost_usd"] for call in calls))
    assert status.image_cost_total == pytest.approx(0.0338 * len(calls), rel=0.02)
    assert worlds.raw_status(world)["cost_reserved_usd"] == pytest.approx(0)


def test_a_neutral_avatar_is_not_sent_as_a_reference(worlds: Worlds, gemini_process: str) -> None:
    """If moderation refuses every avatar, the pictures of posts are made without reference pictures."""
    with EmulatorControl(gemini_process) as control:
        control.set_faults(answer_blocked=1, finish_reasons=["IMAGE_SAFETY"], only_matching="Square profile picture")
        world, made = worlds.make(users=2, posts=6)
        sent = [body for body in requests_of(gemini_process) if len(body["contents"][0]["parts"]) > 1]
    assert made.success, made.failure
    avatars = worlds.documents("character_avatars", world)
    assert [one.avatar.moderation for one in avatars] == ["refused by moderation: IMAGE_SAFETY"] * 2
    assert any(post.pictured for post in worlds.documents("posts", world))
    assert sent == []


def test_unusable_pictures_fail_no_post(worlds: Worlds, gemini_process: str) -> None:
    """A tenth of the pictures is refused, missing, cut, damaged, or a text: each is requested again or replaced by a milder one."""
    with EmulatorControl(gemini_process) as control:
        rates = dict.fromkeys(("text_only", "two_pictures", "cut_picture", "damaged_base64", "wrong_mime", "stopped"), 0.03)
        control.set_faults(
            **rates,
            answer_blocked=0.03,
            finish_reasons=["IMAGE_SAFETY"],
            stop_reasons=["NO_IMAGE"],
            only_matching='"IMAGE"',
            seed=5,
        )
        world, made = worlds.make(users=3, posts=9)
    assert made.success, made.failure
    status = worlds.status(world)
    assert (status.posts_created, status.tasks_failed) == (9, 0)
    outcomes = Counter(one["outcome"] for one in worlds.database[HISTORY].find({"world_id": world, "api_type": "image_generation"}))
    assert outcomes["invalid"] + outcomes["refused"] > 0
    assert list(Path(worlds.settings.pending_dir).rglob("*.*")) == []
