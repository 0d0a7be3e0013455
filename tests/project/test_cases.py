"""The rows of docs/cases.md and their tests."""

import re
from pathlib import Path

TOP = Path(__file__).parents[2]
ROW = re.compile(r"^\| ([AEGKPS]\d+) \|.*\| (.*) \|$", re.MULTILINE)
NUMBER = re.compile(r"""(?:\(|=)["']([AEGKPS]\d+)\b""")
"""In a parameter's id, or in the mark ``case``."""


def test_each_row_has_a_test_and_each_number_a_row() -> None:
    """Each number in a test is a row of the page, and each row has a test, unless it is open."""
    rows = dict(ROW.findall((TOP / "docs/cases.md").read_text()))
    files = [path for path in (TOP / "tests").rglob("*.py") if path != Path(__file__)]
    numbers = {number for path in files for number in NUMBER.findall(path.read_text())}
    assert {number for number, right in rows.items() if not right.startswith("*Open")} - numbers == set()
    assert numbers - rows.keys() == set()
