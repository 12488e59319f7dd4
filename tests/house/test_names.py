"""Names of tests read as sentences and stay short."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

HOUSE = Path(__file__).parents[2]
LONGEST_NAME = 70


def named_tests(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if name.startswith("test_"):
                    yield name


def test_no_name_of_a_test_is_longer_than_seventy_characters() -> None:
    """What does not fit stands in the test's docstring."""
    rooms = ("tests", "testing", "examples")
    files = [file for room in rooms for file in HOUSE.glob(f"{room}/**/*.py")]
    names = [(str(file.relative_to(HOUSE)), name) for file in files for name in named_tests(file)]
    assert len(names) > 1_500
    assert [(file, name) for file, name in names if len(name) > LONGEST_NAME] == []
