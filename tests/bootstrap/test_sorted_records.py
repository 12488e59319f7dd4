"""Old records are sorted outside memory: of each tenant the oldest first, each once."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from evidence_courier.bootstrap.cli import sorted_records
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.bootstrap.cli.sorted_records import read_all
from evidence_courier.domain.errors import Problem

AT = datetime(2020, 1, 1, tzinfo=UTC)
RECORD = {
    "schema_version": 1,
    "session_id": "s-1",
    "employee": {"id": "emp-7"},
    "training": {"title": "Security", "type": "annual", "attempt": 1, "max_attempts": 3},
    "outcome": {"status": "passed", "score": 0.86, "pass_threshold": 0.7},
    "modules": [],
}


def as_csv(file: Path, number: int) -> None:
    """A table of documents, the youngest first, with letters of two bytes."""
    lines = ["tenant_id,session_id,subject,outcome,recorded_at,document,evidence_id"]
    (file.parent / "a.pdf").write_bytes(b"%PDF-1.7")
    for day in range(number, 0, -1):
        lines.append(f'tenant-0,"s; {day}",é-{day},passed,2020-01-{day:02}T10:00:00Z,a.pdf,c-{day}')
    file.write_text("\ufeff" + "\r\n".join(lines))


def as_lines(file: Path, number: int, tenants: int = 3) -> Path:
    """A file of JSON lines, the youngest first."""
    with file.open("w") as lines:
        for one in range(number, 0, -1):
            at = (AT + timedelta(minutes=one)).isoformat()
            ids = {"tenant_id": f"tenant-{one % tenants}", "evidence_id": f"e-{one}"}
            times = dict.fromkeys(("started_at", "completed_at", "generated_at"), at)
            lines.write(json.dumps({**RECORD, **ids, **times}) + "\n")
    return file


def test_records_of_many_files_and_tenants_are_sorted_each_tenants_by_age(tmp_path: Path) -> None:
    for name, number in (("a.jsonl", 50), ("b.jsonl", 70)):
        as_lines(tmp_path / name, number)
    as_csv(tmp_path / "c.csv", 9)
    told: list[Problem] = []
    records, _ = read_all(tmp_path, None, told.append)
    assert [str(one) for one in told] == [
        f"{tmp_path}/b.jsonl:{line}: is evidence 'e-{71 - line}' again, after "
        f"{tmp_path}/a.jsonl:{line - 20}"
        for line in range(21, 71)
    ]
    assert (len(records), sorted(records.tenants)) == (79, [f"tenant-{n}" for n in range(3)])
    for tenant_id in records.tenants:
        mine = records.of(tenant_id)
        read = [one.read() for one in mine[:]]
        assert [one.recorded_at for one in read] == sorted(one.recorded_at for one in read)
        assert [(one.recorded_at, one.evidence_id) for one in read] == [
            (one.recorded_at, one.evidence_id) for one in mine[0 : len(mine)]
        ]
        assert {one.tenant_id for one in read} == {tenant_id}
        assert mine[-1].evidence_id == read[-1].evidence_id
    assert len(records.of("nowhere")) == 0


def test_a_record_takes_less_than_a_hundred_bytes_of_memory(tmp_path: Path) -> None:
    def kept(number: int) -> int:
        file = as_lines(tmp_path / f"{number}.jsonl", number)
        tracemalloc.start()
        records, _ = read_all(file, None, lambda problem: None)
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(records) == number
        return size

    kept(10)
    assert kept(2_000) - kept(500) < 100 * 1_500


def test_a_full_disk_for_temporary_files_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = sorted_records._MADE.replace("BEGIN;", "PRAGMA max_page_count = 4; BEGIN;")
    monkeypatch.setattr(sorted_records, "_MADE", full)
    file = as_lines(tmp_path / "old.jsonl", 300)
    arguments = ["import", "--config", str(tmp_path), "--db", str(tmp_path / "courier.db")]
    refused = CliRunner().invoke(app, [*arguments, str(file)])
    assert refused.exit_code == 3
    assert "sorted in a temporary file: database or disk is full; make room" in refused.stderr
