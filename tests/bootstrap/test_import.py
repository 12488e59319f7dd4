"""`import`: old records go in once, oldest first, behind what is fresh, and none if one is bad."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field, frozen
from click.testing import CliRunner, Result
from postgres_server import server

from evidence_courier import AsyncCourier, Records
from evidence_courier.adapters.secrets.environ import EnvironSecrets
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.bootstrap.cli import handing_in, importing, outage
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.bootstrap.cli.handing_in import OPEN_AT_ONCE, Import
from evidence_courier.bootstrap.cli.old_records import OldRecord
from evidence_courier.bootstrap.cli.outage import MOST_TRIED
from evidence_courier.bootstrap.cli.sorted_records import read_all
from evidence_courier.bootstrap.cli.undelivered import Undelivered
from evidence_courier.domain.errors import Problem, StoreError
from evidence_courier.domain.evidence.evidence import Document, Evidence
from evidence_courier.domain.integration import Pace
from evidence_courier.domain.pacing.gate import Quota
from evidence_courier.domain.upload.status import StatusError, UploadStatus
from evidence_courier.testing import FakeClock
from evidence_courier.testing.sandboxes import SprintoSandbox, sandbox_in_thread

RECORD = {
    "schema_version": 1,
    "tenant_id": "acme",
    "evidence_id": "ev-record",
    "session_id": "s-1",
    "employee": {"id": "emp-7"},
    "training": {"title": "Security", "type": "annual", "attempt": 1, "max_attempts": 3},
    "outcome": {"status": "passed", "score": 0.86, "pass_threshold": 0.7},
    "started_at": "2020-02-21T09:12:00Z",
    "completed_at": "2020-02-21T10:00:00Z",
    "generated_at": "2020-02-21T10:00:03Z",
    "modules": [],
}
COLUMNS = "tenant_id session_id subject outcome recorded_at document".split()


@pytest.fixture
def sandbox() -> Iterator[SprintoSandbox]:
    with sandbox_in_thread(SprintoSandbox(key="the-key-of-the-sandbox")) as box:
        yield box


@pytest.fixture
def tenants(tmp_path: Path, sandbox: SprintoSandbox) -> Path:
    folder = tmp_path / "tenants"
    folder.mkdir()
    (folder / "acme.yaml").write_text(
        f"""\
name: ACME Corp
integrations:
  compliance:
    provider: sprinto
    api_key: ${{ACME_KEY}}
    workflow_check: 3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77
    endpoint: {sandbox.url}
    pace: 60000/min
"""
    )
    (folder / "initech.yaml").write_text("name: Initech\n")
    return folder


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "courier.db") if request.param == "sqlite" else server().new_database()


def rows(folder: Path, number: int, **more: str) -> list[dict[str, str]]:
    """Rows of a CSV in a folder, with their documents, the youngest first."""
    folder.mkdir(exist_ok=True)
    found = []
    for day in range(number, 0, -1):
        name = f"document-{day}.pdf"
        (folder / name).write_bytes(b"%PDF-1.7 " + name.encode())
        at = f"2020-01-{day:02}T10:00:00Z"
        values = ("acme", f"s-{day}", f"emp-{day}", "passed", at, name)
        found.append({**dict(zip(COLUMNS, values, strict=True)), **more})
    return found


def write(file: Path, some: Sequence[Mapping[str, str]], delimiter: str = ",") -> Path:
    with file.open("w", newline="") as text:
        writer = csv.DictWriter(text, [*some[0]], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(some)
    return file


def run(*args: object, password: str | None = None) -> Result:
    env = {"ACME_KEY": "the-key-of-the-sandbox", "PGPASSWORD": password}
    return CliRunner().invoke(app, [str(arg) for arg in args], env=env)


def imported(tenants: Path, database: str, *args: object) -> Result:
    return run("import", "--config", tenants, "--db", database, *args)


def dates(sandbox: SprintoSandbox) -> list[str]:
    return [upload.evidence_date for upload in sandbox.received]


def test_old_records_go_in_once_and_the_oldest_first(
    tenants: Path, sandbox: SprintoSandbox, database: str, tmp_path: Path
) -> None:
    """With ids that are derived from the record, where it has none."""
    file = write(tmp_path / "old.csv", rows(tmp_path, 9))
    first = imported(tenants, database, file)
    assert first.exit_code == 0, first.output
    assert first.stdout == "handed in: 9 succeeded\n"
    assert first.stderr.startswith("9 records of 1 tenant; less than a minute")
    assert sorted(dates(sandbox)) == [f"2020-01-0{day}" for day in range(1, 10)]
    again = imported(tenants, database, file, "--json")
    assert (again.exit_code, len(sandbox.received)) == (0, 9)
    assert json.loads(again.stdout) == {
        "records": 9,
        "known": 9,
        "known_open": 0,
        "left": 0,
        "invalid": 0,
        "problems": [],
        "handed_in": {},
        "undelivered": [],
    }


def test_what_was_erased_and_pruned_is_not_imported_again(
    tenants: Path, sandbox: SprintoSandbox, database: str, tmp_path: Path
) -> None:
    """Also if the evidence's id names the person."""
    some = [{**one, "evidence_id": f"of-{one['subject']}"} for one in rows(tmp_path, 3)]
    file = write(tmp_path / "old.csv", some)
    assert imported(tenants, database, file).exit_code == 0
    who = ("--tenant", "acme", "--subject", "emp-2", "--by", "dpo", "--reason", "r", "--yes")
    assert run("erase", "--db", database, *who).exit_code == 0
    with Records.open(database) as records:
        assert {one.evidence_id for one in records.find().uploads} > {"of-emp-1", "of-emp-3"}
    again = json.loads(imported(tenants, database, file, "--json").stdout)
    assert (again["known"], again["handed_in"], len(sandbox.received)) == (3, {}, 3)


