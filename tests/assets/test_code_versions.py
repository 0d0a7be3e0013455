"""Code versions: each asset's version depends on exactly the templates and data of its requests."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
from jinja2.meta import find_referenced_templates

from generia_assets.assets.definition import code_version
from generia_assets.catalog import ASSETS
from generia_assets.content import rendering, yaml_files
from generia_assets.content.documents import Post, Quality
from generia_assets.content.names import CharacterIndex
from generia_assets.content.similarity import Ideas
from generia_assets.tasks.generate_character import generate_character
from generia_assets.tasks.generate_character_avatar import generate_character_avatar
from generia_assets.tasks.generate_character_batch import PreviousCharacter, generate_character_batch
from generia_assets.tasks.generate_post import generate_post
from generia_assets.tasks.generate_post_batch import generate_post_batch
from generia_assets.tasks.generate_post_image import generate_post_image
from generia_assets.tasks.generate_world_description import generate_world_description
from generia_assets.tasks.generate_world_image import generate_world_image
from generia_assets.tasks.init_world_creation import init_world_creation
from generia_assets.tasks.task_definition import BatchParameters, TaskParameters
from tests.support.answers import character_answer, ideas_answer, people_answer, post_answer
from tests.support.fake_clients import a_bench, refused
from tests.support.worlds import RUSSIAN, a_brief, a_character, a_post_brief, a_request, a_world, acquaintances_of, world_answer
from tests.tasks.test_worlds import an_order

CONTENT = yaml_files.FOLDER.parent
REQUEST, HIGH, DESCRIBED = a_request(), a_request(quality=Quality.HIGH), a_world()
BRIEF, PERSON, KNOWN = a_brief(3, REQUEST), a_character(3, REQUEST), acquaintances_of(3, REQUEST, DESCRIBED)
IDEA = a_post_brief(0, PERSON)
"""Made before anything is recorded: what tasks are given is not what they read."""
WORLD, THIRD, POST = TaskParameters(key="world"), TaskParameters(key="c0003"), TaskParameters(key="c0003-p0000")


async def the_request() -> None:
    await init_world_creation(an_order(), a_bench().clients)


async def the_description() -> None:
    """Refused, in the wrong language, then right."""
    bench = a_bench(refused(), world_answer("English"), world_answer("Russian"))
    await generate_world_description(WORLD, bench.clients, a_request(RUSSIAN))


async def its_pictures() -> None:
    bench = a_bench({"header_prompt": "A market", "icon_prompt": "A wedge"}, refused_pictures=1)
    await generate_world_image(WORLD, bench.clients, HIGH, DESCRIBED)


async def concepts() -> None:
    """A batch with too few people, one that was refused twice, and a regenerated character that is too similar."""
    ten = BatchParameters(key="b001", first=10, count=10)
    bench = a_bench(people_answer(range(1, 9)), people_answer([9, 10], name="Stair"))
    await generate_character_batch(ten, bench.clients, REQUEST, DESCRIBED, CharacterIndex())
    bench = a_bench(refused(), refused(), people_answer(range(1, 11)))
    await generate_character_batch(ten, bench.clients, REQUEST, DESCRIBED, CharacterIndex())
    former = PreviousCharacter(BRIEF, (), KNOWN)
    said: dict[str, Any] = {"obvious": "a keeper", "one_line": "sells shade"}
    bench = a_bench(said | {"concept": former.brief.concept}, said | {"concept": "Sells shade by the hour and sues the noon."})
    one = BatchParameters(key="c0003", first=3, count=1)
    await generate_character_batch(one, bench.clients, REQUEST, DESCRIBED, CharacterIndex(), former)


async def a_person() -> None:
    """Refused; then short of relations."""
    for bench in (a_bench(refused(), character_answer(len(KNOWN))), a_bench(character_answer(1), character_answer(len(KNOWN)))):
        await generate_character(THIRD, bench.clients, REQUEST, DESCRIBED, BRIEF, KNOWN)


async def an_avatar() -> None:
    bench = a_bench({"image_prompt": "Low"}, refused_pictures=1)
    await generate_character_avatar(THIRD, bench.clients, HIGH, DESCRIBED, PERSON)


async def ideas() -> None:
    """A batch that was short."""
    bench = a_bench(ideas_answer([1, 2, 4]), ideas_answer([3, 5, 6]))
    six = BatchParameters(key="c0003-b000", first=0, count=6)
    await generate_post_batch(six, bench.clients, REQUEST, DESCRIBED, PERSON, KNOWN, Ideas())


async def posts() -> None:
    """One written, one that is a placeholder."""
    for bench in (a_bench(post_answer()), a_bench(refused(), refused())):
        await generate_post(POST, bench.clients, REQUEST, DESCRIBED, PERSON, IDEA, KNOWN, ())


async def at_once() -> None:
    """A turn that is there at once."""


async def a_post_s_picture() -> None:
    words = dict.fromkeys(("content", "image_prompt", "image_style", "mood", "context", "location", "time_of_day"), "a cart uphill")
    idea = IDEA.model_dump(include={"key", "character", "username", "order", "moment"})
    post = Post.model_validate({**idea, **words, "character_id": PERSON.character_id, "hashtags": (), "mentions": ()})
    bench = a_bench({"image_prompt": "Low"}, refused_pictures=1)
    await generate_post_image(POST, bench.clients, HIGH, DESCRIBED, PERSON, post, at_once)


MAKE: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
    "world_request": the_request,
    "world_description": the_description,
    "world_images": its_pictures,
    "character_briefs": concepts,
    "characters": a_person,
    "character_avatars": an_avatar,
    "post_briefs": ideas,
    "posts": posts,
    "post_images": a_post_s_picture,
}


def declared(asset: str, kind: str) -> set[Path]:
    return {path for pattern in ASSETS[asset].content_files if pattern.startswith(kind) for path in CONTENT.glob(pattern)}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[Path]]:
    """The templates and data files that are read from now on; the caches are cleared first."""
    found, load = set[Path](), yaml_files.read

    class Recording(jinja2.FileSystemLoader):
        def get_source(self, environment: jinja2.Environment, template: str) -> Any:
            found.add(rendering.FOLDER / template)
            return super().get_source(environment, template)

    def recorded(path: Path, shape: Any) -> Any:
        found.add(path)
        return load(path, shape)

    def forget() -> None:
        for name, module in list(sys.modules.items()):
            if name.startswith("generia_assets.content"):
                for remembered in vars(module).values():
                    getattr(remembered, "cache_clear", lambda: None)()

    forget()
    monkeypatch.setattr(yaml_files, "read", recorded)
    monkeypatch.setattr(rendering.environment(), "loader", Recording(rendering.FOLDER))
    yield found
    forget()


@pytest.mark.parametrize("asset", ASSETS)
async def test_an_asset_s_code_version_is_made_of_what_its_task_reads(asset: str, read: set[Path]) -> None:
    """The asset declares exactly the templates that its task renders, and every data file that it reads."""
    await MAKE[asset]()
    templates = {path for path in read if path.suffix == ".j2"}
    assert templates == declared(asset, "prompts/")
    assert read - templates <= declared(asset, "data/")


def test_every_template_and_data_file_is_in_a_code_version() -> None:
    """Each template and data file belongs to an asset, with its includes, and each pattern matches a file."""
    for kind in ("prompts/", "data/"):
        files = {path for path in (CONTENT / kind).rglob("*") if path.suffix in {".j2", ".yaml"}}
        assert files == {path for asset in ASSETS for path in declared(asset, kind)}
    assert all(any(CONTENT.glob(pattern)) for asset in ASSETS.values() for pattern in asset.content_files)
    for asset in ASSETS:
        for path in declared(asset, "prompts/"):
            included = find_referenced_templates(rendering.environment().parse(path.read_text()))
            assert {rendering.FOLDER / str(name) for name in included} <= declared(asset, "prompts/")


@pytest.mark.parametrize(
    ("changed", "assets"),
    [
        ("prompts/post.j2", {"posts"}),
        ("prompts/_person.j2", {"post_briefs", "posts"}),
        ("prompts/refine_picture.j2", {"character_avatars", "post_images"}),
        ("data/banlist/any.yaml", set(ASSETS) - {"world_request"}),
    ],
)
def test_a_changed_file_changes_only_the_code_versions_of_assets_that_use_it(
    changed: str, assets: set[str], tmp_path: Path
) -> None:
    """One more line in a template or a list changes the versions of these assets, and no other version."""
    folder = tmp_path / "content"
    shutil.copytree(CONTENT, folder)
    with (folder / changed).open("a") as file:
        file.write("# one more line\n")
    assert {name for name in ASSETS if code_version(name, folder) != code_version(name)} == assets
