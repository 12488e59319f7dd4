"""A token that was minted on the way is as secret as the credential behind it, wherever the
provider repeats it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from store_fixtures import House, PaperProvider, evidence, tenant

from evidence_courier import AsyncCourier, BlockingCourier
from evidence_courier.domain.integration import Route
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import (
    DryRun,
    Finding,
    NotReady,
    Rejected,
    Unclear,
    Unreadable,
    Verdict,
)
from evidence_courier.ports.dialogue import (
    Access,
    AccessToken,
    Dialogue,
    HttpRequest,
    HttpResponse,
    MintedToken,
    access,
    fetch,
)
from evidence_courier.ports.provider import Parcel
from evidence_courier.testing import FakeClock, until_settled

TOKEN = "tok-4eC39HqLyjWDarjtT1zdp7dc"


class TokenProvider(PaperProvider):
    """Mints a token, and believes whatever it is told; `ending` says how an upload ends."""

    def __init__(self, ending: str = "rejected") -> None:
        self.ending = ending

    def _said(self) -> Dialogue[str]:
        token = yield from access(Access("paper", _mint))
        assert isinstance(token, AccessToken)
        headers = (("authorization", token.value.reveal()),)
        reply = yield from fetch(HttpRequest("POST", "https://paper.test/", headers))
        assert isinstance(reply, HttpResponse)
        return reply.body.decode()

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        said = yield from self._said()
        if self.ending == "raises":
            raise RuntimeError(said)
        failure = Failure(FailureKind.REFUSED, said, http_status=400, detail=said)
        return Unclear(failure) if self.ending == "unclear" else Rejected(failure)

    def check(self, settings: object) -> Dialogue[DryRun]:
        return NotReady(Failure(FailureKind.REFUSED, (yield from self._said())))


class ReadableTokenProvider(TokenProvider):
    """The same, and it can be asked what it has."""

    look_up_delays: ClassVar[tuple[timedelta, ...]] = (timedelta(seconds=1),)

    def look_up(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Finding]:
        return Unreadable(Failure(FailureKind.SERVER_ERROR, (yield from self._said())))


def _mint() -> Dialogue[MintedToken | Failure]:
    yield from fetch(HttpRequest("POST", "https://paper.test/token"))
    return MintedToken(Secret(TOKEN), 3_600.0)


class EchoingServer:
    """Repeats the token in the body and in the id of the request."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    def answer(self, request: HttpRequest) -> HttpResponse:
        said = dict(request.headers).get("authorization", "")
        return HttpResponse(
            400, (("x-request-id", f"r-{said}"),), f"no, {said}".encode(), self.clock.now()
        )


class AsyncEchoingServer(EchoingServer):
    async def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        return self.answer(request)

    async def close(self) -> None:
        pass


class BlockingEchoingServer(EchoingServer):
    def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        return self.answer(request)

    def close(self) -> None:
        pass


def seen_of(house: House, folder: Path) -> str:
    """Whatever is left of it: the events, and the bytes of the database."""
    files = b"".join(path.read_bytes() for path in sorted(folder.glob("courier.db*")))
    return repr(house.logger.events) + files.decode("latin-1")


def built(
    house: House, kind: Any, transport: object, provider: TokenProvider, database: Path
) -> Any:
    around: Mapping[str, Any] = {
        "clock": house.clock,
        "logger": house.logger,
        "secrets": house.keys,
        "transport": transport,
        "providers": {"paper": provider},
    }
    return kind.from_mapping({"acme": tenant(retry={"max_attempts": 1})}, database, **around)


ENDINGS = ("rejected", "unclear", "raises")


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_record_and_no_event_shows_a_minted_token(tmp_path: Path, ending: str) -> None:
    house = House(tmp_path / "courier.db")

    async def story() -> object:
        server, provider = AsyncEchoingServer(house.clock), ReadableTokenProvider(ending)
        async with built(house, AsyncCourier, server, provider, house.database) as courier:
            await until_settled(courier, house.clock, courier.submit(evidence()))
            return (await courier.show("acme", "ev-1"), await courier.doctor("acme"))

    shown = asyncio.run(story())
    assert "no, ***" in repr(shown)
    assert TOKEN[:8] not in repr(shown)
    assert TOKEN[:8] not in seen_of(house, tmp_path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_nor_on_the_blocking_path(tmp_path: Path, ending: str) -> None:
    house = House(tmp_path / "courier.db")
    server, provider = BlockingEchoingServer(house.clock), ReadableTokenProvider(ending)
    with built(house, BlockingCourier, server, provider, house.database) as courier:
        delivery = courier.deliver(evidence())
        while delivery.again_at is not None:
            house.clock.set(delivery.again_at)
            delivery = courier.deliver(evidence())
        shown = courier.show("acme", "ev-1")
    assert "***" in repr(shown)
    assert TOKEN[:8] not in repr((shown, delivery))
    assert TOKEN[:8] not in seen_of(house, tmp_path)
