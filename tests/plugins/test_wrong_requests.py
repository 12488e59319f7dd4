"""A request that is none, from a provider that gets the types wrong: said before anything is
sent, on every path."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from store_fixtures import House, PaperProvider, PaperServer, evidence, tenant

from evidence_courier import AsyncCourier, BlockingCourier, MisuseError
from evidence_courier.adapters.engines.token_cache import TokenCache
from evidence_courier.domain.integration import Route
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import Rejected, Verdict
from evidence_courier.ports.dialogue import Access, Dialogue, HttpRequest, HttpResponse, fetch
from evidence_courier.ports.provider import Parcel
from evidence_courier.testing import until_settled

WRONG: list[tuple[Any, ...]] = [
    ("POST", "https://paper.test/", (), b"whole"),
    ("POST", "https://paper.test/", (), ("text",)),
    ("POST", "https://paper.test/", (), [b"listed"]),
    ("POST", "https://paper.test/", (("length", 1),)),
    ("POST", "https://paper.test/", {"a": "mapping"}),
    ("POST", "https://paper.test/", (("one",),)),
    ("POST", b"https://paper.test/"),
    (b"POST", "https://paper.test/"),
]


@pytest.mark.parametrize("parts", WRONG, ids=str)
def test_a_request_of_wrong_types_cannot_be_made(parts: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="of an HttpRequest"):
        HttpRequest(*parts)


class WrongProvider(PaperProvider):
    """Makes a request of these parts."""

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts = parts

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        yield from fetch(HttpRequest(*self.parts))
        raise AssertionError("it was sent")


class Unreachable:
    def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        raise AssertionError("nothing should be sent")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("parts", WRONG[:4], ids=str)
def test_it_is_the_providers_bug_and_nothing_was_sent(
    tmp_path: Path, parts: tuple[Any, ...]
) -> None:
    house = House(tmp_path / "courier.db")
    around: Any = {
        "clock": house.clock,
        "secrets": house.keys,
        "providers": {"paper": WrongProvider(parts)},
    }

    async def story() -> Any:
        transport = PaperServer(house.clock)
        async with AsyncCourier.from_mapping(
            {"acme": tenant()}, house.database, transport=transport, **around
        ) as courier:
            (status,) = await until_settled(courier, house.clock, courier.submit(evidence("ev-1")))
            return status

    with BlockingCourier.from_mapping(
        {"acme": tenant()}, tmp_path / "other.db", transport=Unreachable(), **around
    ) as courier:
        delivery = courier.deliver(evidence("ev-1"))
    for status in (asyncio.run(story()), delivery.status):
        assert status is not None
        assert status.error is not None
        assert (status.status, status.error.kind) == ("failed", "provider_broken")
        assert "HttpRequest" in status.error.message


def test_a_mint_that_fails_tells_no_piece_of_its_reply() -> None:
    keeper = TokenCache(lambda: 0.0)
    failure = Failure(
        FailureKind.BROKEN_REPLY, "it holds no ttl", detail='{"token": "tok-0123456789"}'
    )

    def nothing() -> Any:
        raise AssertionError

    async def mint() -> Failure:
        return failure

    async def ask() -> Any:
        return await asyncio.gather(*(keeper.token(Access("k", nothing), mint) for _ in range(2)))

    assert asyncio.run(ask()) == [Failure(FailureKind.BROKEN_REPLY, "it holds no ttl")] * 2


def test_secrets_that_cannot_be_asked_are_refused_with_words() -> None:
    secrets: Any = {"KEY": "a-key-that-nobody-may-see"}
    with pytest.raises(MisuseError, match=r"resolve\(name\) -> Secret \| None, not dict"):
        AsyncCourier.from_mapping({"acme": tenant()}, "courier.db", secrets=secrets)


def test_a_detail_of_the_reply_is_shown_to_the_administrator(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    house.server.answer = lambda _evidence, _nth: 400

    class Detailed(PaperProvider):
        def upload(
            self, parcel: Parcel, settings: object, progress: str | None
        ) -> Dialogue[Verdict]:
            verdict = yield from super().upload(parcel, settings, progress)
            assert isinstance(verdict, Rejected)
            return Rejected(evolve(verdict.failure, detail="the reply as it was"))

    async def story() -> Any:
        async with house.courier(providers={"paper": Detailed()}) as courier:
            await until_settled(courier, house.clock, courier.submit(evidence("ev-1")))
            return await courier.show("acme", "ev-1")

    shown = asyncio.run(story())
    assert [row.detail for row in shown.history] == ["the reply as it was"]
