"""`evidence-courier doctor`: a dry run at the providers, as a person and as a program see it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from loopback import on_loopback
from plug_in_host import evidence
from plug_ins import install, shelf
from postgres_server import server

from evidence_courier import Courier, Records
from evidence_courier.adapters.secrets import EnvironSecrets
from evidence_courier.adapters.stores.databases import is_made
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.testing.sandboxes import SprintoSandbox, VantaSandbox, sandbox_in_thread

KEY = "the-key-of-the-sandbox"
CHECK = "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"
SEEN = (
    "the check 'Security awareness' is activated; if it is in review, which an upload shows, its "
    "uploads are parked meanwhile"
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SprintoSandbox]:
    checks = {f"pk-{number}": f"Check {number}" for number in range(150)} | {
        CHECK: "Security awareness"
    }
    with sandbox_in_thread(SprintoSandbox(key=KEY, checks=checks)) as box:
        yield box


@pytest.fixture
def tenants(tmp_path: Path) -> Path:
    folder = tmp_path / "tenants"
    folder.mkdir()
    return folder


@pytest.fixture
def plugs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that plug-ins can be installed into."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def sprinto(
    folder: Path, tenant: str, url: str, *lines: str, check: str = CHECK, key: str = "KEY"
) -> None:
    block = [f"api_key: ${{{key}}}", f"workflow_check: {check}", f"endpoint: {url}", *lines]
    a_tenant(folder, tenant, "sprinto", *block)


def a_tenant(folder: Path, tenant: str, provider: str, *lines: str) -> None:
    block = "".join(f"    {line}\n" for line in (f"provider: {provider}", *lines))
    (folder / f"{tenant}.yaml").write_text(
        f"name: {tenant.title()}\nintegrations:\n  compliance:\n{block}"
    )


def doctor(folder: Path, *args: object) -> Result:
    environ = {"KEY": KEY, "WRONG": "a-wrong-key-in-words"}
    return CliRunner().invoke(app, ["doctor", str(folder), *map(str, args)], env=environ)


def verdicts(result: Result) -> dict[str, str]:
    return {row["tenant_id"]: row["verdict"] for row in json.loads(result.stdout)}


def test_a_line_for_each_tenant_says_whether_uploads_would_work(
    tenants: Path, sandbox: SprintoSandbox
) -> None:
    sprinto(tenants, "acme", sandbox.url)
    (tenants / "initech.yaml").write_text("name: Initech\n")
    result = doctor(tenants)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "tenant\tprovider\tverdict\twhat was seen",
        f"acme\tsprinto\tready\t{SEEN}",
        "initech\t\tno integration\t",
    ]
    assert sandbox.received == ()


def test_what_is_not_ready_ends_with_exit_code_1_and_says_who_must_do_what(
    tenants: Path, sandbox: SprintoSandbox
) -> None:
    sprinto(tenants, "acme", sandbox.url)
    sprinto(tenants, "globex", sandbox.url, key="WRONG")
    sprinto(tenants, "hooli", sandbox.url, check="no-such-check")
    result = doctor(tenants, "--json")
    assert result.exit_code == 1, result.output
    acme, globex, hooli = json.loads(result.stdout)
    assert acme == {
        "tenant_id": "acme",
        "name": "Acme",
        "provider": "sprinto",
        "target": f"workflow check {CHECK} at {sandbox.url.removeprefix('http://')}",
        "verdict": "ready",
        "kind": None,
        "message": SEEN,
        "http_status": None,
        "detail": None,
    }
    assert (globex["verdict"], globex["kind"], globex["http_status"]) == (
        "not_ready",
        "unauthorized",
        401,
    )
    assert "ask the Sprinto admin for a new key" in globex["message"]
    assert (hooli["verdict"], hooli["kind"]) == ("not_ready", "target_not_found")
    assert "is not among the activated checks of this API key (151 listed)" in hooli["message"]
    assert "a-wrong-key-in-words" not in result.output and KEY not in result.output


def test_an_unreachable_server_is_reported(tenants: Path) -> None:
    sprinto(tenants, "acme", "http://127.0.0.1:9/graphql")
    result = doctor(tenants, "--json")
    [row] = json.loads(result.stdout)
    assert (result.exit_code, row["kind"]) == (1, "no_connection")


def test_an_invalid_tenant_is_reported_and_the_others_are_still_asked(
    tenants: Path, sandbox: SprintoSandbox
) -> None:
    sprinto(tenants, "acme", sandbox.url)
    sprinto(tenants, "globex", sandbox.url, "regoin: us")
    result = doctor(tenants, "--json")
    assert result.exit_code == 2
    assert verdicts(result) == {"acme": "ready", "globex": "invalid"}
    assert (
        "globex.yaml:8: integrations.compliance.regoin: is not a known key (did you mean region?)"
        in result.stderr
    )


def test_a_provider_without_a_dry_run_cannot_be_checked_without_blame(
    tenants: Path, plugs: Path
) -> None:
    install(plugs, "plain", shelf("plain"))
    a_tenant(tenants, "acme", "plain", "key: ${KEY}", "endpoint: https://plain.test/")
    result = doctor(tenants)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1] == (
        "acme\tplain\tcannot be checked\tplain has no dry run; evidence goes to a shelf"
    )


def test_a_plug_in_that_raises_is_broken_and_no_secret_is_shown(
    tenants: Path, plugs: Path, sandbox: SprintoSandbox
) -> None:
    raising = [
        "def check(self, settings):",
        "    raise RuntimeError(f'oh {settings.key.reveal()}')",
    ]
    install(plugs, "raising", shelf("raising", *raising))
    a_tenant(tenants, "acme", "raising", "key: ${KEY}", "endpoint: https://raising.test/")
    sprinto(tenants, "globex", sandbox.url)
    result = doctor(tenants, "--json")
    assert (result.exit_code, verdicts(result)) == (1, {"acme": "broken", "globex": "ready"})
    assert "the adapter for raising raised RuntimeError in its dry run: oh ***" in result.stdout
    assert KEY not in result.output


def test_a_provider_that_takes_no_more_requests_for_now_cannot_be_checked(tenants: Path) -> None:
    with sandbox_in_thread(SprintoSandbox(key=KEY, faults=["status:429:retry-after=30=1"])) as box:
        sprinto(tenants, "acme", box.url)
        result = doctor(tenants)
    assert (result.exit_code, result.stdout.splitlines()[1].split("\t")[2:]) == (
        0,
        [
            "cannot be checked",
            "Sprinto takes no more requests for now (HTTP 429); ask again in 30 s",
        ],
    )


def test_a_courier_goes_on_with_a_new_token_after_a_doctor_beside_it(
    tenants: Path, tmp_path: Path
) -> None:
    """The doctor has no --db here, so it ends the token that the courier has."""
    with sandbox_in_thread(VantaSandbox(key=KEY)) as box:
        lines = ("client_id: sandbox-client", "client_secret: ${KEY}", f"endpoint: {box.url}")
        a_tenant(tenants, "acme", "vanta", *lines, "document: security-awareness-training")
        keys = EnvironSecrets({"KEY": KEY})
        with Courier.from_config(tenants, tmp_path / "courier.db", secrets=keys) as courier:
            for number in (1, 2):
                status = courier.submit(evidence(f"acme/e-{number}")).settled(timeout=60)
                assert status is not None
                assert (status.status, status.attempts) == ("succeeded", 1)
                if number == 1:
                    assert verdicts(doctor(tenants, "--json")) == {"acme": "ready"}
        assert (len(box.received), box.tokens_minted) == (2, 3)


def test_with_a_database_its_pace_holds_and_a_distant_turn_is_reported(
    tenants: Path, tmp_path: Path, sandbox: SprintoSandbox
) -> None:
    database = tmp_path / "courier.db"
    SqliteStore(str(database)).close()
    sprinto(tenants, "acme", sandbox.url, "pace: 2/h")
    assert verdicts(doctor(tenants, "--db", database, "--json")) == {"acme": "ready"}
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM slots").fetchone() == (2,)  # two pages
    result = doctor(tenants, "--db", database, "--json")
    assert (result.exit_code, verdicts(result)) == (0, {"acme": "cannot_be_checked"})
    [row] = json.loads(result.stdout)
    assert row["kind"] == "rate_limited" and "leaves no room before 2" in row["message"]
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM blocks").fetchone() == (0,)


def test_a_tenant_that_a_person_has_paused_is_ready_but_paused(
    tenants: Path, sandbox: SprintoSandbox, tmp_path: Path
) -> None:
    database = str(tmp_path / "courier.db")
    SqliteStore(database).close()
    sprinto(tenants, "acme", sandbox.url)
    with Records.open(database) as records:
        records.pause("acme", by="asha", reason="an audit")
    [row] = json.loads(doctor(tenants, "--db", database, "--json").stdout)
    assert row["verdict"] == "ready" and "; but paused by asha since 2" in row["message"]


def test_without_a_database_tenants_that_share_a_key_share_its_pace(
    tenants: Path, sandbox: SprintoSandbox
) -> None:
    for name in ("acme", "globex"):
        sprinto(tenants, name, sandbox.url, "pace: 2/h")
    assert sorted(verdicts(doctor(tenants, "--json")).values()) == ["cannot_be_checked", "ready"]


def test_a_target_that_takes_nothing_now_is_parked_as_the_database_knows(
    tenants: Path, tmp_path: Path
) -> None:
    database, file = tmp_path / "courier.db", tmp_path / "ev-1.pdf"
    file.write_bytes(b"%PDF-1.7")
    said = "--session s --subject p --outcome passed --recorded-at 2026-02-21T10:00:00Z".split()
    with sandbox_in_thread(SprintoSandbox(key=KEY, in_review=[CHECK, "pk-2"])) as box:
        sprinto(tenants, "acme", box.url)
        sprinto(tenants, "globex", box.url, check="pk-2")
        box.use_faults(["status:401=x1"])
        for tenant in ("globex", "acme"):
            args = ["submit", "--config", tenants, "--db", database, "--tenant", tenant, *said]
            runner = CliRunner().invoke(app, [*map(str, args), str(file)], env={"KEY": KEY})
            assert runner.exit_code == 1, runner.output
        result = doctor(tenants, "--db", database, "--json")
    assert (result.exit_code, verdicts(result)) == (1, {"acme": "parked", "globex": "blocked"})
    parked, blocked = json.loads(result.stdout)
    assert (parked["kind"], blocked["kind"]) == ("check_in_review", "unauthorized")
    assert "; but parked until 2" in parked["message"] and "since 2" in parked["message"]
    assert parked["message"].endswith(
        ": its uploads go again by themselves then, at once if a person "
        "releases them; retry what has failed meanwhile"
    )
    assert "; but blocked since 2" in blocked["message"]
    assert "Z, as an upload showed: Sprinto refused the credentials" in blocked["message"]


def test_a_block_of_settings_that_were_changed_is_listed_and_doctor_knows(
    tenants: Path, tmp_path: Path, sandbox: SprintoSandbox
) -> None:
    database, file = tmp_path / "courier.db", tmp_path / "ev-1.pdf"
    file.write_bytes(b"%PDF-1.7")
    sprinto(tenants, "acme", sandbox.url, key="WRONG")
    said = "--session s --subject p --outcome passed --recorded-at 2026-02-21T10:00:00Z".split()
    given = ["submit", "--config", tenants, "--db", database, "--tenant", "acme", *said, file]
    CliRunner().invoke(app, [*map(str, given)], env={"WRONG": "a-wrong-key-in-words"})
    sprinto(tenants, "acme", sandbox.url)
    listed = CliRunner().invoke(app, ["blocks", "--db", str(database)])
    assert listed.stdout.splitlines()[1].startswith("blocked\tacme\tsprinto\t")
    assert listed.stderr == (
        "a block of settings that have been changed since stays listed until an upload has "
        f"succeeded with the new ones; `evidence-courier doctor DIR --db {database}` says what is "
        "blocked now\n"
    )
    assert verdicts(doctor(tenants, "--db", database, "--json")) == {"acme": "ready"}


def test_a_postgresql_without_tables_is_one_that_is_not_made_yet(
    tenants: Path, sandbox: SprintoSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed it is refused, with what to do; set for all commands it is noted. Nothing is made."""
    sprinto(tenants, "acme", sandbox.url)
    database = server().empty_database()
    typed = doctor(tenants, "--db", database)
    assert (typed.exit_code, typed.stdout) == (3, "")
    assert typed.stderr.endswith(
        ": the database was not opened: there are no tables of a courier in it; look at the DSN, "
        "or start a courier with it first\n"
    )
    monkeypatch.setenv("EVIDENCE_COURIER_DB", database)
    noted = doctor(tenants)
    assert (noted.exit_code, "acme\tsprinto\tready" in noted.stdout) == (0, True)
    assert " is not made yet: nothing is known of paces, blocks and pauses\n" in noted.stderr
    assert not is_made(database)


