"""Vanta's provider in a real courier, against the sandbox: one copy, submitted, whatever happens
in between."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from dialogue_runner import run
from hostile import leaks
from store_fixtures import evidence

from evidence_courier import AsyncCourier, UploadStatus
from evidence_courier.adapters.providers.vanta.provider import VantaProvider
from evidence_courier.adapters.providers.vanta.settings import VantaSettings
from evidence_courier.adapters.transports.aiohttp_transport import AiohttpTransport
from evidence_courier.domain.evidence.evidence import sha256_of
from evidence_courier.domain.integration import Route
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.domain.upload.verdict import DryRun, NotReady, Ready
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from evidence_courier.ports.logger import LookUpEnded
from evidence_courier.ports.transport import AsyncTransport
from evidence_courier.testing import FakeClock, RecordingLogger, until_settled
from evidence_courier.testing.sandboxes import FaultPlan, VantaSandbox, sandbox_in_thread

K = FailureKind
SECRET = "vcs_4eC39HqL-yjWDarjt"
DOCUMENT = "security-awareness-training"
DIGEST = sha256_of(b"%PDF-1.7 evidence")
TOKEN = UPLOAD = GET = None  # a request served well, in a script of faults


@define
class Keys:
    value: str = SECRET

    def resolve(self, name: str) -> Secret | None:
        return Secret(self.value)


@define
class WatchedLine:
    """The transport that a courier has anyway, with an eye on the tokens that go through it."""

    transport: AiohttpTransport = field(
        factory=lambda: AiohttpTransport(now=lambda: datetime.now(UTC))
    )
    tokens: list[str] = field(factory=list)

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        self.tokens += [
            value.removeprefix("Bearer ")
            for name, value in request.headers
            if name == "Authorization"
        ]
        return await self.transport.send(request, route)

    async def close(self) -> None:
        await self.transport.close()


@define
class House:
    """A courier for one tenant at a sandbox, on a clock that stands still."""

    sandbox: VantaSandbox
    database: Path
    block: dict[str, object] = field(factory=dict)
    keys: Keys = field(factory=Keys)
    clock: FakeClock = field(factory=FakeClock)
    logger: RecordingLogger = field(factory=RecordingLogger)
    line: AsyncTransport | None = None

    def courier(self) -> AsyncCourier:
        around: Any = {"clock": self.clock, "logger": self.logger, "secrets": self.keys}
        around["transport"] = self.line
        return AsyncCourier.from_mapping(
            {"acme": tenant(self.sandbox.url, **self.block)}, self.database, **around
        )

    async def deliver(self, courier: AsyncCourier, *evidence_ids: str) -> list[UploadStatus]:
        """What these evidences come to, submitted all at once."""
        tickets = [courier.submit(evidence(one)) for one in evidence_ids or ("ev-1",)]
        settled = await until_settled(courier, self.clock, *tickets)
        return [status for status in settled if status is not None]


def tenant(endpoint: str, **block: object) -> dict[str, object]:
    settings = {
        "provider": "vanta",
        "client_id": "sandbox-client",
        "client_secret": "${SECRET}",
        "document": DOCUMENT,
        "endpoint": endpoint,
    }
    return {"integrations": {"compliance": settings | block}}


def story(tell: Callable[[House], Awaitable[None]], tmp_path: Path, **options: Any) -> None:
    """Run a story in a house with a fresh sandbox."""

    async def scene() -> None:
        async with VantaSandbox(key=SECRET, **options) as sandbox:
            await tell(House(sandbox, tmp_path / "courier.db"))

    asyncio.run(scene())


def script(*steps: str | None) -> FaultPlan:
    return FaultPlan.script(steps)


def test_an_evidence_is_uploaded_under_its_name_and_date_and_submitted(tmp_path: Path) -> None:
    async def tell(house: House) -> None:
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        assert (status.status, status.attempts, status.possible_duplicate) == (
            "succeeded",
            1,
            False,
        )
        assert status.receipt is not None
        assert status.receipt.reference == f"{1:024x}"
        [upload] = house.sandbox.received
        assert upload.file_name == f"ev-1-{DIGEST[:12]}.pdf"
        assert (upload.target, upload.media_type) == (DOCUMENT, "application/pdf")
        assert upload.evidence_date == "2026-02-20T00:00:00.000Z"
        assert (house.sandbox.copies(DIGEST), house.sandbox.submitted(DIGEST)) == (1, 1)
        assert house.sandbox.requests == 3  # the token, the upload, the submission

    story(tell, tmp_path)


@pytest.mark.parametrize("nothing_to_submit", [204, 400, 409, 422])
def test_uploads_at_once_share_a_token_and_a_draft(tmp_path: Path, nothing_to_submit: int) -> None:
    async def tell(house: House) -> None:
        async with house.courier() as courier:
            statuses = await house.deliver(courier, *(f"ev-{number}" for number in range(8)))
        assert {status.status for status in statuses} == {"succeeded"}
        assert len({status.receipt.reference for status in statuses if status.receipt}) == 8
        assert house.sandbox.tokens_minted == 1
        assert (house.sandbox.copies(DIGEST), house.sandbox.submitted(DIGEST)) == (8, 8)

    story(tell, tmp_path, nothing_to_submit=nothing_to_submit)


@pytest.mark.parametrize("loss", ["reset-after", "status-after:504", "cut", "huge"])
def test_an_upload_whose_reply_was_lost_is_found_and_submitted(tmp_path: Path, loss: str) -> None:
    async def tell(house: House) -> None:
        house.sandbox.use_faults(script(TOKEN, loss))
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        assert (status.status, status.attempts, status.possible_duplicate) == (
            "succeeded",
            2,
            False,
        )
        assert (house.sandbox.copies(DIGEST), house.sandbox.submitted(DIGEST)) == (1, 1)
        assert [event.finding for event in house.logger.of(LookUpEnded)] == ["partly"]

    story(tell, tmp_path)


def test_an_upload_is_found_behind_many_others(tmp_path: Path) -> None:
    async def tell(house: House) -> None:
        async with house.courier() as courier:
            await house.deliver(courier, *(f"ev-{number}" for number in range(7)))
            house.sandbox.use_faults(script("reset-after"))
            [status] = await house.deliver(courier, "ev-last")
        assert status.status == "succeeded"
        assert house.sandbox.copies(DIGEST) == 8

    story(tell, tmp_path)


def test_an_upload_that_was_not_taken_is_looked_for_and_sent_again(tmp_path: Path) -> None:
    async def tell(house: House) -> None:
        house.sandbox.use_faults(script(TOKEN, "status:503"))
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        assert (status.status, status.attempts) == ("succeeded", 2)
        assert (house.sandbox.copies(DIGEST), house.sandbox.submitted(DIGEST)) == (1, 1)
        assert [event.finding for event in house.logger.of(LookUpEnded)] == ["absent"] * 3

    story(tell, tmp_path)


@pytest.mark.parametrize(
    "loss",
    [
        "reset-after",
        "reset-before",
        "status:503",
        "status-after:504",
        "status:429",
        "html",
        "empty",
    ],
)
@pytest.mark.parametrize("nothing_to_submit", [204, 400])
def test_a_submission_in_trouble_is_repeated_and_makes_no_copy(
    tmp_path: Path, loss: str, nothing_to_submit: int
) -> None:
    async def tell(house: House) -> None:
        house.sandbox.use_faults(script(TOKEN, UPLOAD, loss))
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        assert (status.status, status.attempts, status.possible_duplicate) == (
            "succeeded",
            2,
            False,
        )
        assert (house.sandbox.copies(DIGEST), house.sandbox.submitted(DIGEST)) == (1, 1)
        assert house.logger.of(LookUpEnded) == []

    story(tell, tmp_path, nothing_to_submit=nothing_to_submit)


@pytest.mark.parametrize("loss", ["status:429", "status:500", "reset-after", "cut", "html", "null"])
def test_a_token_endpoint_in_trouble_costs_an_attempt_and_no_doubt(
    tmp_path: Path, loss: str
) -> None:
    async def tell(house: House) -> None:
        house.sandbox.use_faults(script(loss))
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        assert (status.status, status.attempts, status.possible_duplicate) == (
            "succeeded",
            2,
            False,
        )
        assert house.sandbox.copies(DIGEST) == 1

    story(tell, tmp_path)


def test_a_token_revoked_by_another_program_is_changed_in_the_attempt(tmp_path: Path) -> None:
    async def tell(house: House) -> None:
        async with house.courier() as courier:
            await house.deliver(courier, "ev-1")
            house.sandbox.revoke_token()
            [status] = await house.deliver(courier, "ev-2")
        assert (status.status, status.attempts) == ("succeeded", 1)
        assert house.sandbox.tokens_minted == 3  # the courier's, the other program's, the courier's
        assert house.sandbox.copies(DIGEST) == 2

    story(tell, tmp_path)


def test_a_token_is_used_for_its_hour_and_then_changed_in_time(tmp_path: Path) -> None:
    async def tell(house: House) -> None:
        async with house.courier() as courier:
            for minutes, tokens in ((0, 1), (58, 1), (2, 2)):
                house.clock.advance(60.0 * minutes)
                [status] = await house.deliver(courier, f"ev-{minutes}")
                assert (status.status, status.attempts) == ("succeeded", 1)
                assert house.sandbox.tokens_minted == tokens

    clock = FakeClock()

    async def scene() -> None:
        async with VantaSandbox(key=SECRET, monotonic=clock.monotonic) as sandbox:
            await tell(House(sandbox, tmp_path / "courier.db", clock=clock))
            assert sandbox.requests == 8  # two tokens, three uploads, three submissions: no 401

    asyncio.run(scene())


def test_a_wrong_secret_fails_the_upload_and_holds_what_comes_after(tmp_path: Path) -> None:
    async def tell(house: House) -> None:
        house.keys = Keys("vcs_another")
        async with house.courier() as courier:
            [failed] = await house.deliver(courier, "ev-1")
            assert failed.error is not None
            assert (failed.status, failed.attempts, failed.error.kind) == (
                "failed",
                1,
                "unauthorized",
            )
            assert "ask the Vanta admin for a new client secret" in failed.error.message
            [held] = await house.deliver(courier, "ev-2")
            assert held.status == "held"
        assert house.sandbox.received == ()
        assert house.sandbox.requests == 1

    story(tell, tmp_path)


def test_a_deactivated_document_takes_nothing_and_the_record_says_why(tmp_path: Path) -> None:
    async def tell(house: House) -> None:
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        assert status.error is not None
        assert (status.status, status.error.http_status) == ("failed", 409)
        assert 'saying "The document is deactivated"' in status.error.message
        assert house.sandbox.received == ()

    story(tell, tmp_path, deactivated=[DOCUMENT])


def test_an_unknown_document_fails_the_upload_and_holds_what_comes_after(tmp_path: Path) -> None:
    async def tell(house: House) -> None:
        house.block = {"document": "no-such-document"}
        async with house.courier() as courier:
            [failed] = await house.deliver(courier, "ev-1")
            assert failed.error is not None
            assert (failed.status, failed.error.kind) == ("failed", "target_not_found")
            [held] = await house.deliver(courier, "ev-2")
            assert held.status == "held"

    story(tell, tmp_path)


@pytest.mark.parametrize("on_unclear", ["hold", "retry"])
def test_where_drafts_are_not_listed_a_lost_reply_leaves_a_doubt(
    tmp_path: Path, on_unclear: str
) -> None:
    async def tell(house: House) -> None:
        house.block = {"drafts_listed": False, "on_unclear": on_unclear}
        house.sandbox.use_faults(script(TOKEN, "reset-after"))
        async with house.courier() as courier:
            [status] = await house.deliver(courier)
        if on_unclear == "hold":
            assert (status.status, house.sandbox.copies(DIGEST)) == ("held", 1)
        else:
            assert (status.status, status.possible_duplicate) == ("succeeded", True)
            assert house.sandbox.copies(DIGEST) == 2

    story(tell, tmp_path, lists_drafts=False)


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("code", [200, 400, 404, 500])
def test_an_echo_of_the_requests_headers_is_shown_nowhere(
    tmp_path: Path, nth: int, code: int
) -> None:
    async def tell(house: House) -> None:
        house.line = line
        house.sandbox.use_faults(script(*[None] * (nth - 1), *[f"echo:{code}"] * 20))
        async with house.courier() as courier:
            await house.deliver(courier)
            shown = repr(await courier.show("acme", "ev-1"))
        await line.close()
        for secret in (*line.tokens, SECRET):
            assert not leaks(shown + repr(house.logger.events), secret)

    line = WatchedLine()
    story(tell, tmp_path)
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert not any(secret.encode() in stored for secret in (*line.tokens, SECRET))


# -- the dry run


def dry_run(sandbox: VantaSandbox, **settings: Any) -> Awaitable[DryRun]:
    async def checked() -> DryRun:
        transport = AiohttpTransport(now=lambda: datetime.now(UTC))
        given: dict[str, Any] = {"client_secret": Secret(SECRET), "document": DOCUMENT} | settings

        try:
            return await run(
                VantaProvider().check(
                    VantaSettings(client_id="sandbox-client", endpoint=sandbox.url, **given)
                ),
                send=lambda request: transport.send(request, Route()),
            )
        finally:
            await transport.close()

    return checked()


def test_the_dry_run_tries_credentials_and_document_and_uploads_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        documents = {DOCUMENT: "Training", "old": "An old one"}
        async with VantaSandbox(key=SECRET, documents=documents, deactivated=["old"]) as sandbox:
            ready = await dry_run(sandbox)
            assert ready == Ready(
                "the document 'Training' is there, with the status 'Needs document'"
            )
            for settings, kind in (
                ({"document": "old"}, K.REFUSED),
                ({"document": "no-such-document"}, K.TARGET_NOT_FOUND),
                ({"client_secret": Secret("wrong")}, K.UNAUTHORIZED),
                ({"scope": "no-such-scope"}, K.UNAUTHORIZED),
            ):
                not_ready = await dry_run(sandbox, **settings)
                assert isinstance(not_ready, NotReady)
                assert not_ready.failure.kind is kind
            assert sandbox.received == ()

    asyncio.run(scene())


# -- a process that dies

HOST = """
import asyncio, json, sys
from store_fixtures import evidence
from evidence_courier import AsyncCourier
from evidence_courier.domain.secrets.secret import Secret

