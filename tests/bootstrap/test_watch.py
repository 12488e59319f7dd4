"""`evidence-courier watch`: on a terminal the newest uploads, in a pipe what has changed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.bootstrap.cli import output, watch
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.testing.contracts.stored import deferred, entry, started


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "courier.db"
    with closing(SqliteStore(str(path))) as store:
        store.add([entry("ev-1"), entry("ev-1", tenant_id="globex")])
    return path


def watched(
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
    *between: Callable[[], object],
    tenant: str = "",
) -> Result:
    """What it prints until Ctrl-C is pressed, with something done between two looks."""
    steps = iter(between)

    def wait(_: float) -> None:
        if (step := next(steps, None)) is None:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr(watch, "wait", wait)
    only = ["--tenant", tenant] if tenant else []
    return CliRunner().invoke(app, ["watch", "--db", str(database), *only])


def test_in_a_pipe_what_is_new_or_has_changed_is_a_line(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = entry("ev-2")

    def add() -> None:
        with closing(SqliteStore(str(database))) as store:
            store.add([new])

    def begin() -> None:
        with closing(SqliteStore(str(database))) as store:
            store.begin([[started(new.upload)]])

    result = watched(database, monkeypatch, add, lambda: None, begin)
    assert result.exit_code == 0
    rows = [line.split("\t")[1:6] for line in result.stdout.splitlines()]
    assert rows == [["acme", "ev-2", "sprinto", "pending", str(number)] for number in (0, 1)]


@pytest.mark.parametrize("width", [80, 160])
def test_a_terminal_shows_the_newest_and_their_number(
    database: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    for module in (output, watch):
        monkeypatch.setattr(module, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", "24")
    shown = watched(database, monkeypatch).stdout
    assert "2 pending" in shown and "globex" in shown and "acme" in shown
    assert all(len(line) <= width for line in shown.splitlines()[1:])
    one = watched(database, monkeypatch, tenant="acme").stdout
    assert "1 pending" in one and "globex" not in one


@pytest.mark.parametrize("width", [80, 120, 160])
def test_a_terminal_shows_no_more_than_it_has_lines_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    path = tmp_path / "courier.db"
    with closing(SqliteStore(str(path))) as store:
        for number in range(60):
            new = entry(f"ev-{number}", content=b"%PDF")
            store.add([new])
            begin = started(new.upload)
            store.begin([[begin]])
            words = f"the check {number} is not there; " + "give it another one, " * (number % 6)
            failure = Failure(FailureKind.SERVER_ERROR, words)
            store.save([deferred(begin.upload, failure=failure)])
    for module in (output, watch):
        monkeypatch.setattr(module, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", "24")
    shown = watched(path, monkeypatch).stdout.splitlines()
    head = -(-len(shown[0]) // width)
    assert 18 <= head + len(shown[1:]) <= 23
    assert all(len(line) <= width for line in shown[1:])
    ids = [line.split()[1] for line in shown if line.startswith("acme")]
    assert ids == [f"ev-{59 - number}" for number in range(len(ids))]
    assert len(ids) >= 3
