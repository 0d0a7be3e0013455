"""Mistakes in what people edit: the templates and the data files beside them.

Here: what is said of a mistake, and the error that carries them. Not here: finding them (data_files.py, rendering.py, check.py).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """One mistake: the file, below generia_assets/; the line (None: the file as a whole); what is wrong and what is allowed."""

    file: str
    line: int | None
    wrong: str

    def __str__(self) -> str:
        return f"{self.file}{f', line {self.line}' if self.line else ''}: {self.wrong}"


class ContentError(ValueError):
    """Templates or data files are not as they should be. The message has a line for each mistake."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = mistakes
