"""The reference that is generated from the code: ``make reference`` writes ``.env`` and the marked blocks of pages.

Here: settings (from their models), commands (from their definitions), and client snippets (files). A block begins with
``<!-- make reference: NAME -->`` and ends with ``<!-- end -->``. Not here: the JSON Schemas of messages (schemas.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperArgument, TyperGroup

from generia_assets.cli.guard import EXIT_STATUSES
from generia_assets.cli.main import GROUPS, load
from generia_assets.settings import SECRETS, Settings
from resources.kafka.settings import DEFAULT_KAFKA
from resources.settings import DEFAULT_MONGODB_URI

if TYPE_CHECKING:
    from typer._click.core import Command

ROOT = Path(__file__).parent.parent
PAGES = ("docs/settings.md", "docs/commands.md", "docs/events.md")
"""Pages with generated blocks."""

STARTED = {"MONGODB_URI": DEFAULT_MONGODB_URI, "KAFKA_BOOTSTRAP_SERVERS": DEFAULT_KAFKA}
"""Addresses that stay empty in ``.env``: an address that is set is one for which `make dev` starts no server."""

_BLOCK = re.compile(r"(?<=<!-- make reference: )(\S+) -->\n.*?(?=<!-- end -->)", re.DOTALL)
_PAGE = re.compile(r"\bdocs/([\w-]+)\.(md|py)(#[\w-]+)?")
_HEAD = """\
# Every setting of the generator, with its default. `make reference` writes this file from the settings' models.
# Secrets come from the environment alone; they are refused here.
# The form NAME=${NAME:-default} lets a variable of the environment win over this file everywhere (plain `dagster dev` would
# otherwise let the file win). To change a setting for this checkout, change what stands after ":-".
# Empty means "not set". A wrong value is refused at the start with its name, its value and what is allowed.

# --- Dagster ---
# Folder of Dagster's own storage. Empty: `make dev` uses .generia/dagster, plain `dagster dev` a temporary folder
DAGSTER_HOME=${DAGSTER_HOME:-}
"""


def env_file() -> str:
    """The text of ``.env``: each setting that is no secret."""
    lines = [_HEAD]
    for title, fields in _sections():
        lines.append(f"# --- {title} ---")
        for name, about, default, allowed in fields:
            if name not in SECRETS:
                hints = [f"Allowed: {allowed}"] if allowed else []
                hints += [f"Default {default}"] if name in STARTED else []
                lines += [
                    f"# {line}" for line in wrap(". ".join((about[0].upper() + about[1:], *hints)), 130, break_on_hyphens=False)
                ]
                lines.append(f"{name}=${{{name}:-{'' if name in STARTED else default}}}")
        lines.append("")
    return "\n".join(lines)


def settings_tables() -> str:
    parts = []
    for title, fields in _sections():
        parts += [f"\n## {title}\n", "| Variable | Default | Meaning |", "|---|---|---|"]
        for name, about, default, allowed in fields:
            hints = [f"Allowed: {allowed}"] if allowed else []
            hints += ["A secret: from the environment only"] if name in SECRETS else []
            parts.append(_row(f"`{name}`", f"`{default}`" if default else "", ". ".join((linked(about), *hints))))
    return "\n".join(parts) + "\n\n"


def _sections() -> Iterator[tuple[str, list[tuple[str, str, str, str]]]]:
    """The settings by section: name, description, default, allowed values."""
    properties = Settings.model_json_schema()["properties"]
    for section in Settings.__bases__[:-1]:
        fields: dict[str, Any] = section.model_fields  # type: ignore[attr-defined]
        yield (
            str(section.__doc__).partition(".")[0],
            [
                (name.upper(), field.description, STARTED.get(name.upper()) or _plain(field.default), _allowed(properties[name]))
                for name, field in fields.items()
            ],
        )


def _plain(default: object) -> str:
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(int(default))
    return f"{default:g}" if isinstance(default, float) else str(getattr(default, "value", default)).strip("*")


def _allowed(schema: dict[str, Any]) -> str:
    schema = schema.get("anyOf", [schema])[0]
    if "enum" in schema:
        return ", ".join(filter(None, schema["enum"]))
    least, above, most = (schema.get(key) for key in ("minimum", "exclusiveMinimum", "maximum"))
    if above is not None:
        return f"above {above:g}" + (f", at most {most:g}" if most is not None else "")
    if least is not None:
        return f"{least:g} to {most:g}" if most is not None else f"{least:g} or more"
    return ""


def linked(text: str) -> str:
    """The text with a link for each page of docs/ that it names."""
    return _PAGE.sub(lambda found: f"[{found[1].replace('_', ' ')}]({found[1]}.{found[2]}{found[3] or ''})", text)


def commands() -> str:
    """Each command: what it does, examples, arguments and options."""
    parts = []
    for title, entries in GROUPS.items():
        parts.append(f"\n## {title}\n")
        for name in entries:
            parts += _command(load(name), name)
    return "\n".join(parts) + "\n"


def _command(command: Command, name: str) -> Iterator[str]:
    yield f"### {name}\n"
    for paragraph in (command.help or "").split("\n\n"):
        lines = paragraph.strip().splitlines()
        example = lines[0].strip() == "\b"
        yield "```sh\n" + "\n".join(line.strip() for line in lines[1:]) + "\n```\n" if example else _escaped(" ".join(lines)) + "\n"
    context = typer.Context(command, info_name=name)
    rows = []
    for parameter in command.get_params(context):
        if (record := parameter.get_help_record(context)) and "--help" not in record[0]:
            shown = parameter.display_name_raw if isinstance(parameter, TyperArgument) else record[0]
            rows.append(_row(f"`{shown}`", _escaped(record[1])))
    if rows:
        yield "| Option | Meaning |\n|---|---|\n" + "\n".join(rows) + "\n"
    if (ends := (command.epilog or "").strip()) != EXIT_STATUSES:
        yield f"{ends}\n"
    if isinstance(command, TyperGroup):
        for below, one in command.commands.items():
            yield from _command(one, f"{name} {below}")


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _escaped(text: str) -> str:
    return re.sub(r"  +", " ", text).replace("<", r"\<").replace("*", r"\*")


def snippet(path: str) -> str:
    language = {".py": "python", ".sh": "sh"}[Path(path).suffix]
    return f"```{language}\n{(ROOT / path).read_text('utf-8')}```\n"


def page(text: str) -> str:
    """The page with its blocks written anew."""
    blocks = {"settings": settings_tables, "commands": commands}

    def block(found: re.Match[str]) -> str:
        name = found[1]
        return f"{name} -->\n{blocks[name]() if name in blocks else snippet(name)}"

    return _BLOCK.sub(block, text)


def main() -> None:
    (ROOT / ".env").write_text(env_file(), encoding="utf-8")
    for path in (ROOT / name for name in PAGES):
        path.write_text(page(path.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
