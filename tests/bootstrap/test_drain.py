"""`evidence-courier run --drain`, which cron starts again and again: what a run owes at its end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import define, field
from loopback import on_loopback
from store_fixtures import evidence

from evidence_courier import Courier
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.testing.sandboxes import FaultPlan, SprintoSandbox, sandbox_in_thread

TENANT = """\
integrations:
  compliance:
    provider: sprinto
    api_key: ${{ACME_KEY}}
    workflow_check: 3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77
    endpoint: {url}
"""


@define
class Hook:
    """Takes each notice, and keeps its kind."""

    kinds: list[str] = field(factory=list)

    def answer(self, request: HttpRequest) -> HttpResponse:
        self.kinds.append(json.loads(b"".join(request.body))["kind"])
        return HttpResponse(204, (), b"", datetime.now(UTC))


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SprintoSandbox]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACME_KEY", "the-key")
    with sandbox_in_thread(SprintoSandbox(key="the-key")) as box:
        Path("tenants").mkdir()
        Path("tenants/acme.yaml").write_text(TENANT.format(url=box.url))
        yield box


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    found = Hook()
    with on_loopback(found.answer) as url:
        monkeypatch.setenv("EVIDENCE_COURIER_WEBHOOK", url)
        yield found


def command(*arguments: str) -> str:
    call = [sys.executable, "-m", "evidence_courier", *arguments, "--db", "courier.db"]
    return subprocess.run(call, capture_output=True, text=True, check=True).stdout


def drain() -> None:
    command("run", "--drain", "--config", "tenants")


def record_one() -> None:
    with Courier.from_config("tenants", "courier.db", background=False) as courier:
        courier.submit(evidence("ev-1")).recorded()


def test_a_failure_in_a_run_is_reported_in_that_run(sandbox: SprintoSandbox, hook: Hook) -> None:
    drain()
    record_one()
    sandbox.use_faults(FaultPlan.script(["status:400"]))
    drain()
    assert hook.kinds == ["failed"]


def test_a_block_in_a_run_is_reported_in_that_run(sandbox: SprintoSandbox, hook: Hook) -> None:
    drain()
    record_one()
    sandbox.use_faults(FaultPlan.script(["status:401"]))
    drain()
    assert sorted(hook.kinds) == ["blocked", "failed"]


def test_an_upload_settled_in_a_run_is_linked_in_that_run(sandbox: SprintoSandbox) -> None:
    record_one()
    drain()
    assert len(sandbox.received) == 1
    assert command("export", "--head").count('"tenant":"acme"') == 1
