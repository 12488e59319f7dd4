"""Names of tests read as sentences and stay short; names say what a value is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
LONGEST_NAME = 70
PRODUCT = ("domain", "ports", "delivery", "adapters", "testing", "bootstrap")

VAGUE = {"told", "said", "came", "kept", "there", "nobody", "whoever"}
"""They do not say what a value is: a result, a reply, what is stored, the caller."""

WIRE_WORD = "TOLD_TO_WAIT"
"""Named as the word that is stored for it, which hash chains link and `--json` shows."""

RIDDLES = re.compile(
    r"\b(so many|nobody|whoever|there is none|where there (is|are)|of which)\b", re.IGNORECASE
)
"""A sentence says how many, no one, the caller, or what is missing."""


def named_tests(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if name.startswith("test_"):
                    yield name


@pytest.fixture(scope="module")
def all_tests() -> list[tuple[str, str]]:
    """Each test's file and name."""
    rooms = ("tests", "testing", "examples")
    files = [file for room in rooms for file in HOUSE.glob(f"{room}/**/*.py")]
    names = [(str(file.relative_to(HOUSE)), name) for file in files for name in named_tests(file)]
    assert len(names) > 1_500
    return names


def test_no_name_of_a_test_is_longer_than_seventy_characters(
    all_tests: list[tuple[str, str]],
) -> None:
    """What does not fit stands in the test's docstring."""
    assert [(file, name) for file, name in all_tests if len(name) > LONGEST_NAME] == []


def test_no_name_of_a_test_has_a_vague_word(all_tests: list[tuple[str, str]]) -> None:
    """It says what is recorded, reported, logged or shown, and by what."""
    assert [(file, name) for file, name in all_tests if is_vague(name)] == []


def named_in(source: str) -> set[str]:
    """All names in a source, those within f-strings too."""
    fields = ("id", "attr", "arg", "name", "asname", "rest", "module")
    found: set[object] = set()
    for node in ast.walk(ast.parse(source)):
        found.update(getattr(node, field, None) for field in fields if field in node._fields)
    return {name for name in found if isinstance(name, str)}


def is_vague(name: str) -> bool:
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
    return bool(VAGUE & words) or "so_many" in name.lower()


def vague_in(source: str) -> list[str]:
    return sorted(name for name in named_in(source) - {WIRE_WORD} if is_vague(name))


@pytest.mark.parametrize(
    "source",
    [
        "told = 1",
        "f'{one.said}'",
        "def _kept_back(): ...",
        "class KeptFiles: ...",
        "call(KEPT_AT_MOST=1)",
        "from .kept import x",
        "is_there = so_many = 1",
    ],
)
def test_a_vague_word_is_found_as_any_part_of_a_name(source: str) -> None:
    assert vague_in(source)


def test_no_name_in_the_product_has_a_vague_word() -> None:
    files = [file for room in PRODUCT for file in HOUSE.glob(f"{room}/**/*.py")]
    assert len(files) > 200
    found = {str(file.relative_to(HOUSE)): vague_in(file.read_text("utf-8")) for file in files}
    assert {file: names for file, names in found.items() if names} == {}
    assert [file for file in files if VAGUE & {*re.findall("[a-z]+", file.stem)}] == []


def test_no_text_of_the_product_and_no_page_speaks_in_riddles() -> None:
    rooms = [*(f"{room}/**/*.py" for room in PRODUCT), "docs/*.md", "README.md"]
    files = [file for room in rooms for file in HOUSE.glob(room)]
    texts = {file: " ".join(file.read_text("utf-8").split()) for file in files}
    found = [
        (str(file.relative_to(HOUSE)), text[max(hit.start() - 40, 0) : hit.end() + 20])
        for file, text in texts.items()
        for hit in RIDDLES.finditer(text)
    ]
    assert found == []