def test_what_the_settings_exclude_is_skipped_and_goes_in_later(
    tenants: Path, sandbox: SprintoSandbox, database: str, tmp_path: Path
) -> None:
    """Once the settings include its outcome, and the same command is given again."""
    acme = tenants / "acme.yaml"
    block = acme.read_text()
    acme.write_text(f"{block}    outcomes: [passed]\n")
    some = rows(tmp_path, 4)
    for one in some[:2]:
        one["outcome"] = "exhausted"
    file = write(tmp_path / "old.csv", some)
    for known in (0, 2):
        report = json.loads(imported(tenants, database, file, "--json").stdout)
        handed_in = {"succeeded": 2} if known == 0 else {}
        assert report["handed_in"] == {**handed_in, "skipped": 2}
        assert (report["known"], len(sandbox.received)) == (known, 2)
    acme.write_text(f"{block}    outcomes: [passed, exhausted]\n")
    report = json.loads(imported(tenants, database, file, "--json").stdout)
    assert (report["known"], report["handed_in"]) == (2, {"succeeded": 2})
    assert len(sandbox.received) == 4


def test_a_folder_is_read_with_all_that_is_below_it(
    tenants: Path, sandbox: SprintoSandbox, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    write(tmp_path / "unrelated.csv", [{"a": "b"}])
    more = rows(tmp_path, 1)
    (old).mkdir()
    write(old / "some.CSV", rows(old, 2), delimiter=";")
    below = old / "below"
    below.mkdir()
    (below / "record.json").write_text(json.dumps(RECORD))
    (tmp_path / more[0]["document"]).rename(below / "other.pdf")
    lines = [
        {**more[0], "document": "other.pdf", "evidence_id": "own"},
        {**RECORD, "evidence_id": "e"},
    ]
    (below / "lines.jsonl").write_text("\n\n".join(map(json.dumps, lines)) + "\n")
    found = imported(tenants, str(tmp_path / "courier.db"), old)
    assert found.exit_code == 0, found.output
    assert found.stdout == "handed in: 5 succeeded\n"
    shown = run("status", "--db", tmp_path / "courier.db", "--json").stdout
    ids = {one["evidence_id"] for one in json.loads(shown)}
    assert {"own", "e", "ev-record"} < ids
    assert sum(one.startswith("import-") for one in ids) == 2


BAD = [
    ({"outcome": "abandoned"}, "outcome must be passed or exhausted, not 'abandoned'"),
    ({"recorded_at": "2020-01-02 10:00"}, "recorded_at: needs a T between the date and the time"),
    ({"document": "none.pdf"}, "none.pdf is not a file"),
    ({"subject": ""}, "subject: is missing"),
    ({"tenant_id": "acne"}, "tenant 'acne' is not in the configuration"),
    ({"tenant_id": "initech"}, "tenant 'initech' has no integration: nothing is sent"),
    ({"session_id": "s-1", "subject": "emp-1"}, None),
]


@pytest.mark.parametrize(("change", "said"), BAD)
def test_nothing_goes_in_if_a_line_is_bad_unless_it_is_skipped(
    tenants: Path, sandbox: SprintoSandbox, tmp_path: Path, change: dict[str, str], said: str | None
) -> None:
    some = rows(tmp_path, 2)
    if said is None:  # the same again
        change, said = {**some[1]}, "again, after"
    file = write(tmp_path / "old.csv", [{**some[0], **change}, some[1]])
    database = str(tmp_path / "courier.db")
    found = imported(tenants, database, file)
    assert (found.exit_code, len(sandbox.received)) == (2, 0)
    first, *_, last = found.stderr.splitlines()
    assert first.startswith(f"{file}:{3 if 'again' in said else 2}: ")
    assert said in first
    assert last == (
        "evidence-courier: 1 problem: nothing was handed in; mend them, or give --skip-invalid"
    )
    found = imported(tenants, database, file, "--skip-invalid")
    assert found.exit_code == 0, found.output
    assert found.stdout == "handed in: 1 succeeded\n1 problem in what was skipped\n"


@pytest.mark.parametrize("skip", [False, True])
def test_a_program_gets_the_problems_as_json_though_nothing_goes_in(
    tenants: Path, tmp_path: Path, skip: bool
) -> None:
    (row,) = rows(tmp_path, 1)
    file = write(tmp_path / "old.csv", [{**row, "outcome": "finished"}])
    options = ["--json", *(["--skip-invalid"] * skip)]
    found = imported(tenants, str(tmp_path / "courier.db"), file, *options)
    assert found.exit_code == 2
    told = json.loads(found.stdout)
    (problem,) = told["problems"]
    assert (problem["file"], problem["line"]) == (str(file), 2)
    assert "not 'finished'" in problem["message"]
    assert (told["records"], told["invalid"], told["handed_in"]) == (0, 1, {})
    why = "there is nothing to hand in" if skip else "1 problem: nothing was handed in"
    assert f"evidence-courier: {why}" in found.stderr


def test_what_fails_is_traced_to_its_line_also_without_an_id(tenants: Path, tmp_path: Path) -> None:
    """And where another try is in vain, none is advised."""
    some = rows(tmp_path, 9)
    for row in some[:7]:
        (tmp_path / row["document"]).rename(tmp_path / f"{row['document']}.xyz")
        row["document"] += ".xyz"
    file, database = write(tmp_path / "old.csv", some), str(tmp_path / "courier.db")
    for _ in range(2):  # also of what an earlier run has handed in
        found = imported(tenants, database, file)
        (said,) = (line for line in found.stderr.splitlines() if "unfit_type" in line)
        assert (found.exit_code, "retry" in said) == (1, False), found.output
        assert "hand in another document, under another evidence id. They are at " in said
        places = re.findall(rf"{re.escape(str(file))}:(\d+) \(import-\w{{32}}\)", said)
        assert places == ["2", "3", "4", "5", "6"]
        assert said.endswith(" and 2 more")
    (told,) = json.loads(imported(tenants, database, file, "--json").stdout)["undelivered"]
    assert [one["line"] for one in told["places"]] == [*range(2, 9)]
    ids = {one["evidence_id"] for one in told["places"]}
    listed = run("status", "--db", database, "--status", "failed", "--json").stdout
    assert {one["evidence_id"] for one in json.loads(listed)} == ids


def test_all_problems_of_a_line_are_reported_at_once(tenants: Path, tmp_path: Path) -> None:
    (row,) = rows(tmp_path, 1)
    bad = {"tenant_id": "acne", "outcome": "done", "recorded_at": "x", "document": "none.pdf"}
    file = write(tmp_path / "old.csv", [{**row, **bad}])
    found = imported(tenants, str(tmp_path / "courier.db"), file)
    *said, last = found.stderr.splitlines()
    assert (found.exit_code, last.split(":")[1]) == (2, " 4 problems")
    assert all(one.startswith(f"{file}:2: ") for one in said)
    for words in ("none.pdf is not a file", "recorded_at: ", "not 'done'", "tenant 'acne' is not"):
        assert words in found.stderr


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('{"a": 1', 2, "is not JSON"),
        ("[]", 2, "must be an object"),
        (json.dumps({**RECORD, "outcome": {}}), 2, "outcome.status: is missing"),
        ('{"tenant": "acme"}', 2, "tenant: is not known; known are"),
        ('{"tenant_id": 7}', 2, "tenant_id: must be text"),
    ],
)
def test_a_bad_line_of_json_lines_is_named(
    tenants: Path, tmp_path: Path, text: str, line: int, said: str
) -> None:
    file = tmp_path / "old.jsonl"
    file.write_text(f"{json.dumps(RECORD)}\n{text}\n")
    found = imported(tenants, str(tmp_path / "courier.db"), file)
    assert found.exit_code == 2
    assert any(
        one.startswith(f"{file}:{line}: ") and said in one for one in found.stderr.splitlines()
    ), found.stderr


