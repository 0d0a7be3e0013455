"""P4, P26: what a reader of the repository is told: each number is defined, and what is a stand-in is called one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "docs" / "requirements.md"
WRITTEN = [
    path
    for folder in ("generia_assets", "resources", "sensors", "emulators", "bench", "tests", "docs", "docker")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".md", ".yaml", ".yml", ".j2", ".sh", ".html"}
] + [ROOT / name for name in ("README.md", ".env", "pyproject.toml", "Makefile")]
NUMBER = re.compile(r"(?<![\w-])R\d{1,2}(?![\w-])")


@pytest.mark.case("P26")
def test_every_number_of_a_requirement_is_defined() -> None:
    """Each R-number in code, tests and pages is one that docs/requirements.md defines, once and in order; README links to it."""
    defined = re.findall(r"^\| (R\d+) \|", REQUIREMENTS.read_text(), flags=re.MULTILINE)
    assert defined == [f"R{number}" for number in range(1, len(defined) + 1)]
    used = {number: path for path in WRITTEN if path != Path(__file__) for number in NUMBER.findall(path.read_text("utf-8"))}
    assert {number: path for number, path in used.items() if number not in defined} == {}
    assert len(used) > 10
    assert "(docs/requirements.md)" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("what", ["Gemini", "Pictures", "Platform", "Kafka", "MongoDB", "Dagster"], ids=lambda what: f"P4 {what}")
def test_the_readme_says_what_is_a_stand_in(what: str) -> None:
    """Near its top README has a line for each part of the outside: what is real, what stands in, how to connect the real one."""
    beginning = (ROOT / "README.md").read_text()[:6_000]
    (row,) = re.findall(rf"^\| \*\*{what}\*\* \|(.+)\|$", beginning, flags=re.MULTILINE)
    assert len(row.split("|")) == 3
    if what in ("Pictures", "Platform"):
        assert "stand-in" in row


@pytest.mark.case("P4")
def test_every_link_of_the_pages_leads_somewhere() -> None:
    """A relative link in README or docs/ leads to a file of the repository."""
    broken = [
        (page.name, link)
        for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / link).exists()
    ]
    assert broken == []
