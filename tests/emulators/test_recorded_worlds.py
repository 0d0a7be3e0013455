"""The two recorded worlds: every request of their orders has an answer that fits, and the page of docs/ shows one of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from generia_assets.cli.main import app

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "emulators/gemini/recorded"
NAMES = sorted(path.name for path in RECORDED.iterdir() if path.is_dir())


def prompts(name: str, *more: str) -> str:
    """The output of ``generia prompts`` for this recording."""
    order = json.loads((RECORDED / name / "order.json").read_text("utf-8"))
    options = [f"--{key}={order[key]}" for key in ("prompt", "users", "posts", "seed")]
    done = CliRunner().invoke(app, ["prompts", *options, f"--answers={RECORDED / name}", *more])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_world_fits_its_requests(name: str, tmp_path: Path) -> None:
    """Each request of the order has a recorded answer that its task accepts, and no answer is left over. If this fails after a
    change of the draws, docs/prompts.md describes how to record a world.
    """
    said = json.loads(prompts(name, f"--out={tmp_path}", "--json"))
    assert (said["missing"], said["wrong"], said["unread"]) == ([], {}, [])
    assert said["code"] == json.loads((RECORDED / name / "order.json").read_text("utf-8"))["code"]


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_post_has_the_requested_length(name: str, tmp_path: Path) -> None:
    """A recorded post has hardly more words than its request allows, the @names not counted: it was written for this slot."""
    prompts(name, f"--out={tmp_path}")
    for path in tmp_path.glob("*.post.@*.txt"):
        position = path.stem.split(".", 1)[1]
        (most,) = re.findall(r"^Length: .*?\d+ to (\d+) words", path.read_text("utf-8"), re.MULTILINE)
        content = json.loads((RECORDED / name / f"{position}.json").read_text("utf-8"))["content"]
        assert len(re.findall(r"(?<![\w@])\w[\w'.:-]*", content)) <= 1.1 * int(most), position


def test_the_page_of_a_world_is_current(tmp_path: Path) -> None:
    """docs/a-world.md is what ``make world-page`` writes."""
    page = tmp_path / "a-world.md"
    prompts("morrowby", f"--as-page={page}")
    assert page.read_text("utf-8") == (ROOT / "docs/a-world.md").read_text("utf-8"), "run `make world-page`"
