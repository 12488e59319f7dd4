"""What a provider may ask of the courier beside requests: the time of day, a seal for a request
that leaves, and a text to be masked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from store_fixtures import House, PaperProvider, evidence, tenant

from evidence_courier import AsyncCourier, BlockingCourier
from evidence_courier.adapters.providers import (
    Delivered,
    Dialogue,
    ErrorHints,
    FailureKind,
    Headers,
    HttpRequest,
    HttpResponse,
    Parcel,
    Receipt,
    TransportFailure,
    Verdict,
    fetch,
    mask,
    now,
    refusal,
    throttled,
)
from evidence_courier.domain.integration import Route
from evidence_courier.testing import until_settled
from evidence_courier.testing.scripted_transport import ScriptedTransport, reply

PRESIGNED = "https://storage.example/x?signature=abcdef0123456789"
HINTS = ErrorHints(provider="Paper", unauthorized="u", forbidden="f", not_found="n")


def signature(moment: datetime) -> str:
    return sha256(f"the-secret {moment.isoformat()}".encode()).hexdigest()


def seal(moment: datetime) -> Headers:
    return (("x-date", moment.isoformat()), ("x-v", "1"), ("x-signature", signature(moment)))


class SealedProvider(PaperProvider):
    """Signs the moment at which its request leaves; whatever it is told goes into the record."""

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        asked_at = yield from now()
        yield from mask(PRESIGNED)
        headers = (("asked-at", asked_at.isoformat()),)
        request = HttpRequest(
            "POST", "https://paper.test/", headers, (parcel.content,), seal=self.seal
        )
        answer = yield from fetch(request)
        assert isinstance(answer, HttpResponse)
        if answer.status == 429:
            return throttled(answer, HINTS)
        if answer.status == 200:
            return Delivered(Receipt("r"))
        return refusal(answer, FailureKind.REFUSED, answer.body.decode())

    def seal(self, moment: datetime) -> Headers:
        return seal(moment)


class Server:
    """A blocking transport with a script."""

    def __init__(self, replies: list[HttpResponse | TransportFailure]) -> None:
        self.requests: list[HttpRequest] = []
        self._replies: Iterator[HttpResponse | TransportFailure] = iter(replies)

    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        self.requests.append(request)
        return next(self._replies)

    def close(self) -> None:
        pass


def delivered(
    house: House, provider: PaperProvider, *replies: HttpResponse | TransportFailure
) -> list[tuple[Any, list[HttpRequest]]]:
    """The status in the end, and the requests: by an AsyncCourier and by a BlockingCourier."""
    around: Any = {
        "clock": house.clock,
        "secrets": house.keys,
        "providers": {"paper": provider},
    }
    transport, server = ScriptedTransport(replies), Server(list(replies))

    async def story() -> Any:
        async with AsyncCourier.from_mapping(
            {"acme": tenant()}, house.database, transport=transport, **around
        ) as courier:
            (status,) = await until_settled(courier, house.clock, courier.submit(evidence("ev-1")))
            return status

    on_a_loop = asyncio.run(story())
    database = house.database.with_name("other.db")
    with BlockingCourier.from_mapping(
        {"acme": tenant()}, database, transport=server, **around
    ) as courier:
        status = courier.deliver(evidence("ev-1")).status
    return [(on_a_loop, transport.requests), (status, server.requests)]


def test_a_seal_is_made_by_the_couriers_clock_when_the_request_leaves(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    for status, requests in delivered(house, SealedProvider(), reply(200)):
        assert status.status == "succeeded"
        [request] = requests
        headers = dict(request.headers)
        moment = datetime.fromisoformat(headers["x-date"])
        assert headers["x-signature"] == signature(moment)
        assert datetime.fromisoformat(headers["asked-at"]) <= moment <= house.clock.now()
        assert request.seal is None


def test_each_attempt_is_sealed_anew(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    later = reply(429, b"", ("Retry-After", "3600"))
    status, requests = delivered(house, SealedProvider(), later, reply(200))[0]
    assert status.status == "succeeded"
    first, second = (datetime.fromisoformat(dict(one.headers)["x-date"]) for one in requests)
    assert (second - first).total_seconds() >= 3600


def test_a_seal_and_a_masked_text_are_shown_nowhere(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")

    class Echoing(SealedProvider):
        def seal(self, moment: datetime) -> Headers:
            return (("x-v", "1"), ("x-signature", "sig-0123456789abcdef"))

    words = f"1 upload to {PRESIGNED} with sig-0123456789abcdef is refused"
    for status, _ in delivered(house, Echoing(), reply(400, words.encode())):
        assert status.error.kind == "refused"
        assert "sig-0123" not in repr(status) and "abcdef" not in repr(status)
        assert status.error.message.startswith("1 upload to ***")


@pytest.mark.parametrize("sealed", [None, [("a", "b")], (("a", 1),), "text"], ids=str)
def test_a_seal_that_gives_no_headers_is_the_providers_bug(tmp_path: Path, sealed: Any) -> None:
    house = House(tmp_path / "courier.db")

    class Wrong(SealedProvider):
        def seal(self, moment: datetime) -> Headers:
            return sealed  # type: ignore[no-any-return]

    for status, requests in delivered(house, Wrong()):
        assert (status.status, status.error.kind) == ("failed", "provider_broken")
        assert requests == []


def test_requests_that_differ_in_their_seal_alone_are_equal() -> None:
    one, other = (HttpRequest("GET", "https://a.example", seal=made) for made in (seal, None))
    assert one == other
    assert "seal" not in repr(one)
    with pytest.raises(TypeError, match="the seal of an HttpRequest"):
        HttpRequest("GET", "https://a.example", seal="text")  # type: ignore[arg-type]
