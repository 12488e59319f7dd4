"""The page about the architecture names files that exist, and counts its evening rightly."""

from __future__ import annotations

import re
from pathlib import Path

HOUSE = Path(__file__).parents[2]
PAGE = (HOUSE / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS = ("adapters", "bootstrap", "delivery", "docs", "domain", "ports", "testing", "tests")
ROOT_FILES = ("__init__.py", "setup.cfg")


def files() -> list[str]:
    found = (file for room in ROOMS for file in (HOUSE / room).rglob("*"))
    return ["/" + file.relative_to(HOUSE).as_posix() for file in found]


def test_every_file_and_folder_that_is_named_exists() -> None:
    named = set(re.findall(r"`([\w/]+\.(?:py|md|cfg))`", PAGE))
    named |= set(re.findall(rf"`((?:{'|'.join(ROOMS)})/[\w/]*)`", PAGE))
    assert len(named) > 100
    known = [*files(), *(f"/{name}" for name in (*ROOT_FILES, *ROOMS))]
    there = {one for one in named if any(f.endswith(f"/{one.rstrip('/')}") for f in known)}
    assert named - there == {"adapters/providers/NAME/reply.py"}


def test_the_evening_has_as_many_lines_as_the_page_says() -> None:
    evening = PAGE.split("## What to read in an evening")[1].split("\n\n##")[0]
    said = re.search(r"about ([\d,]+) lines", evening)
    assert said is not None
    rows = [row.split("|")[1] for row in evening.splitlines() if row.startswith("| `")]
    lines, folder = 0, ""
    for one in (name for row in rows for name in re.findall(r"`([\w/]+\.py)`", row)):
        folder = one.rpartition("/")[0] or folder  # the second name of a row stands in its folder
        file = HOUSE / folder / one.rpartition("/")[2]
        lines += len(file.read_text(encoding="utf-8").splitlines())
    assert abs(lines - int(said[1].replace(",", ""))) <= 100