def test_a_csv_without_names_of_columns_is_refused(tenants: Path, tmp_path: Path) -> None:
    some, file = rows(tmp_path, 2), tmp_path / "old.csv"
    file.write_text("\n".join(",".join(row.values()) for row in some))
    found = imported(tenants, str(tmp_path / "courier.db"), file)
    assert found.exit_code == 2
    assert f"{file}:1: the first line must name the columns; missing are tenant_id" in found.stderr
    for row in some:
        del row["tenant_id"]
    found = imported(tenants, str(tmp_path / "courier.db"), "--tenant", "acme", write(file, some))
    assert found.exit_code == 0, found.output


@pytest.mark.parametrize(
    ("torn", "why"),
    [
        ('emp-"2', None),
        ('"emp-2', "a quotation mark is opened in this row and not closed as it should be"),
        ('"emp-2" x', "a quotation mark is opened in this row and not closed as it should be"),
        (
            '"emp-2' + 140_000 * " ",
            "a cell of this row does not end, as if its quotation mark were not closed",
        ),
    ],
    ids="within never-closed closed-early very-long".split(),
)
def test_nothing_behind_an_open_quotation_mark_is_read_and_it_is_named(
    tenants: Path, sandbox: SprintoSandbox, tmp_path: Path, torn: str, why: str | None
) -> None:
    file, database = tmp_path / "old.csv", str(tmp_path / "courier.db")
    write(file, rows(tmp_path, 4))
    file.write_text(file.read_text().replace("emp-2", torn))  # the third of four
    found = imported(tenants, database, file, "--skip-invalid")
    if why is None:
        assert (found.exit_code, len(sandbox.received)) == (0, 4), found.output
        return
    assert (found.exit_code, len(sandbox.received)) == (2, 2), found.output
    first, *_, last = found.stderr.splitlines()
    assert first == f"{file}:4: {why}: nothing from here on is read"
    assert last == (
        "evidence-courier: not read to the end: 1 file; mend what is named above and import again"
    )


def test_a_header_that_cannot_be_read_is_named_and_nothing_to_skip(
    tenants: Path, tmp_path: Path
) -> None:
    file = tmp_path / "old.csv"
    for header, line in (('"tenant_id', ":1"), ("tenant", ":1")):
        file.write_text(f"{header},session_id\na,b\n")
        found = imported(tenants, str(tmp_path / "courier.db"), file)
        assert found.exit_code == 2
        assert found.stderr.startswith(f"{file}{line}: ")
        assert found.stderr.endswith(": 1 problem: nothing was handed in; mend them\n")


