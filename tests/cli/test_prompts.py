"""``generia prompts``: every request of a world once, the same in every run, and answered by hand in rounds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from generia_assets.content.documents import Quality
from generia_assets.content.plan import plan
from tests.support.command import Command
from tests.support.worlds import a_request

RUSSIAN = "город, который чинит звёзды"
SMALL = ("--users", "2", "--posts", "4", "--seed", "3")


@pytest.fixture
def generia(tmp_path: Path) -> Command:
    return Command(tmp_path / "data")


def written(generia: Command, folder: Path, *options: str) -> dict[str, str]:
    """The requests that the command writes into this folder, by file name."""
    exit_code, _, err = generia.call("prompts", "--out", str(folder), *options)
    assert exit_code == 0, err
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("sentence", "users", "posts", "quality"),
    [("a city where dreams turn solid", 5, 12, "standard"), (RUSSIAN, 3, 6, "standard"), (RUSSIAN, 11, 31, "high")],
)
def test_every_request_is_made_once(generia: Command, tmp_path: Path, sentence: str, users: int, posts: int, quality: str) -> None:
    """The planned number of requests of each type, each with its own name, in any language; every task accepts the sample
    answers."""
    order = ("--users", str(users), "--posts", str(posts), "--seed", "7", "--prompt", sentence, "--quality", quality)
    names = [name.split(".")[1] for name in written(generia, tmp_path / "out", *order)]
    planned = plan(a_request(sentence, users, posts, seed=7, quality=Quality(quality))).llm_calls
    assert {name: names.count(name) for name in planned} == planned
    assert len(names) == sum(planned.values())


def test_two_runs_write_the_same_bytes(generia: Command, tmp_path: Path) -> None:
    """The same order gives the same files, also in a folder that contains those of another order."""
    first = written(generia, tmp_path / "one")
    written(generia, tmp_path / "two", *SMALL)
    assert written(generia, tmp_path / "two") == first


@pytest.mark.parametrize("template", ["post", "post_batch", "character", "character_batch", "world_images"])
@pytest.mark.slow
def test_a_changed_template_changes_only_the_requests_of_its_type(
    generia: Command, tmp_path: Path, content: Path, template: str
) -> None:
    """The diff of two versions shows only the effect of the change, and no effect of other answers."""
    before = written(generia, tmp_path / "before")
    file = content / "prompts" / f"{template}.j2"
    file.write_text(f"One more line.\n{file.read_text()}")
    after = written(generia, tmp_path / "after")
    assert before.keys() == after.keys()
    assert {name.split(".")[1] for name in before if before[name] != after[name]} == {template}


PERSON = r"<person-\w{8}>\nPerson \w+ \(@person_\w+\)"
IDEA = r"Number \d+ \(post \d+ of \d+; .+\): [^—]+ — .* Wish: .+"
LINES = {
    "character": (PERSON,),
    "character_batch": (r"Number \d+", r"tie_\d+: .*number \d+.*"),
    "post_batch": (PERSON, IDEA),
    "post": (
        PERSON,
        r"Post \d+ of \d+ of @person_\w+\.",
        r"When: .+",
        r"Wish: .+ \(.+\)",
        r"Form: [^—]+ — .+",
        r"Length: .+\.",
        r"Picture: [^—]+ — .+",
    ),
}
IN_SOME = {"post": (r"Replies to @person_\w+:\n<answered-\w{8}>", r"<heard-\w{8}>\n@person_\w+: .+", r"Names: @person_\w+")}


def test_every_request_has_the_lines_that_recorded_answers_are_found_by(generia: Command, tmp_path: Path) -> None:
    """Each request of a type has its required lines, and the optional lines if the draw needs them."""
    requests = written(generia, tmp_path / "out")
    for name, lines in LINES.items():
        of_type = [text for file, text in requests.items() if file.split(".")[1] == name]
        assert of_type
        assert [line for line in lines for text in of_type if not re.search(f"^{line}$|^{line}[:\n]", text, re.MULTILINE)] == []
        assert [
            line for line in IN_SOME.get(name, ()) if not any(re.search(f"^{line}", text, re.MULTILINE) for text in of_type)
        ] == []
    ideas = [text for file, text in requests.items() if ".post_batch." in file]
    asked = [re.search(r'"minItems": (\d+)', text.split("===== schema")[1]) for text in ideas]
    assert sum(len(re.findall(f"^{IDEA}$", text, re.MULTILINE)) for text in ideas) == sum(int(found[1]) for found in asked if found)


@pytest.mark.slow
def test_requests_can_be_answered_by_hand_in_rounds(generia: Command, tmp_path: Path) -> None:
    """Each round writes the unanswered requests whose context is answered, until all are; they are the same as in one run."""
    whole = written(generia, tmp_path / "whole", *SMALL)
    samples = answers_of(generia, tmp_path)
    folder, rounds = tmp_path / "answers", []
    folder.mkdir()
    while True:
        exit_code, out, _ = generia.call(
            "prompts", *SMALL, "--answers", str(folder), "--only-missing", "--out", str(tmp_path / "todo"), "--json"
        )
        todo = {path.name: path.read_text() for path in (tmp_path / "todo").iterdir()}
        result = json.loads(out)
        assert todo.items() <= whole.items()
        assert sorted(name.split(".", 1)[1].removesuffix(".txt") for name in todo) == sorted(result["missing"])
        if exit_code == 0:
            break
        rounds.append(set(result["missing"]))
        for name in result["missing"]:
            (folder / f"{name}.json").write_text(json.dumps(samples[name]))
    assert rounds[:3] == [
        {"world_description"},
        {"world_images", "character_batch.0"},
        {"character.@person_0_1", "character.@person_0_2"},
    ]
    assert (result["requests"], result["wrong"], result["unread"]) == (len(whole), {}, [])


def test_an_invalid_answer_is_listed_with_its_reason(generia: Command, tmp_path: Path) -> None:
    """The refusals of drafts and the complaints of tasks are listed, and the request is written with the complaint."""
    samples = answers_of(generia, tmp_path)
    batch = samples["character_batch.0"]
    twins = [{**one, "username": "same", "display_name": "Same"} for one in batch["people"]]
    wrong = {"world_images": {"header_prompt": "a city"}, "character_batch.0": {**batch, "people": twins}, "nobody": {}}
    folder = tmp_path / "answers"
    folder.mkdir()
    for name, answer in (samples | wrong).items():
        (folder / f"{name}.json").write_text(json.dumps(answer))
    exit_code, out, _ = generia.call("prompts", *SMALL, "--answers", str(folder), "--out", str(tmp_path / "todo"), "--json")
    result = json.loads(out)
    assert exit_code == 1
    assert result["missing"] == []
    assert "icon_prompt: Field required" in result["wrong"]["world_images"]
    assert "Same" in result["wrong"]["character_batch.0"]
    assert "nobody.json" in result["unread"]
    for name, reason in result["wrong"].items():
        (request,) = (tmp_path / "todo").glob(f"*.{name}.txt")
        assert (
            f"===== again =====\nYour last answer could not be used. Answer again in full, and mend this:\n- {reason}"
            in request.read_text()
        )


def answers_of(generia: Command, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Answers to all requests of the small world, by name."""
    page = tmp_path / "page.md"
    assert generia.call("prompts", *SMALL, "--as-page", str(page))[0] == 0
    found = {}
    for section in page.read_text().split("\n## ")[1:]:
        if "~~~~json\n" in section:
            title, _, rest = section.partition("\n")
            found[title.split(". ", 1)[1]] = json.loads(rest.split("~~~~json\n")[1].split("\n~~~~")[0])
    return found


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--out FOLDER"),
        (("--out", "x", "--only-missing"), "--only-missing needs --answers"),
        (("--out", "x", "--answers", "/nowhere"), "--answers /nowhere: there is no such folder"),
        (("--out", "x", "--seed", "-1"), "'-1' is not a whole number"),
    ],
)
def test_a_command_that_cannot_be_executed_is_refused(generia: Command, options: tuple[str, ...], said: str) -> None:
    """Exit status 2, with what to do."""
    exit_code, _, err = generia.call("prompts", *options)
    assert exit_code == 2
    assert said in " ".join(err.split())
