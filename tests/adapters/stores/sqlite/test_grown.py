"""The large database of the benchmarks holds what a courier could have written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evidence_courier.adapters.stores.sqlite.inspection import inspect

GROW = Path(__file__).parents[4] / "benchmarks" / "grow.py"


@pytest.mark.parametrize("options", [(), ("--waiting-from", "3600")], ids=" ".join)
def test_a_grown_database_breaks_no_invariant(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = str(tmp_path / "grown.db")
    sizes = ("--uploads", "2000", "--in-line", "200")
    subprocess.run([sys.executable, GROW, path, *sizes, *options], check=True, capture_output=True)
    found = inspect(path)
    assert found.breaches == ()
    assert found.uploads == 2000
