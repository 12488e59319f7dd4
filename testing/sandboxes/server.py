"""What all sandboxes share: a small server on this machine only, with faults, a rate limit and a
memory.

A provider's sandbox derives from `Sandbox` and says how it serves a request that nothing has gone
wrong with. This class decides whether that happens: each request is counted, then measured against
the rate limit, then offered to the fault plan. A request that the limit refuses uses up no fault.
"""

from __future__ import annotations

import hmac
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import ClassVar, Self, TypedDict, Unpack

from aiohttp import web

from ...domain.evidence.evidence import sha256_of
from . import control
from .bodies import BadRequestError, UploadedFile
from .exchange import Exchange, HeldLines
from .plans import Fault, FaultPlan
from .rates import RateLimit, RateMeter, parse_pace
from .received import Fingerprints, ReceivedUpload
from .replies import Reply

KEY = "sandbox-key"
LOOPBACK = ("127.0.0.1", "::1")
_GRACE = 0.5  # seconds that an answer in the making gets when the sandbox stops


def utc_now() -> datetime:
    """The time of day, aware."""
    return datetime.now(UTC)


class SandboxOptions(TypedDict, total=False):
    """What every sandbox takes, by keyword.

    Args:
        key: The one API key that is accepted.
        faults: `Fault`s, or text such as `"reset-after=0.1"`, drawn with `seed`; or a `FaultPlan`.
        pace: A `RateLimit`, or text such as `"10/min:sliding"`.
        host: `127.0.0.1` or `::1`.
        port: 0 takes a free one.
        seed: For the faults.
        now: Tells the date.
        monotonic: Measures the rate limit, in seconds.
        keep_content: Keep the bytes of what was received beside its sha256.
        max_bytes: The size of the largest file that is taken; a larger one gets HTTP 413.
    """

    key: str
    faults: Iterable[Fault | str] | FaultPlan
    pace: RateLimit | str | None
    host: str
    port: int
    seed: int
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    keep_content: bool
    max_bytes: int


