"""A provider and its server, as a model: what it takes, loses, delays and refuses is data and
chance."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import ClassVar

from attrs import define, field, frozen

from ...domain.integration import Pace, Route
from ...domain.secrets.secret import Secret
from ...domain.upload.backoff import later
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.verdict import (
    Absent,
    Deferred,
    Delivered,
    Finding,
    Found,
    Receipt,
    Rejected,
    Unbundled,
    Unclear,
    Unreadable,
    Verdict,
)
from ...ports.clock import Clock
from ...ports.dialogue import Dialogue, HttpRequest, HttpResponse, TransportFailure, fetch
from ...ports.provider import Bundle, Limits, Parcel
from ..sandboxes.rates import RateLimit, RateMeter


@frozen
class Outage:
    """What the server does from `start` to `end`, in seconds since the simulation began.

    - ``"down"``: no connection can be made;
    - ``"503"``: it answers 503, and takes nothing;
    - ``"takes"``: it takes the upload, and the reply is lost;
    - ``"silent"``: it takes nothing, and does not answer;
    - ``"closed"``: its target takes nothing for now.
    """

    start: float
    end: float
    kind: str


@frozen(kw_only=True)
class Faults:
    """What goes wrong, as probabilities for each request, and as outages.

    Args:
        no_connection: No connection can be made; nothing is taken.
        unavailable: The reply is 503; nothing is taken.
        silent: No reply comes; nothing is taken.
        takes_and_drops: The upload is taken, and the reply is lost.
        takes_and_fails: The upload is taken, and the reply is 500.
        rejects: The reply is 400.
        garbles: The upload is taken, and the reply has an unknown status.
        unreadable: A look-up fails.
        look_ups_answer: Whether look-ups are spared from all of this but `unreadable`.
        latency: The longest time that a request takes, in seconds.
        commit: The longest time until an upload shows in look-ups, in seconds.
        outages: What happens at a certain time.
        pace: What the server enforces.
    """

    no_connection: float = 0.0
    unavailable: float = 0.0
    silent: float = 0.0
    takes_and_drops: float = 0.0
    takes_and_fails: float = 0.0
    rejects: float = 0.0
    garbles: float = 0.0
    unreadable: float = 0.0
    look_ups_answer: bool = False
    latency: float = 0.5
    commit: float = 0.0
    outages: tuple[Outage, ...] = ()
    pace: RateLimit | None = None


@define
class ModelServer:
    """An `AsyncTransport`, and the server at its other end. `trouble`: what happens to all requests
    with a key, a kind of `Outage`."""

    clock: Clock
    dice: Random
    faults: Faults
    copies: dict[str, list[datetime]] = field(init=False, factory=dict)
    refused_keys: set[str] = field(init=False, factory=set)
    closed: bool = field(init=False, default=False)
    in_review: int = field(init=False, default=0)
    requests: int = field(init=False, default=0)
    throttled: int = field(init=False, default=0)
    trouble: dict[str, str] = field(init=False, factory=dict)
    disturbed: set[str] = field(init=False, factory=set)
    began: datetime = field(init=False)
    meter: RateMeter | None = field(init=False)
    overlaps: int = field(init=False, default=0)
    on_arrival: Callable[[int], None] | None = field(init=False, default=None)
    _using: Counter[tuple[str, object]] = field(init=False, factory=Counter)

    def __attrs_post_init__(self) -> None:
        self.began = self.clock.now()
        limit = self.faults.pace
        self.meter = None if limit is None else RateMeter(limit, self.clock.monotonic)

    async def send_from(
        self, sender: object, request: HttpRequest, route: Route
    ) -> HttpResponse | TransportFailure:
        """A request of one of several couriers. `overlaps` counts how often two used a key at
        the same time; `on_arrival` hears how many are under way with each that arrives."""
        key = dict(request.headers)["key"]
        self._using[key, sender] += 1
        if self.on_arrival is not None:
            self.on_arrival(self._using.total())
        self.overlaps += any(
            number and other is not sender and used == key
            for (used, other), number in self._using.items()
        )
        try:
            return await self.send(request, route)
        finally:
            self._using[key, sender] -= 1

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        self.requests += 1
        times_out = later(self.clock.now(), route.timeouts.total)
        headers = dict(request.headers)
        names = headers["names"].split(" ")
        await self._pass(self.dice.random() * self.faults.latency)
        what = self.trouble.get(headers["key"]) or self._happening()
        if request.method == "GET" and self.faults.look_ups_answer:
            what = "fine"
        if what != "fine":
            self.disturbed.update(names)
        if what == "down":
            return TransportFailure(FailureKind.NO_CONNECTION, "no connection")
        if self.meter is not None and (wait := self.meter.ask()):
            self.throttled += 1
            return self._reply(429, retry_after=wait)
        if headers["key"] in self.refused_keys:
            return self._reply(401)
        if (self.closed or what == "closed") and request.method != "GET":
            self.in_review += 1
            return self._reply(409)
        if request.method == "GET":
            return await self._looked_up(names[0], what, times_out)
        return await self._uploaded(names, what, times_out)

    async def _looked_up(
        self, name: str, what: str, times_out: datetime
    ) -> HttpResponse | TransportFailure:
        if what in ("silent", "takes"):
            await self.clock.sleep_until(times_out)
            return TransportFailure(FailureKind.TIMEOUT, "no reply")
        if what == "503" or self.dice.random() < self.faults.unreadable:
            return self._reply(503)
        commits = self.copies.get(name, [])
        return self._reply(200 if any(at <= self.clock.now() for at in commits) else 404)

    async def _uploaded(
        self, names: Sequence[str], what: str, times_out: datetime
    ) -> HttpResponse | TransportFailure:
        if what == "503":
            return self._reply(503)
        if what == "400":
            return self._reply(400)
        if what != "silent":
            commit = timedelta(seconds=self.dice.random() * self.faults.commit)
            for name in names:
                self.copies.setdefault(name, []).append(self.clock.now() + commit)
        await self._pass(self.dice.random() * self.faults.latency)
        match what:
            case "silent" | "takes":
                await self.clock.sleep_until(times_out)
                return TransportFailure(FailureKind.TIMEOUT, "no reply")
            case "500":
                return self._reply(500)
            case "garble":
                return self._reply(299)
            case _:
                return self._reply(200)

    def _happening(self) -> str:
        since = (self.clock.now() - self.began).total_seconds()
        for outage in self.faults.outages:
            if outage.start <= since < outage.end:
                return outage.kind
        roll = self.dice.random()
        for chance, what in (
            (self.faults.no_connection, "down"),
            (self.faults.unavailable, "503"),
            (self.faults.silent, "silent"),
            (self.faults.takes_and_drops, "takes"),
            (self.faults.takes_and_fails, "500"),
            (self.faults.rejects, "400"),
            (self.faults.garbles, "garble"),
        ):
            if roll < chance:
                return what
            roll -= chance
        return "fine"

    def _reply(self, status: int, retry_after: float | None = None) -> HttpResponse:
        headers = () if retry_after is None else (("retry-after", f"{retry_after:.3f}"),)
        return HttpResponse(status, headers, b"", self.clock.now())

    async def _pass(self, seconds: float) -> None:
        if seconds > 0:
            await self.clock.sleep_until(self.clock.now() + timedelta(seconds=seconds))
        else:
            await asyncio.sleep(0)

    async def close(self) -> None:
        pass


@frozen(eq=False)
class Sender:
    """One courier's way to the server."""

    server: ModelServer

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        return await self.server.send_from(self, request, route)

    async def close(self) -> None:
        pass


