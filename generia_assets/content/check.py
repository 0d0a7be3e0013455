"""Checks templates and data files before any call is paid for.

Not here: the samples (samples.py), and what a file may hold (data_files.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jinja2
from jinja2 import meta, nodes

from generia_assets.content import data_files, rendering, samples, yaml_files
from generia_assets.content.rendering import environment, listed
from generia_assets.content.yaml_files import ContentError, Mistake

_State = frozenset[tuple[Path, int, int]]
_found_good: list[_State] = []
"""The state of the files at the last check without mistakes; forked processes inherit it."""


def require_good_content() -> None:
    """Raise ``ContentError`` with every mistake. Costs a tenth of a second, and nothing while no file changes."""
    state = _state()
    if _found_good and _found_good[-1] == state:
        return
    if found := mistakes():
        raise ContentError(*found)
    _found_good[:] = [state]


def mistakes() -> list[Mistake]:
    """Every mistake in the files as they are now, each once: of the data files, or, where there is none, of the templates."""
    _forget()
    return list(dict.fromkeys(_in_data())) or list(dict.fromkeys(_in_templates()))


def files() -> list[Path]:
    return sorted((*rendering.FOLDER.glob("*.j2"), *yaml_files.FOLDER.rglob("*.yaml")))


def _state() -> _State:
    return frozenset((path, stat.st_mtime_ns, stat.st_size) for path in files() for stat in (path.stat(),))


def _forget() -> None:
    """Clear the caches of content/, so that all files are read again."""
    for name, module in list(sys.modules.items()):
        if name.startswith(f"{__package__}."):
            for remembered in vars(module).values():
                getattr(remembered, "cache_clear", lambda: None)()


def _in_data() -> Iterator[Mistake]:
    reads: list[Callable[[], object]] = [
        *(data_files.axes, data_files.relations, data_files.post_kinds, data_files.profile_options, data_files.languages),
        *(partial(data_files.ban_file, path.stem) for path in (yaml_files.FOLDER / "banlist").glob("*.yaml")),
    ]
    for read in reads:
        try:
            read()
        except ContentError as error:
            yield from error.mistakes


def _in_templates() -> Iterator[Mistake]:
    noted: dict[str, set[str]] = {}
    token = rendering.given.set(noted)
    try:
        for request in samples.requests():
            try:
                request()
            except ContentError as error:
                yield from error.mistakes
    finally:
        rendering.given.reset(token)
    # Those that are included (_NAME.j2) come last: what includes them has been looked at.
    for path in sorted(rendering.FOLDER.glob("*.j2"), key=lambda path: path.name.startswith("_")):
        yield from _in_template(path, noted)


def _in_template(path: Path, noted: dict[str, set[str]]) -> Iterator[Mistake]:
    """Names that the template reads and is never given, also in branches that no sample takes."""
    try:
        tree = environment().parse(path.read_text(encoding="utf-8"), name=path.name)
        unbound = meta.find_undeclared_variables(tree)
    except (jinja2.TemplateError, UnicodeDecodeError) as error:
        yield rendering.mistake(path.name, error)
        return
    if path.name not in noted:
        return
    for included in filter(None, meta.find_referenced_templates(tree)):
        noted.setdefault(included, set()).update(noted[path.name])
    for name in tree.find_all(nodes.Name):
        if name.ctx == "load" and name.name in unbound - noted[path.name]:
            reason = f"{name.name!r} is undefined; given are {listed(noted[path.name])}"
            yield Mistake(f"content/prompts/{path.name}", name.lineno, reason)
