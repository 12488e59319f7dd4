"""The command line as a person and as a program use it, against a sandbox."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner, Result

from evidence_courier.adapters.engines.tickets import Ticket
from evidence_courier.bootstrap.cli import output
from evidence_courier.bootstrap.cli import sandbox as sandbox_command
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.bootstrap.records import Records
from evidence_courier.domain.upload.find import Page
from evidence_courier.testing.sandboxes import SprintoSandbox, sandbox_in_thread
from evidence_courier.testing.sandboxes.bodies import UploadedFile
from evidence_courier.testing.sandboxes.sprinto_checks import CheckRefusedError

RECORD = {
    "schema_version": 1,
    "tenant_id": "acme",
    "evidence_id": "ev-record",
    "session_id": "s-1",
    "employee": {"id": "emp-7"},
    "training": {
        "title": "Security attestation",
        "type": "annual",
        "attempt": 1,
        "max_attempts": 3,
    },
    "outcome": {"status": "passed", "score": 0.86, "pass_threshold": 0.7},
    "started_at": "2026-02-21T09:12:00Z",
    "completed_at": "2026-02-21T10:00:00Z",
    "generated_at": "2026-02-21T10:00:03Z",
    "modules": [],
}
SAID = (
    "--session",
    "s-9",
    "--subject",
    "emp-9",
    "--outcome",
    "exhausted",
    "--recorded-at",
    "2026-02-21T10:00:00+05:30",
)


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
    retry: {{max_attempts: 2, initial_delay: 10ms, max_delay: 50ms}}
"""
    )
    (folder / "initech.yaml").write_text("name: Initech\n")
    return folder


def run(*args: object, key: str | None = "the-key-of-the-sandbox") -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"ACME_KEY": key})


def submit(tenants: Path, *args: object, tenant: str = "acme") -> Result:
    return run(
        "submit",
        "--config",
        tenants,
        "--db",
        tenants.parent / "courier.db",
        "--tenant",
        tenant,
        *args,
    )


def a_document(folder: Path) -> Path:
    file = folder / "ev-document.pdf"
    file.write_bytes(b"%PDF-1.7 a document")
    return file


def test_check_prints_a_line_for_each_tenant(tenants: Path) -> None:
    result = run("check", tenants)
    assert result.exit_code == 0, result.output
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[:3] for line in lines] == [
        ["tenant", "name", "provider"],
        ["acme", "ACME Corp", "sprinto"],
        ["initech", "Initech", "none"],
    ]
    rows = json.loads(run("check", tenants, "--json").stdout)
    assert [(row["tenant_id"], row["provider"]) for row in rows] == [
        ("acme", "sprinto"),
        ("initech", None),
    ]


def test_check_prints_the_schedule_that_follows_from_the_policy(tenants: Path) -> None:
    text = (tenants / "acme.yaml").read_text()
    own = "{max_attempts: 2, initial_delay: 10ms, max_delay: 50ms}"
    day = "{max_attempts: 100, max_delay: 1h, give_up_after: 24h}"
    (tenants / "globex.yaml").write_text(text.replace(own, day))
    (tenants / "hooli.yaml").write_text(text.replace(own, day.replace("24h", "3d")))
    result = run("check", tenants)
    for tenant, schedule in (
        ("acme", "2 attempts within 10 to 20 ms and the requests' own time"),
        ("globex", "at most 56 attempts within 24 h, the requests' own time included"),
        ("hooli", "at most 100 attempts within 45.7 to 72 h, the requests' own time included"),
    ):
        sentence = f"{schedule}; an outage longer than that needs `retry` by a person"
        assert f"retry: {tenant}: {sentence}\n" in result.stderr
        rows = json.loads(run("check", tenants, "--json").stdout)
        assert {row["tenant_id"]: row["schedule"] for row in rows}[tenant] == sentence


def test_check_warns_of_two_paces_for_the_same_credentials(tenants: Path) -> None:
    text = (tenants / "acme.yaml").read_text()
    (tenants / "globex.yaml").write_text(f"{text}    pace: 5/min\n")
    result = run("check", tenants)
    assert result.exit_code == 0, result.output
    assert "note: tenant acme: it shares its credentials with tenant globex" in result.stderr
    assert "whose pace is 5/min" in result.stderr


def test_check_warns_of_a_pace_that_holds_less_than_one_upload(tenants: Path) -> None:
    (tenants / "globex.yaml").write_text(
        """\
integrations:
  compliance:
    provider: secureframe
    api_key: ${ACME_KEY}
    api_secret: ${ACME_KEY}
    test: 3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77
    pace: 1/min
"""
    )
    (row,) = [
        row
        for row in json.loads(run("check", tenants, "--json").stdout)
        if row["tenant_id"] == "globex"
    ]
    assert row["problems"] == []
    assert any("holds less than the 3 requests of one upload" in one for one in row["advice"])