def test_a_missing_database_is_not_made(
    tenants: Path, tmp_path: Path, sandbox: SprintoSandbox
) -> None:
    sprinto(tenants, "acme", sandbox.url)
    result = doctor(tenants, "--db", tmp_path / "courier.db")
    assert result.exit_code == 3 and "courier.db" in result.stderr
    assert not (tmp_path / "courier.db").exists()


def test_it_says_that_records_cannot_be_rendered_here(
    tenants: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tenants / "initech.yaml").write_text("")
    known = "evidence_courier.bootstrap.wiring.find_spec"
    monkeypatch.setattr(known, lambda name: None)
    result = CliRunner().invoke(app, ["doctor", str(tenants)])
    assert "note: training records cannot be rendered here: Typst is not installed" in result.stderr


def test_a_database_that_is_set_for_all_commands_need_not_exist_yet(
    tenants: Path, tmp_path: Path, sandbox: SprintoSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sprinto(tenants, "acme", sandbox.url)
    monkeypatch.setenv("EVIDENCE_COURIER_DB", str(tmp_path / "courier.db"))
    result = doctor(tenants)
    assert (result.exit_code, "acme\tsprinto\tready" in result.stdout) == (0, True)
    assert "courier.db is not made yet: nothing is known of paces" in result.stderr
    assert not (tmp_path / "courier.db").exists()


def test_the_sinks_of_notices_are_named_and_tried_if_that_is_asked_for(
    tenants: Path, sandbox: SprintoSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sprinto(tenants, "acme", sandbox.url)
    statuses, kinds = [204, 500], list[str]()

    def answer(request: HttpRequest) -> HttpResponse:
        kinds.append(json.loads(b"".join(request.body))["kind"])
        return HttpResponse(statuses[len(kinds) - 1], (), b"", datetime.now(UTC))

    with on_loopback(answer) as url:
        monkeypatch.setenv("EVIDENCE_COURIER_WEBHOOK", f"{url}/a-secret")
        found = [
            doctor(tenants, "--json", *more)
            for more in ((), ("--test-notice",), ("--test-notice",))
        ]
    assert kinds == ["test", "test"]
    assert [(one.exit_code, json.loads(one.stdout)[1]["verdict"]) for one in found] == [
        (0, "not_tried"),
        (0, "ready"),
        (1, "not_ready"),
    ]
    acme, row = json.loads(found[2].stdout)
    assert sorted(acme) == sorted(row)
    assert row["target"].startswith("webhook at 127.0.0.1 (")
    assert (row["tenant_id"], row["message"]) == (None, "HTTP 500")
    assert "a-secret" not in found[2].output


def test_the_sinks_of_an_app_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop_of_sinks.py").write_text(
        """\
from evidence_courier import AsyncCourier, OnNotice

def broken(notice):
    raise RuntimeError("a secret")

sinks = [OnNotice(broken), OnNotice(print, name="log")]
courier = AsyncCourier.from_mapping({"acme": {"name": "Acme"}}, "courier.db", notices=sinks)
"""
    )
    found = CliRunner().invoke(app, ["doctor", "--app", "shop_of_sinks:courier", "--test-notice"])
    assert found.exit_code == 1, found.output
    assert found.stdout.splitlines()[-3:] == [
        "notices go to\tverdict\twhat was seen",
        "on_notice\tnot ready\tRuntimeError",
        "log\tready\tit has taken a notice",
    ]


@pytest.mark.parametrize("as_json", [True, False])
def test_without_a_sink_a_test_of_notices_says_what_to_set(
    tenants: Path, sandbox: SprintoSandbox, as_json: bool
) -> None:
    sprinto(tenants, "acme", sandbox.url)
    found = doctor(tenants, "--test-notice", *["--json"] * as_json)
    assert found.exit_code == 2
    words = " ".join(found.stderr.split())
    assert "no sink is configured: set EVIDENCE_COURIER_WEBHOOK or EVIDENCE_COURIER_MAIL" in words
    assert '"acme"' in found.stdout if as_json else "acme\tsprinto\tready" in found.stdout
    assert doctor(tenants).exit_code == 0


def test_a_missing_sink_is_reported_beside_an_invalid_file(tenants: Path) -> None:
    (tenants / "acme.yaml").write_text("integrations: {compliance: {}}")
    found = doctor(tenants, "--test-notice")
    assert found.exit_code == 2
    assert "no sink is configured" in found.stderr and "acme.yaml:1" in found.stderr


def test_an_app_without_a_sink_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVIDENCE_COURIER_WEBHOOK", "https://hooks.example.com/unused")
    (tmp_path / "shop_without_sinks.py").write_text(
        """\
from evidence_courier import AsyncCourier

courier = AsyncCourier.from_mapping({"acme": {"name": "Acme"}}, "courier.db")
"""
    )
    asked = ["doctor", "--app", "shop_without_sinks:courier", "--test-notice"]
    found = CliRunner().invoke(app, asked)
    assert (found.exit_code, "no sink is configured" in found.stderr) == (2, True)


def test_a_sink_that_the_environment_names_wrongly_is_reported(
    tenants: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVIDENCE_COURIER_WEBHOOK", "http://hooks.example.com/a-secret")
    found = doctor(tenants)
    assert (found.exit_code, "EVIDENCE_COURIER_WEBHOOK: the URL" in found.stderr) == (2, True)
