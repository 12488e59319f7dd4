"""A provider with a server to talk to, both small and whole, and a courier for three tenants on
them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from attrs import define, field, frozen

from evidence_courier import AsyncCourier, BlockingCourier, Courier, Document, Evidence
from evidence_courier.domain.integration import Pace, Route
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import (
    Deferred,
    Delivered,
    Receipt,
    Rejected,
    Unclear,
    Verdict,
)
from evidence_courier.ports.dialogue import (
    Dialogue,
    HttpRequest,
    HttpResponse,
    TransportFailure,
    fetch,
)
from evidence_courier.ports.provider import Limits, Parcel
from evidence_courier.ports.store import UploadStore
from evidence_courier.testing import FakeClock, RecordingLogger

RECORDED_AT = datetime(2026, 2, 20, 23, 30, tzinfo=UTC)


@frozen
class PaperSettings:
    key: Secret
    shelf: str = "a"


class PaperProvider:
    """Posts the document to one URL; the reply's status says it all."""

    name: ClassVar[str] = "paper"
    settings_class: ClassVar[type] = PaperSettings
    schema: ClassVar[Mapping[str, object]] = {
        "key": {"type": "secret", "required": True},
        "shelf": {"type": "string"},
    }
    limits: ClassVar[Limits] = Limits(1_000_000, {"application/pdf": "pdf"})
    pace: ClassVar[Pace | None] = Pace(100_000, timedelta(minutes=1))
    cost: ClassVar[int] = 1
    exclusive_credential: ClassVar[bool] = False

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        assert isinstance(settings, PaperSettings)
        headers = (
            ("evidence", parcel.evidence_id),
            ("key", settings.key.reveal()),
            ("date", str(parcel.evidence_date)),
        )
        reply = yield from fetch(
            HttpRequest("POST", "https://paper.test/", headers, (parcel.content,))
        )
        if isinstance(reply, TransportFailure):
            failure = Failure(reply.kind, reply.message)
            sent = reply.kind in (FailureKind.TIMEOUT, FailureKind.CONNECTION_LOST)
            return Unclear(failure) if sent else Deferred(failure)
        if reply.status == 200:
            return Delivered(Receipt(reference=parcel.file_name, message="filed"))
        words = reply.body.decode() or "no words"
        if reply.status == 429:
            wait = reply.header("retry-after")
            return Deferred(
                Failure(
                    FailureKind.RATE_LIMITED,
                    words,
                    http_status=429,
                    retry_after=float(wait) if wait else None,
                )
            )
        if reply.status >= 500:
            return Unclear(Failure(FailureKind.SERVER_ERROR, words, http_status=reply.status))
        kind = FailureKind.UNAUTHORIZED if reply.status == 401 else FailureKind.BAD_REQUEST
        return Rejected(Failure(kind, words, http_status=reply.status))

    def target(self, settings: object) -> str:
        return "a shelf"


Script = Callable[[str, int], "int | tuple[int, float] | FailureKind | None"]


@define
class PaperServer:
    """An `AsyncTransport` and the server behind it. `answer(evidence_id, nth)` gives a status, a
    status with Retry-After, a kind of transport failure, or None for silence until the courier
    gives up."""

    clock: FakeClock
    answer: Script = field(default=lambda _evidence, _nth: 200)
    held: list[tuple[str, bytes]] = field(factory=list)
    keys: dict[str, list[str]] = field(factory=dict)
    dates: dict[str, str] = field(factory=dict)
    times: dict[str, list[datetime]] = field(factory=dict)
    now_open: int = 0
    most_open: int = 0
    asked: Counter[str] = field(factory=Counter)

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        headers = dict(request.headers)
        evidence = headers["evidence"]
        self.asked[evidence] += 1
        self.keys.setdefault(evidence, []).append(headers["key"])
        self.dates[evidence] = headers["date"]
        self.times.setdefault(evidence, []).append(self.clock.now())
        self.now_open += 1
        self.most_open = max(self.most_open, self.now_open)
        try:
            await asyncio.sleep(0)
            answer = self.answer(evidence, self.asked[evidence])
            if answer is None:
                await asyncio.get_running_loop().create_future()
            if isinstance(answer, FailureKind):
                return TransportFailure(answer, f"the line said {answer.value}")
            status, wait = answer if isinstance(answer, tuple) else (answer, None)
            assert isinstance(status, int)
            if status == 200:
                self.held.append((evidence, b"".join(request.body)))
            replied = (("retry-after", f"{wait:g}"),) if wait is not None else ()
            words = f"status {status} for key {headers['key']}".encode() if status != 200 else b""
            return HttpResponse(status, replied, words, self.clock.now())
        finally:
            self.now_open -= 1

    async def close(self) -> None:
        pass


@frozen
class Keys:
    values: dict[str, str] = field(factory=lambda: {"KEY": "a-key-that-nobody-may-see"})

    def resolve(self, name: str) -> Secret | None:
        value = self.values.get(name)
        return Secret(value) if value is not None else None


def tenant(**block: object) -> dict[str, object]:
    return {"integrations": {"compliance": {"provider": "paper", "key": "${KEY}", **block}}}


@define
class House:
    """A courier and everything around it."""

    database: Path
    clock: FakeClock = field(factory=FakeClock)
    logger: RecordingLogger = field(factory=RecordingLogger)
    keys: Keys = field(factory=Keys)
    tenants: dict[str, dict[str, object]] = field(
        factory=lambda: {
            "acme": tenant(),
            "globex": tenant(),
            "initech": {"name": "no integration"},
        }
    )
    server: PaperServer = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.server = PaperServer(self.clock)

    def courier(self, **options: Any) -> AsyncCourier:
        return self._build(self.database, options)

    def courier_on(self, store: UploadStore, **options: Any) -> AsyncCourier:
        return self._build(None, {"store": store, **options})

    def sync_courier(self, **options: Any) -> Courier:
        return Courier.from_mapping(lambda: self.tenants, self.database, **self._around(options))

    def blocking_courier(self, **options: Any) -> BlockingCourier:
        """One that sends nothing: the server is for asyncio."""
        around, database = self._around(options), None if "store" in options else self.database
        return BlockingCourier.from_mapping(lambda: self.tenants, database, **around)

    def _build(self, database: Path | None, options: Any) -> AsyncCourier:
        return AsyncCourier.from_mapping(lambda: self.tenants, database, **self._around(options))

    def _around(self, options: Any) -> Any:
        around: Any = {
            "clock": self.clock,
            "logger": self.logger,
            "transport": self.server,
            "providers": {"paper": PaperProvider()},
            "secrets": self.keys,
        }
        return around | options


@define
class Desk:
    """The house's server for code that blocks, which takes everything."""

    house: House

    def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        self.house.server.held.append((dict(request.headers)["evidence"], b"".join(request.body)))
        return HttpResponse(200, (), b"", self.house.clock.now())

    def close(self) -> None:
        pass


def evidence(
    evidence_id: str = "ev-1", tenant_id: str = "acme", content: bytes = b"%PDF-1.7 evidence"
) -> Evidence:
    return Evidence(
        tenant_id=tenant_id,
        evidence_id=evidence_id,
        session_id="s-1",
        subject="emp-7",
        outcome="passed",
        recorded_at=RECORDED_AT,
        document=Document(content=content, media_type="application/pdf", filename="ev-1.pdf"),
    )