def test_check_says_where_each_problem_stands_and_never_shows_a_secret(tenants: Path) -> None:
    (tenants / "globex.yaml").write_text(
        "integrations:\n  compliance:\n    provider: sprintoo\n    api_key: "
        "sk-literal-secret-value\n"
    )
    result = run("check", tenants, key=None)
    assert result.exit_code == 2
    assert "globex.yaml:3: integrations.compliance.provider:" in result.stderr
    assert "did you mean sprinto?" in result.stderr
    assert "ACME_KEY" in result.stderr
    assert "literal-secret" not in result.output


def test_a_document_is_delivered_and_can_be_seen(tenants: Path, sandbox: SprintoSandbox) -> None:
    result = submit(tenants, *SAID, "--json", a_document(tenants.parent))
    assert result.exit_code == 0, result.output
    [row] = json.loads(result.stdout)
    assert (row["evidence_id"], row["status"], row["attempts"], row["error"]) == (
        "ev-document",
        "succeeded",
        1,
        None,
    )
    assert row["receipt"] == {"reference": None, "message": "Evidence uploaded for this check"}
    assert row["evidence_date"] == "2026-02-21"
    assert sandbox.copies(row["digest"]) == 1

    database = tenants.parent / "courier.db"
    listed = json.loads(run("status", "--db", database, "--json", "--status", "succeeded").stdout)
    assert listed == [row]
    shown = json.loads(run("show", "--db", database, "acme", "ev-document", "--json").stdout)
    assert {name: shown[name] for name in row} == row
    assert [attempt["verdict"] for attempt in shown["history"]] == ["delivered"]
    assert shown["actions"] == []
    plain = run("status", "--db", database).stdout.splitlines()
    assert plain[1].split("\t")[:4] == ["acme", "ev-document", "sprinto", "succeeded"]
    assert "verdict" in run("show", "--db", database, "acme", "ev-document").stdout


def test_a_training_record_brings_its_own_ids(tenants: Path, sandbox: SprintoSandbox) -> None:
    file = tenants.parent / "any-name.json"
    file.write_text(json.dumps(RECORD))
    result = submit(tenants, "--json", file)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[0]["evidence_id"] == "ev-record"
    [received] = sandbox.received
    assert received.media_type == "application/pdf"
    assert received.file_name.startswith("ev-record-")


def test_a_failed_upload_makes_the_exit_code_1(tenants: Path, sandbox: SprintoSandbox) -> None:
    sandbox.use_faults(["status:503=1"])
    result = submit(tenants, *SAID, a_document(tenants.parent))
    assert result.exit_code == 1
    assert "server_error: " in result.stdout
    assert result.stdout.count("HTTP 503") == 1
    assert "possible duplicate" in result.stdout


def test_a_tenant_without_an_integration_has_nothing_sent(
    tenants: Path, sandbox: SprintoSandbox
) -> None:
    result = submit(tenants, *SAID, a_document(tenants.parent), tenant="initech")
    assert result.exit_code == 0
    assert "no integration" in result.stderr
    assert not sandbox.received


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["ev.pdf"], "--session, --subject, --outcome and --recorded-at"),
        ([*SAID, "missing.pdf"], "not a file"),
        (["missing.json"], "cannot be read"),
        (["other.json"], "not of 'acme'"),
        (["broken.json"], "modules[0].title"),
        ([*SAID[:-1], "2026-02-21", "ev.pdf"], "time zone"),
    ],
)
def test_usage_errors_end_with_exit_code_2(tenants: Path, args: list[str], says: str) -> None:
    folder = tenants.parent
    (folder / "ev.pdf").write_bytes(b"%PDF")
    (folder / "other.json").write_text(json.dumps({**RECORD, "tenant_id": "globex"}))
    (folder / "broken.json").write_text(
        json.dumps({**RECORD, "modules": [{"score": 1, "questions": []}]})
    )
    result = submit(
        tenants,
        *(
            str(folder / arg) if "." in arg and not arg.startswith(("-", "2")) else arg
            for arg in args
        ),
    )
    assert result.exit_code == 2, result.output
    assert says in result.stderr


def test_a_database_that_is_none_has_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text(
        "this is not a database, but a text that is long enough to be taken for one" * 20
    )
    assert run("status", "--db", tmp_path / "no.db").exit_code == 3
    assert run("status", "--db", tmp_path / "missing.db").exit_code == 3


