"""Reading the YAML files that people edit, with the line of each mistake.

Not here: what the files may hold (data_files.py), and checking all of them (check.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from resources.explanation import place_of, reason_of

FOLDER = Path(__file__).parent / "data"

FileT = TypeVar("FileT", bound=BaseModel)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is there


@dataclass(frozen=True)
class Mistake:
    """One mistake: the file, below generia_assets/; the line (None: the file as a whole); what is wrong and what is allowed."""

    file: str
    line: int | None
    wrong: str

    def __str__(self) -> str:
        return f"{self.file}{f', line {self.line}' if self.line else ''}: {self.wrong}"


class ContentError(ValueError):
    """Templates or data files have mistakes. The message has a line for each."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = mistakes


def read(path: Path, shape: type[FileT]) -> FileT:
    """Read one data file. Raises ``ContentError`` with each mistake's line when it is missing, not YAML, or of another shape."""
    file = f"content/{path.relative_to(FOLDER.parent).as_posix()}" if path.is_relative_to(FOLDER) else path.name
    try:
        loader = _LOADER(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        twice = [Mistake(file, line, f"{key!r} is there already: a key can be given once") for key, line in _repeated(root)]
        if twice:
            raise ContentError(*twice)
        return shape.model_validate(None if root is None else loader.construct_document(root))
    except (OSError, UnicodeDecodeError) as error:
        raise ContentError(Mistake(file, None, f"cannot be read: {error}")) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        wrong = f"is not YAML: {getattr(error, 'problem', None) or error}"
        raise ContentError(Mistake(file, None if mark is None else mark.line + 1, wrong)) from error
    except ValidationError as error:
        raise ContentError(*(_mistake(file, root, problem, shape) for problem in error.errors())) from error


def _repeated(node: yaml.Node | None) -> Iterator[tuple[str, int]]:
    """The keys that come twice in one mapping, with their lines: YAML forbids them, and its readers take the last one."""
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        yield from ((key.value, key.start_mark.line + 1) for n, (key, _) in enumerate(node.value) if key.value in keys[:n])
        for _, value in node.value:
            yield from _repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeated(value)


def _mistake(file: str, root: yaml.Node | None, problem: ErrorDetails, shape: type[BaseModel]) -> Mistake:
    """What pydantic found, with the line of the nearest place that the file has, and the keys that are allowed there."""
    node, line, there = root, None, shape
    for part in problem["loc"]:
        if isinstance(node, yaml.MappingNode):
            at, node = next((pair for pair in node.value if pair[0].value == part), (None, None))
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            at = node = node.value[part]
        else:
            break
        line = line if at is None else at.start_mark.line + 1
        if part in there.model_fields:
            there = _model_in(there.model_fields[str(part)].annotation) or there
    where = place_of(problem) or "the file"
    if problem["type"] == "extra_forbidden":
        return Mistake(file, line, f"{where}: no such key; allowed: {', '.join(there.model_fields)}")
    whole = problem["type"] == "missing" or isinstance(problem["input"], (dict, list, tuple))
    value = "" if whole else f"={problem['input']!r:.80}"
    return Mistake(file, line, f"{where}{value}: {reason_of(problem)}")


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The model of which an annotation says that it, or a tuple of it, stands there."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
