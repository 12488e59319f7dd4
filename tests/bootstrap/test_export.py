"""`evidence-courier export`: the uploads of a period as lines."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import csv
import io
import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.bootstrap.cli import export
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.testing.contracts.stored import AT, entry

QUARTER = ("--since", "2026-01-01", "--until", "2026-04-01")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Five uploads of two tenants; one is named as a formula."""
    path = tmp_path / "courier.db"
    with closing(SqliteStore(str(path))) as store:
        store.add([entry(name) for name in ("ev-1", "ev-2", "=1+1", "Łódź")])
        store.add([entry("ev-1", tenant_id="globex")])
    return path


def exported(database: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["export", "--db", str(database), *arguments])


def test_each_upload_is_a_line_of_csv_that_no_spreadsheet_calculates(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_PAGE", 2)
    result = exported(database)
    assert result.exit_code == 0
    head, *rows = csv.reader(result.stdout_bytes.decode().splitlines())
    assert head[:4] == ["tenant_id", "evidence_id", "provider", "status"]
    assert {"error_kind", "error_message", "receipt_reference", "digest"} <= {*head}
    assert sorted(row[1] for row in rows) == ["'=1+1", "ev-1", "ev-1", "ev-2", "Łódź"]
    assert {len(row) for row in rows} == {len(head)}


@pytest.mark.parametrize("split", ["\r", "\n", ";", "\t", '"', ","])
def test_no_text_of_a_person_begins_a_cell_of_its_own(tmp_path: Path, split: str) -> None:
    path, name = tmp_path / "courier.db", f"done{split}=1+1"
    with closing(SqliteStore(str(path))) as store:
        store.add([entry(name)])
    text = exported(path).stdout_bytes.decode()
    row = next(csv.DictReader(io.StringIO(text, newline="")))
    assert row["evidence_id"] == name
    assert '"{}"'.format(name.replace('"', '""')) in text  # quoted, whatever it holds


@pytest.mark.parametrize("before", ["", " ", "\n", "\r", "\t", "\u00a0"])
def test_white_space_before_a_formula_hides_it_not(before: str) -> None:
    assert export._csv({"reason": f"{before}=1+1"}) == f'"\'{before}=1+1"\n'


@pytest.mark.parametrize("sign", ["\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_a_full_width_sign_begins_a_formula_too(sign: str) -> None:
    assert export._csv({"reason": f" {sign}1"}) == f'"\' {sign}1"\n'


def test_lines_of_json_have_the_same_columns(database: Path) -> None:
    lines = exported(database, "--format", "jsonl", "--tenant", "acme").stdout_bytes.splitlines()
    rows = [json.loads(line) for line in lines]
    assert {row["tenant_id"] for row in rows} == {"acme"}
    assert sorted(row["evidence_id"] for row in rows) == ["=1+1", "ev-1", "ev-2", "Łódź"]
    head, *_ = csv.reader(exported(database).stdout_bytes.decode().splitlines())
    assert [*rows[0]] == head
    assert rows[0]["error_kind"] is None and rows[0]["possible_duplicate"] is False


def test_a_period_is_of_what_was_recorded_in_it(database: Path) -> None:
    header, *rows = exported(database, *QUARTER).stdout.splitlines()
    assert len(rows) == 5
    nothing = exported(database, "--until", (AT - timedelta(days=1)).date().isoformat())
    assert (nothing.exit_code, nothing.stdout) == (0, f"{header}\n")
    assert "no uploads match" in nothing.stderr


def test_what_cannot_be_exported_is_reported(database: Path) -> None:
    unknown = exported(database, "--tenant", "acm")
    assert (unknown.exit_code, "did you mean 'acme'?" in unknown.stderr) == (2, True)
    chain = exported(database, "--head", "--since", "2026-01-01")
    assert (chain.exit_code, "a chain is printed whole" in chain.stderr) == (2, True)