@pytest.mark.parametrize("command", [("status", "--tenant"), ("status", "--json", "--tenant")])
def test_a_tenant_without_any_upload_is_named_and_the_near_one(
    tenants: Path, command: tuple[str, ...]
) -> None:
    submit(tenants, *SAID, a_document(tenants.parent))
    database = tenants.parent / "courier.db"
    result = run(*command, "acm", "--db", database)
    assert (result.exit_code, result.stdout.strip()) == (2, "[]" if "--json" in command else "")
    assert f"tenant 'acm' has no upload in {database}; did you mean 'acme'?" in result.stderr
    result = run(*command, "acme", "--status", "held", "--db", database)
    assert result.exit_code == 0


@pytest.mark.parametrize(
    "command",
    [
        ("status", "--tenant", "ACMEE"),
        ("status", "--group-by", "reason", "--tenant", "ACMEE"),
        ("show", "ACMEE", "ev-document"),
        ("export", "--tenant", "ACMEE"),
        ("removals", "--tenant", "ACMEE"),
        ("pause", "--tenant", "ACMEE", "--by", "me", "--reason", "x"),
        ("erase", "--tenant", "ACMEE", "--subject", "s", "--by", "me", "--reason", "x"),
    ],
    ids=" ".join,
)
def test_the_near_tenant_is_found_behind_newer_uploads_of_others(
    tenants: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(tenants, *SAID, a_document(tenants.parent))
    (tenants / "globex.yaml").write_text((tenants / "acme.yaml").read_text())
    submit(tenants, *SAID, a_document(tenants.parent), tenant="globex")
    newest = Records.find

    def one_at_once(records: Records, **asked: Any) -> Page:
        asked["limit"] = 1
        return newest(records, **asked)

    monkeypatch.setattr(Records, "find", one_at_once)
    result = run(command[0], "--db", tenants.parent / "courier.db", *command[1:])
    assert (result.exit_code, "did you mean 'acme'?" in result.stderr) == (2, True)


def test_a_list_that_is_cut_says_so_with_json_too(tenants: Path) -> None:
    another = tenants.parent / "ev-another.pdf"
    another.write_bytes(b"%PDF-1.7 another")
    submit(tenants, *SAID, a_document(tenants.parent), another)
    for args, number, said in (((), 2, ""), (("--limit", 1), 1, "--limit shows more")):
        result = run("status", "--json", "--db", tenants.parent / "courier.db", *args)
        assert len(json.loads(result.stdout)) == number
        assert said in result.stderr and bool(result.stderr) is bool(said)


def test_a_database_is_opened_whatever_click_thinks_of_its_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed.db").write_text("no database" * 20)
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused = run("status", "--db", tmp_path / "closed.db")
    assert (refused.exit_code, "EVIDENCE_COURIER_DB" in refused.stderr) == (3, False)
    listed = run("check", tmp_path)
    assert (listed.exit_code, "holds no tenant file" in listed.stderr) == (2, True)


def test_show_and_actions_name_the_near_tenant(tenants: Path) -> None:
    submit(tenants, *SAID, a_document(tenants.parent))
    database = tenants.parent / "courier.db"
    shown = run("show", "--db", database, "acm", "ev-document")
    assert (shown.exit_code, "did you mean 'acme'?" in shown.stderr) == (2, True)
    why = ("--by", "me", "--reason", "to see")
    retried = run("retry", "--db", database, "--tenant", "acm", *why)
    assert (retried.exit_code, "did you mean 'acme'?" in retried.stderr) == (2, True)
    for action in ("retry", "release", "abandon", "attest"):
        done = run(action, "--db", database, "acm", "ev-document", *why)
        assert (done.exit_code, done.stderr) == (2, shown.stderr)
        done = run(action, "--db", database, "acme", "ev-x", *why)
        listed = f"`evidence-courier status --db {database} --tenant acme` lists its uploads"
        assert (done.exit_code, listed in done.stderr) == (2, True)


@pytest.mark.parametrize("width", [80, 160])
def test_a_terminal_shows_every_column_and_a_repeated_reason_once(
    tenants: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    another = tenants.parent / "ev-another.pdf"
    another.write_bytes(b"%PDF-1.7 another document\x1b[2J")
    file = tenants / "acme.yaml"
    file.write_text(re.sub("endpoint: .*", r"\g<0>/nowhere", file.read_text()))
    submit(tenants, *SAID, a_document(tenants.parent), another)
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    shown = run("status", "--db", tenants.parent / "courier.db").stdout
    (status, _) = json.loads(run("status", "--json", "--db", tenants.parent / "courier.db").stdout)
    for words in ("acme", "sprinto", "ev-another", "ev-document", status["last_attempt_at"][:19]):
        assert words in shown
    assert all(len(line) <= width for line in shown.splitlines())
    assert shown.count("not_found") == 1
    assert shown.count("as above") == 1


def test_an_unknown_evidence_has_exit_code_2(tenants: Path) -> None:
    submit(tenants, *SAID, a_document(tenants.parent))
    result = run("show", "--db", tenants.parent / "courier.db", "acme", "ev-unknown")
    assert result.exit_code == 2
    assert "evidence-courier status" in result.stderr


@pytest.mark.parametrize(
    ("provider", "ending"),
    [("sprinto", "/dev-api/graphql"), ("vanta", ""), ("drata", "/public/v2"), ("secureframe", "")],
)
def test_a_sandboxs_first_line_is_the_url_for_endpoint(provider: str, ending: str) -> None:
    command = [
        sys.executable,
        "-c",
        "from evidence_courier.bootstrap.cli import main; main()",
        "sandbox",
        provider,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline().strip()
        process.terminate()
        assert process.wait(timeout=20) == 0
    assert re.fullmatch(rf"http://127\.0\.0\.1:[0-9]+{ending}", first)


@pytest.mark.parametrize("provider", ["sprinto", "sprinto-rest"])
def test_a_check_is_in_review_by_an_option(
    provider: str, tenants: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Any] = []

    async def serve(box: Any) -> None:
        built.append(box)

    monkeypatch.setattr(sandbox_command, "_serve", serve)
    assert run("sandbox", provider, "--check", "a", "--in-review", "b").exit_code == 0
    checks = built[0]._checks
    today = date(2026, 2, 21)
    file = UploadedFile("ev.pdf", "application/pdf", b"%PDF")
    checks.admit("a", today, file, today=today)
    with pytest.raises(CheckRefusedError, match="Check in review"):
        checks.admit("b", today, file, today=today)


@pytest.mark.parametrize("provider", ["sprinto", "vanta", "drata", "secureframe"])
def test_an_unknown_fault_is_refused_and_the_near_one_named(provider: str) -> None:
    result = run("sandbox", provider, "--fault", "slience=0.1")
    assert result.exit_code == 2
    assert "silence" in result.stderr


def test_two_processes_that_submit_the_same_evidence_make_one_upload(
    tenants: Path, sandbox: SprintoSandbox
) -> None:
    files = []
    for number in range(8):
        file = tenants.parent / f"ev-{number}.pdf"
        file.write_bytes(b"%PDF-1.7 " + str(number).encode())
        files.append(str(file))
    call = "from evidence_courier.bootstrap.cli import main; main()"
    options = [
        "submit",
        "--config",
        str(tenants),
        "--db",
        str(tenants.parent / "courier.db"),
        "--tenant",
        "acme",
        *SAID,
    ]
    command = [sys.executable, "-c", call, *options, "--json", *files]
    environment = {**os.environ, "ACME_KEY": "the-key-of-the-sandbox"}
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) for _ in range(2)
    ]
    answers = [process.communicate(timeout=60)[0] for process in processes]
    for process, answer in zip(processes, answers, strict=True):
        assert process.returncode == 0
        assert [row["status"] for row in json.loads(answer)] == ["succeeded"] * 8
    assert len(sandbox.received) == 8
    assert len({upload.sha256 for upload in sandbox.received}) == 8


def test_two_files_that_would_be_one_evidence_are_refused(
    tenants: Path, sandbox: SprintoSandbox
) -> None:
    document = a_document(tenants.parent)
    other = document.with_suffix(".csv")
    other.write_text("another document")
    result = submit(tenants, *SAID, document, other)
    assert result.exit_code == 2
    assert "would both be evidence 'ev-document'" in result.stderr
    assert result.stderr.rstrip().endswith("submit them one by one with --evidence-id")
    assert not sandbox.received


def test_another_document_under_a_known_id_is_named_and_is_no_success(tenants: Path) -> None:
    document = a_document(tenants.parent)
    submit(tenants, *SAID, document)
    document.write_bytes(b"%PDF-1.7 another")
    result = submit(tenants, *SAID, document)
    assert result.exit_code == 1
    assert "known with another document" in result.stderr


def test_what_was_delivered_is_shown_though_another_file_could_not_be_read(tenants: Path) -> None:
    os.mkfifo(tenants.parent / "a-pipe.pdf")
    result = submit(
        tenants, *SAID, "--json", a_document(tenants.parent), tenants.parent / "a-pipe.pdf"
    )
    assert result.exit_code == 2
    assert "is not a file" in result.stderr


def test_the_demo_removes_nothing_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    examples = Path(__file__).parents[2] / "examples"
    result = run("demo", "--examples", examples, "--out", tmp_path)
    assert result.exit_code == 2
    assert "is not empty" in result.stderr
    assert (tmp_path / "thesis.txt").exists()


def test_a_port_that_cannot_be_is_a_usage_error() -> None:
    assert run("sandbox", "sprinto", "--port", "99999").exit_code == 2


def test_check_ends_with_2_for_an_empty_folder_and_names_other_files(
    tmp_path: Path,
) -> None:
    empty = run("check", str(tmp_path))
    assert (empty.exit_code, "holds no tenant file" in empty.stderr) == (2, True)
    (tmp_path / "ACME.YAML").write_text("")
    named = run("check", str(tmp_path))
    assert (named.exit_code, "ACME.YAML: is not read" in named.stderr) == (2, True)
    (tmp_path / "acme.yaml").write_text("")
    nothing = run("check", str(tmp_path))
    assert (nothing.exit_code, "acme.yaml: holds nothing" in nothing.stderr) == (2, True)
    (tmp_path / "acme.yaml").write_text("integrations: {}")
    other = run("check", "--block", "integrations.grc", str(tmp_path))
    assert other.exit_code == 0
    assert "warning: " in other.stderr
    assert "no tenant has the block `integrations.grc`" in other.stderr


def test_records_of_several_tenants_are_submitted_together(tenants: Path) -> None:
    """Each names its own. Two may have the same evidence id, and one may have no integration."""
    (tenants / "globex.yaml").write_text((tenants / "acme.yaml").read_text())
    folder, files = tenants.parent, list[Path]()
    for name in ("acme", "globex", "initech"):
        files.append(folder / f"{name}.json")
        files[-1].write_text(json.dumps({**RECORD, "tenant_id": name}))
    place = ("submit", "--config", tenants, "--db", folder / "courier.db")
    done = run(*place, "--json", *files)
    assert done.exit_code == 0, done.output
    assert [one["tenant_id"] for one in json.loads(done.stdout)] == ["acme", "globex"]
    assert "tenant 'initech' has no integration: nothing was sent" in done.stderr
    alone = run(*place, "--json", files[-1])
    assert (alone.exit_code, json.loads(alone.stdout)) == (0, [])
    document = run(*place, *SAID, a_document(folder))
    assert (document.exit_code, "give --tenant, --session" in document.stderr) == (2, True)


def test_submit_says_when_another_process_tried_it_last(
    tenants: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ticket does not know it then."""
    settled = Ticket.settled

    async def without(self: Ticket) -> Any:
        status = await settled(self)
        return status and attrs.evolve(status, last_attempt_at=None)

    monkeypatch.setattr(Ticket, "settled", without)
    (told,) = json.loads(submit(tenants, "--json", *SAID, a_document(tenants.parent)).stdout)
    assert (told["attempts"], told["last_attempt_at"] is None) == (1, False)


def test_submit_counts_only_the_file_of_the_tenant_that_is_asked_for(tenants: Path) -> None:
    (tenants / "globex.yaml").write_text("integrations:\n  compliance: [1\n")
    file = a_document(tenants.parent)
    done = submit(tenants, *SAID, file)
    assert (done.exit_code, done.stderr) == (0, "")
    broken = submit(tenants, *SAID, file, tenant="globex")
    assert (broken.exit_code, "globex.yaml:2: is not valid YAML" in broken.stderr) == (2, True)
    unknown = submit(tenants, *SAID, file, tenant="initch")
    first, second = unknown.stderr.splitlines()
    assert (unknown.exit_code, "globex.yaml:2: is not valid YAML" in second) == (2, True)
    assert "tenant 'initch' is not in the configuration" in first


def test_submit_ends_with_2_for_an_unknown_tenant_and_touches_no_database(
    tenants: Path, tmp_path: Path
) -> None:
    file = tmp_path / "ev.pdf"
    file.write_bytes(b"%PDF")
    unknown = submit(tenants, *SAID, file, tenant="initch")
    assert unknown.exit_code == 2
    assert "'initch' is not in the configuration" in unknown.stderr
    assert "did you mean 'initech'" in unknown.stderr
    without = submit(tenants, *SAID, file, tenant="initech")
    assert (without.exit_code, "has no integration" in without.stderr) == (0, True)
    assert not (tmp_path / "courier.db").exists()
