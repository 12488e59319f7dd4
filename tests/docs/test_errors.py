"""The page of errors names every exception and every kind of failure, and says of each what the
code does."""

from __future__ import annotations

import re
from pathlib import Path

import evidence_courier
from evidence_courier import CourierError
from evidence_courier.domain import errors
from evidence_courier.domain.upload.failure import Concern, FailureKind

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")


def rows(cells: int) -> list[list[str]]:
    """The table rows with so many cells that begin with a name in backticks."""
    found = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in found if len(row) == cells]


def test_every_kind_of_failure_is_listed_once_with_what_the_code_does() -> None:
    told = {}
    for kind, meaning, again, blocks, who in rows(5):
        assert kind.strip("`") not in told, f"{kind} is told twice"
        assert meaning and who
        told[kind.strip("`")] = (again, blocks)
    assert told == {
        kind.value: (
            "yes" if kind.retryable else "no",
            "yes" if kind.concern is Concern.INTEGRATION else "no",
        )
        for kind in FailureKind
    }


def test_every_exception_is_listed_and_importable() -> None:
    def below(error: type[CourierError]) -> set[str]:
        own = {error.__name__} if error.__module__.startswith("evidence_courier.domain") else set()
        return own.union(*map(below, error.__subclasses__()))

    told = {row[0].strip("`") for row in rows(3)}
    assert told == below(CourierError)
    assert told <= set(evidence_courier.__all__)


def test_the_tree_is_the_one_of_the_code() -> None:
    drawn = re.findall(
        r"^ *[│├└─ ]*(\w+Error)\b", PAGE.split("```text\n")[1].split("```")[0], re.MULTILINE
    )
    assert errors.__doc__ is not None
    assert drawn == re.findall(r"(\w+Error)\b", errors.__doc__)