@pytest.mark.parametrize(
    ("written", "found", "problems"),
    [
        (lambda text: text.encode("utf-8-sig"), 1, []),
        (lambda text: text.replace("\n", "\r\n").replace(",", ";").encode(), 1, []),
        (lambda text: text.replace("emp-7", '"emp; ""7"", x"').encode(), 1, []),
        (lambda text: text.replace("emp-7", "é").encode("latin-1"), 0, ["save it as UTF-8"]),
        (lambda text: text.encode("utf-16"), 0, ["save it as UTF-8"]),
        (lambda text: f"{text}\n{text.splitlines()[1]}".encode(), 1, ["is evidence 'e' again"]),
        (lambda text: "".join(f"{line},\n" for line in text.splitlines()).encode(), 1, []),
        (lambda text: f"{text},,\n".encode(), 1, []),
        (lambda text: f"{text}\n,,,,,\n\n".encode(), 1, []),
        (lambda text: text.replace("document", "document,", 1).encode() + b",x", 0, ["more cells"]),
        (
            lambda text: text.replace("document", "document,subject", 1).encode() + b",emp-8",
            0,
            ["twice there are subject"],
        ),
    ],
    ids="bom semicolons quotes latin-1 utf-16 twice commas-at-ends commas-at-an-end empty-rows"
    " unnamed-column column-twice".split(),
)
def test_a_csv_is_read_as_spreadsheets_write_it(
    tmp_path: Path, written: Callable[[str], bytes], found: int, problems: list[str]
) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    columns = "evidence_id,session_id,subject,outcome,recorded_at,document"
    text = f"{columns}\ne,s,emp-7,passed,2024-01-01T10:00:00Z,a.pdf"
    (tmp_path / "old.csv").write_bytes(written(text))
    refused: list[Problem] = []
    records, _ = read_all(tmp_path / "old.csv", "acme", refused.append)
    assert (len(records), len(refused)) == (found, len(problems))
    assert all(words in one.message for words, one in zip(problems, refused, strict=True))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_each_row_of_a_csv_is_read_again_whatever_ends_its_lines(
    tmp_path: Path, end: str, encoding: str
) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    subjects = {f"e-{n}": f'é漢{"x" * n},"' for n in range(300)}
    with (tmp_path / "old.csv").open("w", encoding=encoding, newline="") as text:
        writer = csv.writer(text, lineterminator=end)
        writer.writerow(["evidence_id", *COLUMNS[1:]])
        for name, subject in subjects.items():
            writer.writerow([name, "s", subject, "passed", "2024-01-01T10:00:00Z", "a.pdf"])
    refused: list[Problem] = []
    records, _ = read_all(tmp_path / "old.csv", "acme", refused.append)
    read = [one.read() for one in records.of("acme")]
    assert refused == []
    assert {one.evidence_id: one.subject for one in read} == subjects


@pytest.mark.parametrize(
    ("ending", "found", "said"),
    [
        ("json", 0, "is larger than 8 MiB"),
        ("jsonl", 1, "is larger than 8 MiB"),
        ("csv", 0, "cannot be read: a line is larger than 8 MiB: nothing from here on is read"),
    ],
)
def test_what_is_too_large_is_refused_and_not_read_whole(
    tmp_path: Path, ending: str, found: int, said: str
) -> None:
    file, large = tmp_path / f"old.{ending}", 64 * 1024 * 1024
    with file.open("wb") as data:
        data.truncate(large)
        data.seek(large)
        data.write(f"\n{json.dumps(RECORD)}".encode())
    refused: list[Problem] = []
    tracemalloc.start()
    try:
        records, _ = read_all(file, "acme", refused.append)
        assert tracemalloc.get_traced_memory()[1] < large
    finally:
        tracemalloc.stop()
    assert (len(records), [one.message for one in refused]) == (found, [said])


def test_a_row_with_more_cells_than_names_is_refused(tenants: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "old.csv", rows(tmp_path, 1))
    file.write_text(file.read_text().replace(".pdf", ".pdf,more"))
    found = imported(tenants, str(tmp_path / "courier.db"), file)
    assert f"{file}:2: has more cells than the header has names" in found.stderr