class Sandbox(ABC):
    """A provider's stand-in on the loopback interface; it takes `SandboxOptions`.

    Use it with `async with`, or `sandbox_in_thread`.
    """

    provider: ClassVar[str]  # the provider's name
    path: ClassVar[str]  # where its API lives
    whole_tree: ClassVar[bool] = False  # whether what lies below that path belongs to it too
    beside: ClassVar[tuple[str, ...]] = ()  # other paths that belong to it
    key_header: ClassVar[str]  # the header that carries the key, in lower case
    most_bytes: ClassVar[int]  # `max_bytes` unless it is given

    def __init__(self, **options: Unpack[SandboxOptions]) -> None:
        strange = sorted(options.keys() - SandboxOptions.__optional_keys__)
        if strange:
            raise TypeError(f"{type(self).__name__} takes no option {strange[0]!r}")
        self._host = options.get("host", LOOPBACK[0])
        if self._host not in LOOPBACK:
            raise ValueError(
                "a sandbox serves this machine only: "
                f"host is {' or '.join(LOOPBACK)}, not {self._host!r}"
            )
        self.requests = 0  # all that came to the API, refused ones included
        self._now = options.get("now", utc_now)
        self._monotonic = options.get("monotonic", time.monotonic)
        self._wanted_port = options.get("port", 0)
        self._keep_content = options.get("keep_content", False)
        self._max_bytes = options.get("max_bytes", self.most_bytes)
        self._fingerprints = Fingerprints()
        self._key_fingerprint = self._fingerprints.of(self.header_value(options.get("key", KEY)))
        self._received: list[ReceivedUpload] = []
        self._held = HeldLines()
        self._runner: web.AppRunner | None = None
        self._port: int | None = None
        self.use_faults(options.get("faults", ()), seed=options.get("seed", 0))
        self.use_pace(options.get("pace"))

    # -- what a test or a person asks and changes

    @property
    def url(self) -> str:
        """The address of the API: what goes into a tenant's `endpoint`."""
        return self._origin() + self.path

    @property
    def control_url(self) -> str:
        """Where `/health`, `/received`, `/faults`, `/pace` and `/reset` are."""
        return self._origin() + control.PREFIX

    @property
    def received(self) -> tuple[ReceivedUpload, ...]:
        """The uploads that were taken, the oldest first."""
        return tuple(self._received)

    def copies(self, sha256: str) -> int:
        """How many uploads with this content were taken."""
        return sum(upload.sha256 == sha256 for upload in self._received)

    def use_faults(self, faults: Iterable[Fault | str] | FaultPlan, *, seed: int = 0) -> None:
        """Replace the faults from the next request on. ValueError leaves the old ones in place."""
        self._plan = faults if isinstance(faults, FaultPlan) else FaultPlan(faults, seed=seed)

    def use_pace(self, pace: RateLimit | str | None) -> None:
        """Replace the rate limit (None: none) and count from zero. ValueError keeps the old one."""
        limit = parse_pace(pace) if isinstance(pace, str) else pace
        self._meter = None if limit is None else RateMeter(limit, self._monotonic)

    def reset(self) -> None:
        """Forget what was received and counted; no more faults. The rate limit stays and counts
        from zero."""
        self.requests = 0
        self._received.clear()
        self.use_faults(())
        self.use_pace(None if self._meter is None else self._meter.limit)

    async def silences(self, count: int) -> None:
        """Wait until `count` requests in all have been left in silence."""
        await self._held.reached(count)

    # -- what a provider's sandbox says of itself

    @abstractmethod
    async def answer(self, request: web.Request) -> Reply:
        """Serve a request that meets no fault: check it as the provider would, `keep` an upload,
        answer.

        Raises:
            BadRequestError: It is refused.
        """

    @abstractmethod
    def refusal(self, status: int, message: str) -> Reply:
        """How the provider says that it refuses a request."""

    @abstractmethod
    def restate(self, reply: Reply, word: str) -> Reply:
        """The reply with its status word, if it has one, replaced by `word`."""

    async def take(self, request: web.Request) -> Reply:
        """The answer to a request that meets no fault, a refusal too."""
        try:
            return await self.answer(request)
        except BadRequestError as refused:
            return self.refusal(refused.status, refused.message)

    def header_value(self, key: str) -> str:
        """What the header `key_header` holds if a request carries `key`."""
        return key

    def knows_key(self, request: web.Request) -> bool:
        """Whether the request carries the key of this sandbox."""
        presented = request.headers.get(self.key_header, "")
        return hmac.compare_digest(self._fingerprints.of(presented), self._key_fingerprint)

    def keep(
        self, request: web.Request, file: UploadedFile, *, target: str, evidence_date: str
    ) -> None:
        """Record an upload as taken. No header that holds the key is recorded with it."""
        key = request.headers.get(self.key_header, "")
        headers = {
            name.lower(): value
            for name, value in request.headers.items()
            if name.lower() != self.key_header and (not key or key not in value)
        }
        self._received.append(
            ReceivedUpload(
                number=len(self._received) + 1,
                target=target,
                evidence_date=evidence_date,
                file_name=file.name,
                media_type=file.media_type,
                size=len(file.content),
                sha256=sha256_of(file.content),
                key_fingerprint=self._fingerprints.of(key),
                received_at=self._now(),
                headers=headers,
                content=file.content if self._keep_content else None,
            )
        )

    # -- serving

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        self._held = HeldLines()
        app = web.Application()
        control.add_routes(app, self)
        if self.path:
            app.router.add_route("*", self.path, self._serve)
        for path in self.beside:
            app.router.add_route("*", path, self._serve)
        if self.whole_tree:
            app.router.add_route("*", self.path + "/{below:.*}", self._serve)
        app.router.add_route("*", "/{elsewhere:.*}", self._serve_elsewhere)
        # handler_cancellation: a client that hangs up ends the request left in silence for it
        runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=_GRACE
        )
        await runner.setup()
        site = web.TCPSite(runner, self._host, self._wanted_port)
        try:
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner, self._port = runner, site.port

    async def stop(self) -> None:
        """Stop listening and let every line go, silent ones too."""
        runner, self._runner = self._runner, None
        if runner is not None:
            self._held.release()
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        exchange = Exchange(request, self, self._held)
        try:
            meter = self._meter
            if meter is not None and (wait := meter.ask()) > 0.0:
                await exchange.ignore()
                return await exchange.send(meter.limit.refuse(wait))
            misbehaviour = self._plan.next()
            if misbehaviour is not None:
                return await misbehaviour.misbehave(exchange)
            return await exchange.send(await exchange.take())
        except ConnectionError:  # the client hung up, or we stop: no one is left to answer
            return exchange.reset()

    async def _serve_elsewhere(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        return web.json_response(
            {"error": f"nothing is here; the API is at {self.path}"}, status=404
        )

    def _origin(self) -> str:
        if self._port is None:
            raise RuntimeError(
                "the sandbox has no address before it is started: use it with 'async with'"
            )
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"
