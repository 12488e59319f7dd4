"""The provider and Ledgerly, with a whole courier between them, on a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from attrs import define, field, frozen
from evidence_courier_ledgerly import LedgerlyProvider, LedgerlySettings
from ledgerly_platform import SECRET, Ledgerly

from evidence_courier import AsyncCourier, Document, Evidence, NotReady, Ready, UploadStatus
from evidence_courier.adapters.providers import (
    AccessToken,
    FailureKind,
    HttpRequest,
    HttpResponse,
    Provider,
    Secret,
    TransportFailure,
)
from evidence_courier.testing import FakeClock, RecordingLogger, until_settled

PDF = b"%PDF-1.7 evidence"
DIGEST = sha256(PDF).hexdigest()
EVIDENCE = Evidence(
    tenant_id="acme",
    evidence_id="ev-1",
    session_id="s-1",
    subject="emp-7",
    outcome="passed",
    recorded_at=datetime(2026, 2, 21, 10, 0, tzinfo=UTC),
    document=Document(content=PDF, media_type="application/pdf"),
)
TENANT = {"client_id": "courier", "client_secret": "${SECRET}", "ledger": "security-training"}


@frozen
class Keys:
    """Where secrets are kept."""

    secret: str

    def resolve(self, name: str) -> Secret | None:
        return Secret(self.secret)


@define
class Line:
    """A line to the platform, on which the reply to the request number `lost` never arrives."""

    platform: Ledgerly
    lost: int = 0
    requests: list[str] = field(factory=list)

    async def send(self, request: HttpRequest, route: object) -> HttpResponse | TransportFailure:
        self.requests.append(
            f"{request.method} {request.url.removeprefix('https://api.ledgerly.example')}"
        )
        reply = self.platform.answer(request)
        if len(self.requests) == self.lost:
            return TransportFailure(FailureKind.CONNECTION_LOST, "the line broke")
        return reply

    async def close(self) -> None:
        """Nothing to close."""


@define
class World:
    """A courier's surroundings."""

    folder: Path
    platform: Ledgerly = field(factory=Ledgerly)
    secret: str = SECRET
    lost: int = 0
    line: Line = field(init=False)
    clock: FakeClock = field(factory=FakeClock)

    def __attrs_post_init__(self) -> None:
        self.line = Line(self.platform, self.lost)

    def live(self, story: Callable[[AsyncCourier], Awaitable[None]]) -> None:
        """A courier's life, in which the story happens."""
        ledgerly: Provider = LedgerlyProvider()

        async def life() -> None:
            async with AsyncCourier.from_mapping(
                {"acme": {"integrations": {"compliance": {"provider": "ledgerly", **TENANT}}}},
                self.folder / "courier.db",
                providers={"ledgerly": ledgerly},
                secrets=Keys(self.secret),
                transport=self.line,
                clock=self.clock,
                logger=RecordingLogger(),
            ) as courier:
                await story(courier)

        asyncio.run(life())

    def deliver(self) -> UploadStatus:
        """What becomes of an evidence."""
        came: list[UploadStatus | None] = []

        async def story(courier: AsyncCourier) -> None:
            came.extend(await until_settled(courier, self.clock, courier.submit(EVIDENCE)))

        self.live(story)
        [status] = came
        assert status is not None
        return status


def test_a_document_is_uploaded_and_filed(tmp_path: Path) -> None:
    world = World(tmp_path)
    status = world.deliver()
    assert (status.status, status.attempts, status.error) == ("succeeded", 1, None)
    assert status.receipt is not None and status.receipt.reference == "doc-1"
    assert [document.state for document in world.platform.documents.values()] == ["filed"]
    assert world.line.requests == [
        "POST /oauth/token",
        "POST /v1/ledgers/security-training/documents",
        "POST /v1/documents/doc-1/file",
    ]


def test_a_reply_that_is_lost_is_looked_up_and_gone_on_from(tmp_path: Path) -> None:
    world = World(tmp_path, lost=2)
    status = world.deliver()
    assert (status.status, status.attempts, status.possible_duplicate) == ("succeeded", 2, False)
    assert world.platform.copies(DIGEST) == 1


def test_a_filing_whose_reply_is_lost_is_filed_again(tmp_path: Path) -> None:
    world = World(tmp_path, lost=3)
    assert world.deliver().status == "succeeded"
    assert world.platform.copies(DIGEST) == 1
    assert world.line.requests.count("POST /v1/documents/doc-1/file") == 2


def test_a_token_that_was_revoked_is_replaced_once(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def story(courier: AsyncCourier) -> None:
        assert await courier.doctor("acme") == Ready(
            "the ledger Security training is open to this client"
        )
        world.platform.revoke()
        [status] = await until_settled(courier, world.clock, courier.submit(EVIDENCE))
        assert status is not None and (status.status, status.attempts) == ("succeeded", 1)

    world.live(story)
    assert world.platform.minted == 2


def test_a_secret_that_is_refused_is_not_ready_and_blocks_the_integration(tmp_path: Path) -> None:
    world = World(tmp_path, secret="a-secret-that-is-none")

    async def story(courier: AsyncCourier) -> None:
        came = await courier.doctor("acme")
        assert isinstance(came, NotReady) and came.failure.kind is FailureKind.UNAUTHORIZED
        assert "ask the Ledgerly admin for a new secret" in came.failure.message

    world.live(story)
    status = world.deliver()
    assert status.error is not None and (status.status, status.error.kind) == (
        "failed",
        "unauthorized",
    )


def test_a_dry_run_believes_no_page_of_another_kind(tmp_path: Path) -> None:
    settings = LedgerlySettings(
        client_id="courier", client_secret=Secret(SECRET), ledger="security-training"
    )
    dialogue = LedgerlyProvider().check(settings)
    next(dialogue)  # it asks for a token
    dialogue.send(AccessToken(Secret("token-1"), fresh=True))
    with pytest.raises(StopIteration) as ended:
        dialogue.send(HttpResponse(200, (), b"null", World(tmp_path).clock.now()))
    assert isinstance(ended.value.value, NotReady)


@pytest.mark.parametrize(
    "said", [b"", b"{}", b'{"id": "../../admin"}', b'{"id": 7}', b"<html>", b"[]", b"null"]
)
def test_success_is_recognised_never_assumed(tmp_path: Path, said: bytes) -> None:
    world = World(tmp_path)
    answer = world.platform.answer

    class Odd(Ledgerly):
        """Takes documents and says something else than it should."""

        def answer(self, request: HttpRequest) -> HttpResponse:
            reply = answer(request)
            if request.method == "POST" and request.url.endswith("/documents"):
                return HttpResponse(201, (), said, reply.received_at)
            return reply

    world.line.platform = Odd()
    status = world.deliver()
    assert status.status in ("failed", "succeeded")
    assert (status.status == "succeeded") == (
        said in (b"", b"<html>")
    )  # those are unclear, and then it is found
