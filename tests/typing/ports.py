"""What an adapter's author writes: each port is a protocol, kept by having its members."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar, assert_type

from attrs import frozen

from evidence_courier import Document
from evidence_courier.domain.evidence.training import TrainingRecord
from evidence_courier.domain.integration import Pace, Route
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import Failure
from evidence_courier.domain.upload.verdict import Absent, Delivered, Finding, Receipt, Verdict
from evidence_courier.ports.clock import Clock
from evidence_courier.ports.dialogue import (
    Dialogue,
    HttpRequest,
    HttpResponse,
    TransportFailure,
    fetch,
)
from evidence_courier.ports.logger import LogEvent, Logger
from evidence_courier.ports.provider import CanLookUp, Limits, Parcel, Provider
from evidence_courier.ports.renderer import Renderer
from evidence_courier.ports.secrets import Secrets
from evidence_courier.ports.source import DocumentSource
from evidence_courier.ports.store import UploadStore
from evidence_courier.ports.transport import AsyncTransport, BlockingTransport
from evidence_courier.testing import (
    FakeClock,
    MemoryStore,
    RecordingLogger,
    ScriptedProvider,
    ScriptedTransport,
)
from evidence_courier.testing.contracts import ProviderContract, ProviderHarness, StoreContract


@frozen
class ShelfSettings:
    key: Secret


class ShelfProvider:
    name: ClassVar[str] = "shelf"
    settings_class: ClassVar[type] = ShelfSettings
    schema: ClassVar[Mapping[str, object]] = {"key": {"type": "secret", "required": True}}
    limits: ClassVar[Limits] = Limits(None, {"application/pdf": "pdf"})
    pace: ClassVar[Pace | None] = None
    cost: ClassVar[int] = 1
    exclusive_credential: ClassVar[bool] = False

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        assert isinstance(settings, ShelfSettings)
        reply = yield from fetch(
            HttpRequest("PUT", "https://shelf.example/", body=(parcel.content,))
        )
        assert_type(reply, HttpResponse | TransportFailure)
        return Delivered(Receipt())

    def target(self, settings: object) -> str:
        return "the shelf"


class ReadableShelf(ShelfProvider):
    look_up_delays: ClassVar[tuple[timedelta, ...]] = (timedelta(seconds=2),)

    def look_up(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Finding]:
        yield from ()
        return Absent()


class NoTarget:
    name: ClassVar[str] = "nowhere"


class Watch:
    def now(self) -> datetime:
        return datetime.now().astimezone()

    def monotonic(self) -> float:
        return 0.0

    async def sleep_until(self, when: datetime) -> None: ...


class Impatient:
    def now(self) -> datetime:
        return datetime.now().astimezone()

    def monotonic(self) -> float:
        return 0.0

    def sleep_until(self, when: datetime) -> None: ...


class Diary:
    def log(self, event: LogEvent) -> None: ...


class Vault:
    def resolve(self, name: str) -> Secret | None:
        return None


class Printer:
    def render(self, record: TrainingRecord) -> Document | Failure:
        return Document(content=b"", media_type="text/plain")

    def close(self) -> None: ...


class Bucket:
    def read(self, tenant_id: str, key: str) -> bytes:
        return b""


class Pigeon:
    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        raise NotImplementedError

    async def close(self) -> None: ...


class Donkey:
    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        raise NotImplementedError

    def close(self) -> None: ...


provider: Provider = ShelfProvider()
can_look_up: CanLookUp = ReadableShelf()
scripted: Provider = ScriptedProvider()
clocks: list[Clock] = [Watch(), FakeClock()]
loggers: list[Logger] = [Diary(), RecordingLogger()]
secrets: Secrets = Vault()
renderer: Renderer = Printer()
source: DocumentSource = Bucket()
store: UploadStore = MemoryStore()
transports: list[AsyncTransport] = [Pigeon(), ScriptedTransport([])]
blocking: BlockingTransport = Donkey()

no_provider: Provider = NoTarget()  # type: ignore[assignment]
not_readable: CanLookUp = ShelfProvider()  # type: ignore[assignment]
no_clock: Clock = Impatient()  # type: ignore[assignment]
no_secrets: Secrets = Diary()  # type: ignore[assignment]
wrong_kind: AsyncTransport = Donkey()  # type: ignore[assignment]
wrong_kind_too: BlockingTransport = Pigeon()  # type: ignore[assignment]
no_store: UploadStore = {}  # type: ignore[assignment]


class TestShelf(ProviderContract):
    def harness(self) -> ProviderHarness:
        return ProviderHarness(
            provider=ShelfProvider(),
            settings={"key": "${KEY}"},
            answer=lambda request: HttpResponse(201, (), b"", Watch().now()),
        )


class TestStore(StoreContract):
    durable = False

    def open_store(self, folder: str, keep_documents: bool) -> UploadStore:
        return MemoryStore(keep_documents=keep_documents)


StoreContract()  # type: ignore[abstract]