def test_what_holds_no_records_is_refused(tenants: Path, tmp_path: Path) -> None:
    database = str(tmp_path / "courier.db")
    assert "is no file and no folder" in imported(tenants, database, tmp_path / "none").stderr
    (tmp_path / "a.txt").write_text("x")
    assert "must be a folder, or end in" in imported(tenants, database, tmp_path / "a.txt").stderr
    (tmp_path / "empty").mkdir()
    assert "holds no file that ends in" in imported(tenants, database, tmp_path / "empty").stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_after_a_kill_the_same_command_goes_on_and_doubles_nothing(
    tenants: Path, sandbox: SprintoSandbox, database: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "old.csv", rows(tmp_path, 28))
    (tenants / "acme.yaml").write_text(
        (tenants / "acme.yaml").read_text().replace("60000/min", "240/min")
    )
    command = ["import", "--config", str(tenants), "--db", database, str(file)]
    env = {**os.environ, "ACME_KEY": "the-key-of-the-sandbox"}
    for number in (signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen(
            [sys.executable, "-m", "evidence_courier", *command],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        process.stderr.readline()  # it has read all
        before = len(sandbox.received)
        deadline = time.monotonic() + 60
        while len(sandbox.received) < before + 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        told, said = process.communicate(timeout=60)
        if number == signal.SIGINT and len(sandbox.received) < 28:
            assert process.returncode == 130, said
            assert sum(map(int, re.findall(r"\d+", told))) == 28, told
            assert "of 28 records are handed in; what is under way" in said
    found = imported(tenants, database, file)
    assert found.exit_code == 0, found.output
    uploads = json.loads(run("status", "--db", database, "--json", "--limit", 0).stdout)
    assert len(uploads) == 28
    assert {one["status"] for one in uploads} <= {"succeeded", "retrying", "pending"}
    # What was under way at a kill is tried again by any courier, in its own time.
    assert len({*dates(sandbox)}) >= sum(one["status"] == "succeeded" for one in uploads) >= 20
    # It may have arrived, and is sent again if it is unclear.
    assert len(dates(sandbox)) - len({*dates(sandbox)}) <= 8


# --- with a courier of the test's own ------------------------------------------------------------


AT = datetime(2020, 1, 1, tzinfo=UTC)
PENDING = UploadStatus(
    tenant_id="acme",
    evidence_id="",
    provider="paper",
    status="pending",
    attempts=0,
    possible_duplicate=False,
    error=None,
    last_attempt_at=None,
    next_attempt_at=None,
    receipt=None,
    digest="",
    evidence_date=AT.date(),
    created_at=AT,
    updated_at=AT,
)
UNAUTHORIZED = StatusError("unauthorized", "the key is wrong", 401)


class Slip:
    """A ticket."""

    def __init__(self) -> None:
        self.end: asyncio.Future[UploadStatus | None] = asyncio.get_running_loop().create_future()

    async def settled(self) -> UploadStatus | None:
        return await self.end


@define
class Desk:
    """A courier that tries one upload after the other, in the order in which they came, and each
    comes to what `ends` says, and until it is `back` at that second all come to `while_out`. What
    is tried again succeeds after so many looks at it. A look at its clock takes `step` seconds."""

    ends: dict[str, UploadStatus | Exception] = field(factory=dict)
    line: list[str] = field(factory=list)
    tried: list[str] = field(factory=list)
    seen: dict[str, UploadStatus] = field(factory=dict)
    slips: dict[str, Slip] = field(factory=dict)
    open_at_submit: list[int] = field(factory=list)
    looks: int = 0
    up_after: int | None = None
    back: float = 0.0
    while_out: UploadStatus | None = None
    step: float = 0.0
    clock: FakeClock = field(factory=FakeClock)
    submitted_at: list[float] = field(factory=list)
    told: list[str] = field(factory=list)

    def seconds(self) -> float:
        self.clock.advance(self.step)
        return self.clock.monotonic()

    def submit(self, evidence: Evidence) -> Any:
        again = sum(one.status == "retrying" for one in self.seen.values())
        self.open_at_submit.append(len(self.line) + again)
        self.line.append(evidence.evidence_id)
        self.submitted_at.append(self.clock.monotonic())
        self.slips[evidence.evidence_id] = slip = Slip()
        return slip

    async def statuses(self, tenant_id: str, ids: Sequence[str]) -> Mapping[str, UploadStatus]:
        self.looks += 1
        if self.up_after and self.looks % self.up_after == 0:
            self.seen = {one: evolve(end, status="succeeded") for one, end in self.seen.items()}
        pending = {one: evolve(PENDING, evidence_id=one) for one in self.line}
        return {one: found for one, found in (self.seen | pending).items() if one in ids}

    async def work(self) -> None:
        while True:
            for _ in range(20):
                await asyncio.sleep(0)
            if self.line:
                self._try(self.line.pop(0))

    def _try(self, one: str) -> None:
        self.tried.append(one)
        end = self.ends.get(one, evolve(PENDING, evidence_id=one, status="succeeded"))
        if self.while_out is not None and self.clock.monotonic() < self.back:
            end = evolve(self.while_out, evidence_id=one)
        if isinstance(end, Exception):
            self.slips[one].end.set_exception(end)
            return
        self.seen[one] = end
        if one in self.slips and end.status != "retrying":
            self.slips[one].end.set_result(end)


def old(number: int) -> OldRecord:
    evidence = Evidence(
        tenant_id="acme",
        evidence_id=f"old-{number}",
        session_id="s",
        subject="p",
        outcome="passed",
        recorded_at=AT + timedelta(days=number),
        document=Document(content=b"x", media_type="application/pdf"),
    )
    at, ids = evidence.recorded_at, ("acme", evidence.evidence_id)
    return OldRecord(Path("old.csv"), number, at, *ids, lambda: evidence)


@frozen
class Home:
    """Where a tenant's evidence goes."""

    quota: Quota


def handed_in(desk: Desk, number: int, first: OldRecord | None = None) -> Import:
    quota = Quota("credential", "address", Pace(10, timedelta(minutes=1)))
    lanes: Any = {"acme": (Home(quota), [first or old(0), *(old(one) for one in range(1, number))])}
    courier: Any = desk
    work = Import(courier, lanes, desk.seconds, desk.told.append)

    async def story() -> None:
        working = asyncio.create_task(desk.work())
        await asyncio.wait_for(work.hand_in("acme"), 60)
        working.cancel()

    asyncio.run(story())
    return work


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handing_in, "LOOK_AGAIN", 0.001)


def test_all_go_in_oldest_first_and_a_few_at_a_time() -> None:
    work = handed_in(desk := Desk(), 60)
    assert desk.tried == [f"old-{n}" for n in range(60)]
    assert max(desk.open_at_submit) == OPEN_AT_ONCE - 1
    assert (work.left, work.by_status) == (0, {"succeeded": 60})


def test_what_is_tried_again_later_is_not_waited_for() -> None:
    later = evolve(PENDING, evidence_id="old-1", status="retrying")
    desk = Desk(ends={"old-1": later})
    work = handed_in(desk, 3)
    assert work.by_status == {"succeeded": 2, "retrying": 1}


def test_no_more_is_handed_in_while_much_is_tried_again() -> None:
    """While a platform is down, each record would use its attempts up."""
    later = {
        f"old-{n}": evolve(PENDING, evidence_id=f"old-{n}", status="retrying") for n in range(40)
    }
    desk = Desk(ends={**later}, up_after=50)
    work = handed_in(desk, 60)
    assert (work.left, work.by_status) == (0, {"succeeded": 52, "retrying": 8})
    assert max(desk.open_at_submit) < OPEN_AT_ONCE


OUT = StatusError("no_connection", "Sprinto cannot be reached", None)
HOUR = 3600.0


@pytest.mark.parametrize("status", ["failed", "held"])
def test_one_at_a_time_is_handed_in_while_a_platform_is_out(status: str) -> None:
    """Until one is delivered, after waits that double up to a quarter of an hour."""
    desk = Desk(back=HOUR, while_out=evolve(PENDING, status=status, error=OUT), step=5.0)
    work = handed_in(desk, 200)
    outage_ends = next(n for n, at in enumerate(desk.submitted_at) if at >= HOUR)
    before = desk.submitted_at[: outage_ends + 1]
    first, *waits = [later - earlier for earlier, later in pairwise(before[OPEN_AT_ONCE - 1 :])]
    assert first >= 60
    assert [wait // 60 for wait in waits] == [2, 4, 8, 15, 15, 15]
    failed = OPEN_AT_ONCE + len(waits)
    assert (work.left, work.by_status) == (0, {"succeeded": 200 - failed, status: failed})
    assert max(desk.open_at_submit) == OPEN_AT_ONCE - 1
    assert (work.outages, work.stopped) == ({}, {})
    assert desk.told == [
        "the import of tenant 'acme' pauses, as what was handed in has failed: no_connection: "
        "Sprinto cannot be reached; one record at a time is tried until one is delivered",
        "the import of tenant 'acme' goes on: one is delivered",
    ]


def test_no_more_is_handed_in_once_a_platform_is_out_for_hours() -> None:
    """It is a bounded number that is tried in vain."""
    desk = Desk(back=48 * HOUR, while_out=evolve(PENDING, status="failed", error=OUT), step=30.0)
    work = handed_in(desk, 200)
    failed = OPEN_AT_ONCE + MOST_TRIED
    assert (work.left, work.by_status) == (200 - failed, {"failed": failed})
    assert 5 * HOUR < desk.submitted_at[-1] < 7 * HOUR
    assert work.stopped == {"acme": "no_connection: Sprinto cannot be reached"}
    assert work.to_do == {"acme": "see that the provider answers"}
    assert len(desk.told) == 1


def test_one_that_fails_while_others_are_delivered_pauses_nothing() -> None:
    failed = evolve(PENDING, evidence_id="old-1", status="failed", error=OUT)
    work = handed_in(desk := Desk(ends={"old-1": failed}), 200)
    assert work.by_status == {"succeeded": 199, "failed": 1}
    assert desk.told == []


def test_no_more_is_handed_in_once_the_integration_does_not_work() -> None:
    held = evolve(PENDING, evidence_id="old-1", status="held", error=UNAUTHORIZED)
    desk = Desk(ends={"old-1": held})
    work = handed_in(desk, 60)
    assert work.left in (60 - OPEN_AT_ONCE, 59 - OPEN_AT_ONCE)
    assert work.by_status == {"succeeded": 59 - work.left, "held": 1}
    assert work.stopped == {"acme": "unauthorized: the key is wrong"}


def test_what_is_under_way_when_it_ends_is_counted_too() -> None:
    desk: Any = Desk()
    home: Any = Home(Quota("credential", "address", Pace(90, timedelta(minutes=1))))
    lanes: Any = {"acme": (home, [old(one) for one in range(3)])}
    work = Import(desk, lanes, desk.seconds, desk.told.append)

    async def story() -> None:
        working = asyncio.create_task(work.hand_in("acme"))
        while len(desk.open_at_submit) < 3:
            await asyncio.sleep(0)
        working.cancel()
        await asyncio.wait({working})

    asyncio.run(story())
    done = evolve(PENDING, evidence_id="old-1", status="succeeded")
    work.note_rest(lambda tenant_id, ids: {"old-0": PENDING, "old-1": done})
    assert (work.left, work.by_status) == (1, {"pending": 1, "succeeded": 1})


def test_no_more_is_handed_in_once_the_database_refuses_it() -> None:
    desk = Desk(ends={"old-1": StoreError("full")})
    work = handed_in(desk, 60)
    assert work.left in (60 - OPEN_AT_ONCE, 59 - OPEN_AT_ONCE)
    assert [str(one) for one in work.errors] == ["full"]


def test_a_record_that_cannot_be_read_ends_no_other() -> None:
    def gone() -> Evidence:
        raise OSError("old-0.pdf is gone")

    work = handed_in(desk := Desk(), 3, first=evolve(old(0), read=gone))
    assert (desk.tried, work.left) == (["old-1", "old-2"], 0)
    [error] = work.errors
    assert "old.csv:0: cannot be read again: old-0.pdf is gone" in str(error)


def test_what_goes_on_after_all_is_not_among_the_undelivered() -> None:
    held = evolve(PENDING, evidence_id="old-1", status="held", error=UNAUTHORIZED)
    work = handed_in(Desk(ends={"old-1": held}), 3)
    [one] = +work.undelivered
    assert [str(place) for place in work.places.of(one)] == ["old.csv:1 (old-1)"]
    work.places.note(one, held, -1)
    assert work.places.of(one) == []


def test_what_is_known_is_not_handed_in_again() -> None:
    known = {f"old-{n}": evolve(PENDING, evidence_id=f"old-{n}", status="failed") for n in (0, 2)}
    desk = Desk(seen=known)
    work = handed_in(desk, 4)
    assert (work.known, desk.tried) == (2, ["old-1", "old-3"])


def test_what_an_integration_stopped_counts_as_it_stands_in_the_end() -> None:
    """An earlier run handed it in; with the right key it goes on by itself."""
    stopped = {
        f"old-{n}": evolve(
            PENDING, evidence_id=f"old-{n}", status=status, attempts=1, error=UNAUTHORIZED
        )
        for n, status in enumerate(("held", "held", "failed", "failed"))
    }
    desk = Desk(seen=stopped)
    work = handed_in(desk, 5)
    assert (work.known, desk.tried, +work.undelivered) == (4, ["old-4"], {})
    done = {one: evolve(stopped[one], status="succeeded", error=None) for one in ("old-0", "old-2")}
    work.count_known_going(lambda tenant_id, ids: {**stopped, **done})
    words = ("held", "failed")
    assert work.undelivered == {Undelivered("acme", word, "unauthorized"): 1 for word in words}


PAUSED = StatusError("paused", "paused by asha since 2020-01-01 10:00 UTC: an audit", None)


def of_globex(number: int) -> OldRecord:
    evidence = evolve(old(number).read(), tenant_id="globex", evidence_id=f"globex-{number}")
    ids = ("globex", evidence.evidence_id)
    return OldRecord(Path("old.csv"), number, evidence.recorded_at, *ids, lambda: evidence)


@pytest.mark.parametrize("error", [PAUSED, UNAUTHORIZED])
@pytest.mark.parametrize("number", [1, 60])
def test_a_tenant_goes_on_that_is_resumed_while_others_go_on(
    error: StatusError, number: int
) -> None:
    """Also if all of its own were handed in."""
    home: Any = Home(Quota("credential", "address"))
    held = evolve(PENDING, evidence_id="old-0", status="held", error=error)
    desk: Any = Desk(ends={"old-0": held}, up_after=3)
    of_acme = [old(one) for one in range(number)]
    lanes: Any = {"acme": (home, of_acme), "globex": (home, [of_globex(n) for n in range(90)])}
    work = Import(desk, lanes, desk.seconds, desk.told.append)

    async def story() -> None:
        working = asyncio.create_task(desk.work())
        both = asyncio.gather(*(work.hand_in(one) for one in work.lanes))
        await asyncio.wait_for(both, 60)
        working.cancel()

    asyncio.run(story())
    assert (work.stopped, work.left) == ({}, 0)
    assert +work.by_status == Counter(succeeded=90 + number)


def test_what_is_paused_is_to_be_resumed_and_not_mended(
    tenants: Path, sandbox: SprintoSandbox, tmp_path: Path
) -> None:
    database, file = str(tmp_path / "courier.db"), write(tmp_path / "old.csv", rows(tmp_path, 3))
    SqliteStore(database).close()
    with Records.open(database) as records:
        records.pause("acme", by="asha", reason="an audit")
    stopped = imported(tenants, database, file)
    assert (stopped.exit_code, len(sandbox.received)) == (1, 0)
    assert "no more of tenant 'acme' was handed in: paused by asha since " in stopped.stderr
    assert "an audit; resume it, then give the same command again" in stopped.stderr
    with Records.open(database) as records:
        records.resume("acme", by="asha", reason="it is over")
    again = imported(tenants, database, file)
    assert (again.exit_code, len(sandbox.received)) == (0, 3), again.output
    assert "no more of tenant" not in again.stderr


def test_the_estimate_follows_from_what_was_settled_in_this_run() -> None:
    """In virtual time; the pace would take a tenth of a minute for each."""
    held = evolve(PENDING, evidence_id="old-100", status="held", error=UNAUTHORIZED)
    desk = Desk(ends={"old-100": held}, step=30.0)
    work = handed_in(desk, 200)
    took = desk.clock.monotonic() / (200 - work.left)
    estimate = work.time_left()
    assert estimate is not None
    assert estimate.observed
    assert estimate.time.total_seconds() == pytest.approx(work.left * took, rel=0.05)


def test_a_pause_and_its_end_are_reported_once(
    tenants: Path, sandbox: SprintoSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A courier delivers, and each upload has one attempt."""
    monkeypatch.setattr(outage, "FIRST_WAIT", 0.01)
    with (tenants / "acme.yaml").open("a") as file:
        file.write("    retry: {max_attempts: 1}\n")
    sandbox.use_faults(["status:503=x40"])
    files = rows(tmp_path, 28) + [
        {**one, "session_id": f"{one['session_id']}-again"} for one in rows(tmp_path, 28)
    ]
    found = imported(tenants, str(tmp_path / "courier.db"), write(tmp_path / "old.csv", files))
    assert (found.exit_code, found.stdout) == (1, "handed in: 40 failed, 16 succeeded\n")
    said = [line for line in found.stderr.splitlines() if "the import of" in line]
    assert len(said) == 2, found.stderr
    assert said[0].startswith(
        "evidence-courier: the import of tenant 'acme' pauses, as what was handed in has failed: "
        "server_error: "
    )
    assert said[1].endswith("the import of tenant 'acme' goes on: one is delivered")


def test_the_command_that_retries_what_an_outage_failed_is_shown(
    tenants: Path, sandbox: SprintoSandbox, tmp_path: Path
) -> None:
    """Also by the next run, which does not hand it in again; until it was given."""
    with (tenants / "acme.yaml").open("a") as file:
        file.write("    retry: {max_attempts: 1}\n")
    sandbox.use_faults(["status:503=x2"])
    old_records = write(tmp_path / "old.csv", rows(tmp_path, 3))
    database = str(tmp_path / "courier.db")
    lines = [imported(tenants, database, old_records).stderr.splitlines()[-1] for _ in range(2)]
    for line in lines:
        assert line.startswith("evidence-courier: 2 records of tenant 'acme' are failed with serv")
    command = lines[-1].split("`")[1].replace("NAME", "asha").replace("TEXT", "over").split()
    retried = run(*command[1:], "--yes")
    assert (retried.exit_code, retried.stdout.count("pending")) == (0, 2), retried.output
    assert "--kind" not in imported(tenants, database, old_records).stderr


def test_what_an_earlier_run_left_to_any_courier_is_named(
    tenants: Path, sandbox: SprintoSandbox, tmp_path: Path
) -> None:
    """It is not handed in again, and not delivered: the second run is no sign that all is done."""
    with (tenants / "acme.yaml").open("a") as file:
        file.write("    retry: {initial_delay: 1h, max_delay: 1h}\n")
    sandbox.use_faults(["status:503=x2"])
    old_records = write(tmp_path / "old.csv", rows(tmp_path, 3))
    database = str(tmp_path / "courier.db")
    first, again = (imported(tenants, database, old_records) for _ in range(2))
    assert (first.exit_code, again.exit_code) == (0, 0), again.output
    assert "3 recorded before, 2 of them not delivered yet" in again.stdout
    for one in (first, again):
        assert "what is retrying goes on with any courier on the database" in one.stderr
    told = json.loads(imported(tenants, database, old_records, "--json").stdout)
    assert (told["known"], told["known_open"]) == (3, 2)


def test_what_is_refused_for_good_fails_each_run_until_it_is_mended(
    tenants: Path, sandbox: SprintoSandbox, database: str, tmp_path: Path
) -> None:
    """And the command for it is shown, which is the same in each run."""
    sandbox.use_faults(["status:400=x2"])
    old_records = write(tmp_path / "old.csv", rows(tmp_path, 3))
    first, again = (imported(tenants, database, old_records) for _ in range(2))
    assert (first.exit_code, again.exit_code) == (1, 1), again.output
    lines = [line for line in again.stderr.splitlines() if "another evidence id" in line]
    assert [line for line in first.stderr.splitlines() if line in lines] == lines
    (line,) = lines
    # What is shown has no password, and says where it comes from.
    password = re.search("password=(\\w+)", database)
    secret = password and password[1]
    assert secret is None or secret not in again.stderr
    assert ("PGPASSWORD or ~/.pgpass" in again.stderr) is (secret is not None)
    assert "2 records of tenant 'acme' are failed with bad_request, and nothing more is" in line
    commands = line.split("`")[1::2]
    listed = run(*shlex.split(commands[0])[1:], "--json", password=secret)
    assert [one["error"]["kind"] for one in json.loads(listed.stdout)] == ["bad_request"] * 2
    (told,) = json.loads(imported(tenants, database, old_records, "--json").stdout)["undelivered"]
    assert f"`{commands[1]}`" in told.pop("to_do")
    assert {one["line"] for one in told.pop("places")} < {2, 3, 4}
    values = {"status": "failed", "reason": "bad_request", "records": 2}
    assert told == {"tenant_id": "acme", **values}
    retried = run(*shlex.split(commands[1])[1:], "--yes", password=secret)
    assert retried.exit_code == 0, retried.output
    last = imported(tenants, database, old_records)
    assert (last.exit_code, "bad_request" in last.stderr) == (0, False), last.output


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        ("held", "timeout", ("status --db F", "attest --db F acme EVIDENCE_ID", "release --db F")),
        ("failed", "unknown_status", ("status --db F", "attest --db F acme", "retry --db F")),
        ("failed", "server_error", ("retry --db F",)),
        ("failed", "unauthorized", ("blocks --db F",)),
        ("failed", "unfit_size", ("status --db F", "retry --db F")),
        ("failed", "unfit_type", ("status --db F",)),
        ("failed", "too_large", ("status --db F",)),
        ("failed", "unsupported_type", ("status --db F",)),
        ("held", "paused", ("blocks --db F",)),
        ("failed", "abandoned", None),
        ("retrying", "server_error", None),
    ],
)
def test_each_kind_of_end_has_commands_of_its_own(
    status: str, kind: str, words: tuple[str, ...] | None
) -> None:
    error = StatusError(kind, "as it is", None)
    found = Undelivered.of(evolve(PENDING, status=status, error=error))
    assert (found is None) is (words is None)
    if words is None or found is None:
        return
    to_do = found.to_do("--db F")
    commands = to_do.split("`")[1::2]
    assert len(commands) == len(words)
    for command, start in zip(commands, words, strict=True):
        assert command.startswith(f"evidence-courier {start}")


def test_commands_are_for_the_tenant_that_is_named_whatever_its_name() -> None:
    to_do = Undelivered("we retry it", "held", "timeout").to_do("--db 'a retry file'")
    release = shlex.split(to_do.split("`")[-2])
    assert release[1:6] == ["release", "--db", "a retry file", "--tenant", "we retry it"]


def test_the_estimate_counts_what_is_fresh_before_old_records(
    tenants: Path, tmp_path: Path
) -> None:
    database, acme = str(tmp_path / "courier.db"), tenants / "acme.yaml"
    acme.write_text(acme.read_text().replace("60000/min", "2/min"))

    async def fresh() -> None:
        keys = EnvironSecrets({"ACME_KEY": "the-key-of-the-sandbox"})
        courier = AsyncCourier.from_config(tenants, database, secrets=keys, background=False)
        async with courier:
            for number in range(7):
                one = evolve(old(number).read(), evidence_id=f"fresh-{number}")
                await courier.submit(one).recorded()
        told, work = AsyncCourier.from_config(tenants, database, secrets=keys), old(0)
        told._wiring.background = False
        async with told:
            home = told._tenants.submitted("acme")
            assert home is not None
            lanes: Any = {"acme": (home.for_backfill(True), [work] * 3)}
            import_ = Import(told, lanes, told._clock.monotonic, print)
            about = await importing._about(told, import_)
            assert about == "; about 6 min at the providers' pace, behind 7 fresh uploads"

    asyncio.run(fresh())