tenants, database, secret, *evidence_ids = sys.argv[1:]

class Keys:
    def resolve(self, name):
        return Secret(secret)

async def host():
    async with AsyncCourier.from_mapping(json.loads(tenants), database, secrets=Keys()) as courier:
        for ticket in [courier.submit(evidence(one)) for one in evidence_ids]:
            status = await ticket.settled()
            print(status.status, status.attempts, status.error, flush=True)

asyncio.run(host())
"""


def host_process(
    sandbox: VantaSandbox, database: Path, *evidence_ids: str, **block: object
) -> subprocess.Popen[str]:
    """A process with a courier in it that delivers these evidences."""
    tenants = json.dumps({"acme": tenant(sandbox.url, **block)})
    support = os.pathsep.join([str(Path(__file__).parents[2] / "support"), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-c", HOST, tenants, str(database), SECRET, *evidence_ids],
        env={**os.environ, "PYTHONPATH": support},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_process_killed_before_the_submission_leaves_it_to_the_next(
    tmp_path: Path,
) -> None:
    """One copy is there, which the next process submits."""
    with sandbox_in_thread(
        VantaSandbox(key=SECRET, faults=script(TOKEN, UPLOAD, "silence"))
    ) as sandbox:
        database = tmp_path / "courier.db"
        with host_process(sandbox, database, "ev-1") as host:
            try:
                while sandbox.requests < 3:  # the third is the submission, which is never answered
                    with suppress(subprocess.TimeoutExpired):
                        raise AssertionError(f"the host ended by itself: {host.wait(0.01)}")
            finally:
                host.kill()
        assert (sandbox.copies(DIGEST), sandbox.submitted(DIGEST)) == (1, 0)

        async def next_one() -> UploadStatus:
            house = House(sandbox, database, clock=FakeClock(datetime.now(UTC)))
            async with house.courier() as courier:
                [status] = await house.deliver(courier)
                return status

        status = asyncio.run(next_one())
        assert (status.status, status.attempts, status.possible_duplicate) == (
            "succeeded",
            2,
            False,
        )
        assert (sandbox.copies(DIGEST), sandbox.submitted(DIGEST)) == (1, 1)
        assert sandbox.requests == 5  # a token and the submission more, and no look


def test_two_processes_do_not_take_an_applications_token_from_each_other(
    tmp_path: Path,
) -> None:
    """What would go wrong: each mints a token, and so revokes the other's, again and again."""
    with sandbox_in_thread(VantaSandbox(key=SECRET)) as sandbox:
        names = [[f"{host}-{number}" for number in range(30)] for host in ("a", "b")]
        hosts = [
            host_process(sandbox, tmp_path / "courier.db", *ids, pace="1000/s") for ids in names
        ]
        said = [host.communicate(timeout=100)[0].splitlines() for host in hosts]
        assert [len(lines) for lines in said] == [30, 30]
        assert {line for lines in said for line in lines} == {"succeeded 1 None"}
        assert (sandbox.copies(DIGEST), sandbox.submitted(DIGEST)) == (60, 60)
        assert sandbox.tokens_minted <= 4  # one for each turn
