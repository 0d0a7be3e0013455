"""The documentation is correct: numbers, links, names of files and functions, errors, and the set-up."""

from __future__ import annotations

import ast
import builtins
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from generia_assets import reference
from generia_assets.cli.main import COMMANDS
from generia_assets.settings import Settings

ROOT = Path(__file__).parents[2]
PRODUCT = ("generia_assets", "resources", "sensors", "local_services")
CODE = (*PRODUCT, "emulators", "bench", "tests", "docker")
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
NAMING = [ROOT / "CONTRIBUTING.md", ROOT / "docs/architecture.md", *(ROOT / "docs/decisions").glob("*.md")]
"""The pages whose names of files and functions must exist."""
WRITTEN = [
    *(
        path
        for folder in (*CODE, "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".md", ".yaml", ".yml", ".j2", ".sh", ".html"}
    ),
    *(ROOT / name for name in ("README.md", ".env", "pyproject.toml", "Makefile")),
]
WORKFLOW = ROOT / ".github/workflows/ci.yml"
NUMBER = re.compile(r"(?<![\w-])R\d{1,2}(?![\w-])")
LINK = re.compile(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)")
FENCED = re.compile(r"^(```|~~~).*?^\1~*$", re.MULTILINE | re.DOTALL)


@pytest.mark.case("P26")
def test_every_requirement_number_is_defined() -> None:
    """docs/requirements.md defines each R-number of code, tests and pages, once and in order; README links to it."""
    defined = re.findall(r"^\| (R\d+) \|", (ROOT / "docs/requirements.md").read_text("utf-8"), flags=re.MULTILINE)
    assert defined == [f"R{number}" for number in range(1, len(defined) + 1)]
    used = {number: path for path in WRITTEN if path != Path(__file__) for number in NUMBER.findall(path.read_text("utf-8"))}
    assert {number: path for number, path in used.items() if number not in defined} == {}
    assert len(used) > 10
    assert "(docs/requirements.md)" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("what", ["Gemini", "Pictures", "Platform", "Kafka", "MongoDB", "Dagster"], ids=lambda what: f"P4 {what}")
def test_the_readme_names_the_fakes(what: str) -> None:
    """README has a line for each service: the real one, the fake, and how to connect the real one."""
    (row,) = re.findall(rf"^\| \*\*{what}\*\* \|(.+)\|$", (ROOT / "README.md").read_text("utf-8"), flags=re.MULTILINE)
    assert len(row.split("|")) == 3
    if what in ("Gemini", "Pictures", "Platform"):
        assert "a fake" in row


def test_the_readme_is_short_and_two_commands_set_everything_up() -> None:
    """README has at most 150 lines, and the commands in it are ``make demo`` and ``make test``, which the Makefile has."""
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(readme.splitlines()) <= 150
    lines = "".join(re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)).splitlines()
    commands = [line.split("#")[0].strip() for line in lines]
    assert commands == ["make demo", "make test"]
    assert set(re.findall(r"^(demo|test):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)) == {"demo", "test"}


@pytest.mark.case("P4")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    """A relative link leads to a file of the repository, and its anchor to a heading there."""
    dead = [
        f"{path}#{anchor}"
        for path, anchor in LINK.findall(FENCED.sub("", page.read_text("utf-8")))
        if not (target := page.parent / path if path else page).exists() or (anchor and anchor not in anchors(target))
    ]
    assert dead == []


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as on GitHub."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", NAMING, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_and_function_that_a_page_names_exists(page: Path) -> None:
    """A path in backticks exists; ``name()`` and ``Class.name()`` after it are defined in one of the files of that line."""
    missing = []
    for line in FENCED.sub("", page.read_text("utf-8")).splitlines():
        quoted = re.findall(r"`([^`\s]+)`", line)
        paths = [ROOT / token for token in quoted if "/" in token and token.split("/")[0] in (*CODE, "docs", ".ci", ".github")]
        missing += [str(path.relative_to(ROOT)) for path in paths if "*" not in path.name and not path.exists()]
        defined = {name for path in paths if path.suffix == ".py" and path.exists() for name in names_in(path)}
        missing += [token for token in quoted if re.fullmatch(r"[A-Za-z_][\w.]*\(\)", token) and token[:-2] not in defined]
    assert missing == []


def names_in(path: Path) -> Iterator[str]:
    """The functions, classes and methods that a module defines, methods with their class."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            members = [member for member in node.body if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)]
            yield from (f"{node.name}.{member.name}" for member in members)


def test_every_page_that_the_code_names_exists() -> None:
    """Each page of docs/ in code, templates or settings exists."""
    named = {(path, page) for path in WRITTEN for page in re.findall(r"(?<![\w/])docs/[\w/-]+\.\w+", path.read_text("utf-8"))}
    assert len(named) > 10
    assert [(str(path.relative_to(ROOT)), page) for path, page in sorted(named) if not (ROOT / page).exists()] == []


@pytest.mark.parametrize(
    "page", [".env", *(pytest.param(page, marks=pytest.mark.slow if "commands" in page else ()) for page in reference.PAGES)]
)
def test_generated_documentation_matches_the_code(page: str) -> None:
    """Settings, commands and client snippets in .env and pages match the code; otherwise run ``make reference``."""
    written = (ROOT / page).read_text("utf-8")
    assert written == (reference.env_file() if page == ".env" else reference.page(written)), "run make reference"


def test_the_reference_has_every_setting_and_every_command() -> None:
    """docs/settings.md has a row for each setting, docs/commands.md a section for each command."""
    settings = re.findall(r"^\| `([A-Z_0-9]+)` \|", (ROOT / "docs/settings.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(settings) == sorted(name.upper() for name in Settings.model_fields)
    commands = re.findall(r"^### ([a-z-]+)$", (ROOT / "docs/commands.md").read_text("utf-8"), re.MULTILINE)
    assert commands == list(COMMANDS)


@pytest.mark.slow
def test_the_tree_of_errors_matches_the_code() -> None:
    """docs/errors.md has every exception of the product, below its base class, with what to do."""
    listed: dict[str, str] = {}
    above: list[str] = []
    for line in (ROOT / "docs/errors.md").read_text("utf-8").splitlines():
        if found := re.fullmatch(r"( *)- `(\w+)`(?: \((\w+)\))?: .+ → .+", line):
            depth = len(found[1]) // 2
            above[depth:] = [found[2]]
            listed[found[2]] = found[3] or above[depth - 1]
    assert listed.items() ^ set(errors_of_the_code()) == set()


def errors_of_the_code() -> Iterator[tuple[str, str]]:
    """Each exception class of the product with its base class."""
    files = [path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py")]
    classes = [node for path in files for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ClassDef)]
    bases = {node.name: [ast.unparse(base).split(".")[-1] for base in node.bases] for node in classes}
    known = {name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)}
    known.add("KafkaError")  # kafka-python's
    while more := {name for name, above in bases.items() if name not in known and known.intersection(above)}:
        known |= more
        for name in more:
            yield name, next(base for base in bases[name] if base in known)


def test_the_ci_workflow_is_valid_and_runs_what_ci_runs() -> None:
    """.github/workflows/ci.yml fits GitHub's schema and runs .ci/run."""
    command = [
        str(Path(sys.executable).with_name("check-jsonschema")),
        "--builtin-schema",
        "vendor.github-workflows",
        str(WORKFLOW),
    ]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout
    assert re.search(r"^ +\.ci/run$", WORKFLOW.read_text("utf-8"), re.MULTILINE)


def test_pre_commit_runs_the_tools_of_the_environment() -> None:
    """Every hook is local and starts a tool of .venv: no network, and the locked versions."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert {Path(hook["entry"].split()[0]).name for hook in hooks} == {"ruff", "mypy", "lint-imports"}
    assert all(hook["entry"].startswith(".venv/bin/") and hook["language"] == "system" for hook in hooks)
