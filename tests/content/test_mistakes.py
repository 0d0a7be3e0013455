"""P3: a mistake in a template or a data file is found, with its file and line, before any call."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

from generia_assets.content import check, prompt, rendering
from generia_assets.content.yaml_files import ContentError
from tests.support.command import Command
from tests.support.worlds_in_process import PROMPT, worlds_in_process

AXIS = "  - {name: mood, values: [calm, cross]}\n"
IN_TAGS = re.compile(r"{[{%].*?[%}]}", re.DOTALL)


def spoil(file: Path, old: str, new: str) -> int:
    """Replace the first ``old`` in the file; the line where it stood."""
    text = file.read_text()
    before, found, after = text.partition(old)
    assert found
    file.write_text(before + new + after)
    return before.count("\n") + 1


def found_in(content: Path) -> list[str]:
    del content
    with pytest.raises(ContentError) as raised:
        check.require_good_content()
    return str(raised.value).splitlines()


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        pytest.param(
            "content/prompts/post.j2", "slot.moment", "slott.moment", "'slott' is undefined; given are .*slot", id="P3 name"
        ),
        pytest.param(
            "content/prompts/post.j2", "slot.moment", "brief.momment", "PostBrief has no 'momment'; .*moment", id="P3 attribute"
        ),
        pytest.param(
            "content/prompts/post_batch.j2", "slot.event", "slot.evant", "Slot has no 'evant'; it has .*event", id="P3 dataclass"
        ),
        pytest.param(
            "content/prompts/_person.j2", "character.bio", "charakter.bio", "'charakter' is undefined", id="P3 included file"
        ),
        pytest.param("content/prompts/world.j2", "{% endif %}", "{% endiff %}", "unknown tag 'endiff'", id="P3 syntax"),
        pytest.param(
            "content/prompts/picture.j2", "scene | sentence", "scene | sentense", "No filter named 'sentense'", id="P3 filter"
        ),
        pytest.param(
            "content/prompts/complaints.j2", "reason | cut(200)", "reason | cut", "TypeError: cut", id="P3 filter's argument"
        ),
        pytest.param(
            "content/prompts/post.j2", '"_person.j2"', '"_persons.j2"', "no such template; there are .*_person", id="P3 include"
        ),
        pytest.param(
            "content/prompts/character.j2",
            "{% if softened %}",
            "{% if axes | length > 99 %}{{ brieff }}{% endif %}{% if softened %}",
            "'brieff' is undefined",
            id="P3 a branch that no sample takes",
        ),
        pytest.param("content/data/axes.yaml", "axes:", "axis:", "axis: no such key; allowed: ages, axes", id="P3 wrong key"),
        pytest.param(
            "content/data/posts.yaml", "how: ", "hwo: ", r"forms.0.hwo: no such key; allowed: name, how", id="P3 nested key"
        ),
        pytest.param(
            "content/data/relations.yaml", "between:\n", "between: []\nx:\n", "between: .*at least 1 item", id="P3 empty list"
        ),
        pytest.param(
            "content/data/languages.yaml", "script: Cyrillic", "script: Cyrilic", "Cyrilic.*'Latin', 'Cyrillic'", id="P3 choice"
        ),
        pytest.param("content/data/axes.yaml", "axes:\n", f"axes:\n{AXIS}{AXIS}", "more than once: mood", id="P3 name twice"),
        pytest.param("content/data/posts.yaml", "forms:\n", "forms:\n - ]\n", "is not YAML: ", id="P3 YAML"),
        pytest.param(
            "content/data/banlist/any.yaml", "jobs: []", "jobs: [no]", "jobs.0=False: .*valid string", id="P3 YAML's own words"
        ),
        pytest.param(
            "content/data/banlist/any.yaml", "jobs: []", "jobs: ['']", "jobs.0='': .*at least 1 character", id="P3 empty entry"
        ),
        pytest.param("content/data/banlist/any.yaml", "jobs: []", "jobs: ['*']", "jobs.0='.'.* match", id="P3 matches everything"),
        pytest.param("content/data/banlist/any.yaml", "jobs: []", "names: []", "'names' is there already", id="P3 key twice"),
    ],
)
def test_a_mistake_is_reported_with_file_and_line(content: Path, file: str, old: str, new: str, said: str) -> None:
    """For each kind of mistake the check names the file, the line, the mistake and what is allowed."""
    line = spoil(content.parent / file, old, new)
    found = found_in(content)
    assert [one for one in found if re.fullmatch(rf"{file}, line ({line}|{line + 1}): .*({said}).*", one)], found


@pytest.mark.case("P3")
@pytest.mark.slow
def test_every_name_and_attribute_of_every_template_is_checked(content: Path) -> None:
    """The samples reach every line of every branch: a misspelt attribute is found, with its line."""
    missed = []
    assert check.mistakes() == []
    compiled = rendering.environment().cache
    assert compiled is not None
    beginnings = [value for value in vars(prompt).values() if hasattr(value, "cache_clear")]

    def write(file: Path, text: str) -> None:
        file.write_text(text)
        for key in [key for key in compiled if key[1] == file.name]:  # the others need not be compiled again
            del compiled[key]
        for beginning in beginnings:
            beginning.cache_clear()

    for file in sorted((content / "prompts").glob("*.j2")):
        text, template = file.read_text(), file.name
        dots = [(tag.start() + dot.start(), dot[0]) for tag in IN_TAGS.finditer(text) for dot in re.finditer(r"\.[a-z_]+", tag[0])]
        places = {(text.count("\n", 0, place), name if template.startswith("_") else ""): place for place, name in dots}.values()
        for place in places:
            write(file, f"{text[: place + 1]}nope_{text[place + 1 :]}")
            line = text[:place].count("\n") + 1
            found = check._in_templates()  # only up to the mistake
            if not any(one.file == f"content/prompts/{template}" and one.line and abs(one.line - line) <= 1 for one in found):
                missed.append((template, line, text[place - 10 : place + 15]))
        write(file, text)
    assert missed == []


@pytest.mark.case("P3")
@pytest.mark.slow
def test_content_is_checked_again_only_after_a_change(content: Path) -> None:
    """A process that is forked from a checked one does not check again, unless files were edited meanwhile."""
    check.require_good_content()
    first = rendering.environment()
    check.require_good_content()
    assert rendering.environment() is first
    spoil(content / "prompts" / "world.j2", "world.theme", "world.them")
    assert len(found_in(content)) == 1
    spoil(content / "prompts" / "world.j2", "world.them", "world.theme")
    check.require_good_content()


@pytest.mark.case("P3")
@pytest.mark.servers
def test_check_reports_every_mistake_and_demo_does_not_start(
    content: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` and `doctor` report each mistake with exit status 1; `demo`, `dev` and the code location do not start with one."""
    generia = Command(tmp_path / "data", {"MONGODB_URI": "mongodb://127.0.0.1:9/", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"})
    exit_code, out, _ = generia.call("check")
    assert (exit_code, "no mistake" in out) == (0, True)
    spoil(content / "prompts" / "post.j2", "slot.moment", "slott.moment")
    line = spoil(content / "prompts" / "character.j2", "brief.one_line", "brief.line")
    exit_code, out, err = generia.call("check", "--json")
    found = [json.loads(one) for one in out.splitlines()]
    assert (exit_code, err, len(found)) == (1, "", 2)
    assert ("content/prompts/character.j2", line) in [(one["file"], one["line"]) for one in found]
    for command in ("demo", "dev"):
        exit_code, out, err = generia.call(command)
        assert (exit_code, out) == (2, "")
        assert err.count("content/prompts/") == 2
    assert not (tmp_path / "data").exists()
    exit_code, out, _ = generia.call("doctor", "--json")
    assert exit_code == 1
    assert sum(one["part"] == "templates" for one in map(json.loads, out.splitlines())) == 2
    monkeypatch.delitem(sys.modules, "generia_assets.definitions", raising=False)
    with pytest.raises(ContentError):
        importlib.import_module("generia_assets.definitions")


@pytest.mark.case("P3")
def test_a_run_does_not_start_with_a_template_that_was_damaged_meanwhile(
    content: Path, tmp_path: Path, mongodb_uri: str, broker: str, gemini: str
) -> None:
    """Templates that were edited while the generator runs are checked at the start of a run: it makes no call, and after the repair
    the world is made."""
    with worlds_in_process(tmp_path, mongodb_uri=mongodb_uri, broker=broker, gemini=gemini) as worlds:
        line = spoil(content / "prompts" / "post.j2", "slot.moment", "slott.moment")
        world, made = worlds.make(users=1, posts=1)
        assert not made.success
        assert f"content/prompts/post.j2, line {line}: 'slott' is undefined" in made.failure
        assert worlds.calls == 0
        spoil(content / "prompts" / "post.j2", "slott.moment", "slot.moment")
        assert worlds.run(world, form={"prompt": PROMPT, "users": 1, "posts": 1}).success
