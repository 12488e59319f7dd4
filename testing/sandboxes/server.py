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
from typing import ClassVar, Self, TypedDict

from aiohttp import web

from . import control
from .exchange import Exchange, HeldLines
from .multipart import UploadedFile
from .plans import Fault, FaultPlan
from .rates import RateLimit, RateMeter, parse_pace
from .received import Fingerprints, ReceivedUpload, ReceivedUploads
from .replies import Reply

KEY = "sandbox-key"
LOOPBACK = ("127.0.0.1", "::1")
_GRACE = 0.5  # seconds that an answer in the making gets when the sandbox stops


def utc_now() -> datetime:
    """The time of day, aware."""
    return datetime.now(UTC)


class SandboxOptions(TypedDict, total=False):
    """What every sandbox may be told.

    `key` is the one API key that is accepted. `faults` are `Fault`s, or text such as
    `"reset-after=0.1"`, drawn with `seed`; or a whole `FaultPlan`. `pace` is a `RateLimit` or text
    such as `"10/min:sliding"`. `port` 0 takes a free one. `now` tells the date and `monotonic`
    measures the rate limit. `keep_content` keeps the bytes of what was received beside its sha256.
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


class Sandbox(ABC):
    """A provider's stand-in on the loopback interface. Use it with `async with`, or
    `sandbox_in_thread`; it takes `SandboxOptions`."""

    provider: ClassVar[str]  # the provider's name
    path: ClassVar[str]  # where its API lives
    whole_tree: ClassVar[bool] = False  # whether what lies below that path belongs to it too
    beside: ClassVar[tuple[str, ...]] = ()  # other paths that belong to it
    key_header: ClassVar[str]  # the header that carries the key, in lower case

    def __init__(
        self,
        *,
        key: str = KEY,
        faults: Iterable[Fault | str] | FaultPlan = (),
        pace: RateLimit | str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        now: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        keep_content: bool = False,
    ) -> None:
        if host not in LOOPBACK:
            raise ValueError(
                f"a sandbox serves this machine only: host is {' or '.join(LOOPBACK)}, not {host!r}"
            )
        self.requests = 0  # all that came to the API, refused ones included
        self._now = now
        self._monotonic = monotonic
        self._host = host
        self._wanted_port = port
        self._keep_content = keep_content
        self._fingerprints = Fingerprints()
        self._key_fingerprint = self._fingerprints.of(self.header_value(key))
        self._received = ReceivedUploads()
        self._held = HeldLines()
        self._runner: web.AppRunner | None = None
        self._port: int | None = None
        self.use_faults(faults, seed=seed)
        self.use_pace(pace)

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
        return self._received.all()

    def copies(self, sha256: str) -> int:
        """How many uploads with this content were taken."""
        return self._received.copies(sha256)

    def use_faults(self, faults: Iterable[Fault | str] | FaultPlan, *, seed: int = 0) -> None:
        """Replace the faults from the next request on. ValueError leaves the old ones in place."""
        self._plan = faults if isinstance(faults, FaultPlan) else FaultPlan(faults, seed=seed)

    def use_pace(self, pace: RateLimit | str | None) -> None:
        """Replace the rate limit (None: none) and count from zero. ValueError leaves the old one
        in place."""
        limit = parse_pace(pace) if isinstance(pace, str) else pace
        self._meter = None if limit is None else RateMeter(limit, self._monotonic)

    def reset(self) -> None:
        """Forget what was received and counted; no more faults. The rate limit stays and counts
        from zero."""
        self.requests = 0
        self._received.forget()
        self.use_faults(())
        self.use_pace(None if self._meter is None else self._meter.limit)

    async def silences(self, count: int) -> None:
        """Wait until `count` requests in all have been left in silence: a test need not guess
        when."""
        await self._held.reached(count)

    # -- what a provider's sandbox says of itself

    @abstractmethod
    async def take(self, request: web.Request) -> Reply:
        """Serve a request that meets no fault: check it as the provider would, `keep` an upload,
        answer."""

    @abstractmethod
    def restate(self, reply: Reply, word: str) -> Reply:
        """The reply with its status word, if it has one, replaced by `word`."""

    def header_value(self, key: str) -> str:
        """What the header `key_header` holds where the request carries `key`."""
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
        self._received.keep(
            file,
            target=target,
            evidence_date=evidence_date,
            key_fingerprint=self._fingerprints.of(key),
            received_at=self._now(),
            headers=headers,
            content=file.content if self._keep_content else None,
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
        # handler_cancellation: a client that hangs up ends the request that was left in silence for
        # it
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
        except ConnectionError:  # the client hung up, or we stop: nobody is left to answer
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