_VERDICTS: Mapping[int, tuple[type[Deferred | Unclear | Rejected], FailureKind, str]] = {
    299: (Rejected, FailureKind.UNRECOGNISED_REPLY, "what does it mean?"),
    409: (Rejected, FailureKind.CHECK_IN_REVIEW, "the target takes nothing now"),
    401: (Rejected, FailureKind.UNAUTHORIZED, "the key is refused"),
    429: (Deferred, FailureKind.RATE_LIMITED, "too many"),
    500: (Unclear, FailureKind.SERVER_ERROR, "an error"),
    503: (Unclear, FailureKind.SERVER_ERROR, "an error"),
}


@frozen
class ModelSettings:
    """A key, and where the server is."""

    key: Secret
    endpoint: str = "https://model.test/"


class ModelProvider:
    """Puts a document under its name, up to `together` of them in one request; cannot look up."""

    name: ClassVar[str] = "model"
    settings_class: ClassVar[type] = ModelSettings
    schema: ClassVar[Mapping[str, object]] = {"key": {"type": "secret", "required": True}}
    limits: ClassVar[Limits] = Limits(None, {"application/pdf": "pdf"})
    pace: ClassVar[Pace | None] = None
    cost: ClassVar[int] = 1
    exclusive_credential: ClassVar[bool] = False

    def __init__(self, together: int = 1) -> None:
        self._together = together

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        return (yield from self._put([parcel], settings))

    def bundle(self, settings: object) -> Bundle | None:
        return Bundle(self._together) if self._together > 1 else None

    def upload_together(
        self, parcels: Sequence[Parcel], settings: object
    ) -> Dialogue[Sequence[Verdict | Unbundled]]:
        verdict = yield from self._put(parcels, settings)
        if isinstance(verdict, Rejected) and verdict.failure.kind is FailureKind.BAD_REQUEST:
            return [Unbundled(verdict.failure) for _ in parcels]
        return [verdict for _ in parcels]

    def _put(self, parcels: Sequence[Parcel], settings: object) -> Dialogue[Verdict]:
        content = tuple(parcel.content for parcel in parcels)
        reply = yield from fetch(_request("PUT", parcels, settings, content))
        if isinstance(reply, TransportFailure):
            failure = Failure(reply.kind, reply.message)
            never_sent = reply.kind is FailureKind.NO_CONNECTION
            return Deferred(failure) if never_sent else Unclear(failure)
        status = reply.status
        if status == 200:
            return Delivered(Receipt(parcels[0].file_name))
        wait = reply.header("retry-after")
        of, kind, message = _VERDICTS.get(status, (Rejected, FailureKind.BAD_REQUEST, "refused"))
        after = None if wait is None else float(wait)
        return of(Failure(kind, message, http_status=status, retry_after=after))

    def target(self, settings: object) -> str:
        return "a model"


class ExclusiveModelProvider(ModelProvider):
    """The same, and only one courier at a time may use a key."""

    exclusive_credential: ClassVar[bool] = True


class ReadableModelProvider(ModelProvider):
    """The same, and it can look uploads up."""

    look_up_delays: ClassVar[tuple[timedelta, ...]] = (
        timedelta(seconds=2),
        timedelta(seconds=10),
        timedelta(seconds=30),
    )

    def look_up(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Finding]:
        reply = yield from fetch(_request("GET", [parcel], settings, ()))
        if isinstance(reply, TransportFailure):
            return Unreadable(Failure(reply.kind, reply.message))
        match reply.status:
            case 200:
                return Found(Receipt(parcel.file_name))
            case 404:
                return Absent()
            case status:
                return Unreadable(Failure(FailureKind.SERVER_ERROR, "an error", http_status=status))


def _request(
    method: str, parcels: Sequence[Parcel], settings: object, body: tuple[bytes, ...]
) -> HttpRequest:
    assert isinstance(settings, ModelSettings)
    names = " ".join(f"{parcel.tenant_id}/{parcel.evidence_id}" for parcel in parcels)
    headers = (("names", names), ("key", settings.key.reveal()))
    return HttpRequest(method, settings.endpoint, headers, body)
