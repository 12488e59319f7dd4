"""The keeper of tokens: one mint for all who ask at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import define, field

from evidence_courier.adapters.engines.token_cache import TokenCache
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.ports.dialogue import Access, AccessToken, Dialogue, MintedToken

REFUSED = Failure(FailureKind.UNAUTHORIZED, "the client is not known")


@define
class TokenOffice:
    """Mints token-1, token-2 and so on, when it is let; counts how often it was asked."""

    lifetime: float = 3_600.0
    failures: list[Failure | Exception] = field(factory=list)
    minted: int = 0
    now: float = 0.0
    open: asyncio.Event = field(factory=asyncio.Event)
    keeper: TokenCache = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.keeper = TokenCache(lambda: self.now)
        self.open.set()

    async def mint(self) -> MintedToken | Failure:
        self.minted += 1
        number = self.minted
        await self.open.wait()
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return failure
        return MintedToken(Secret(f"token-{number}"), self.lifetime)

    async def ask(
        self, key: str = "app", refused: AccessToken | None = None
    ) -> AccessToken | Failure:
        return await self.keeper.token(Access(key, _no_dialogue, refused), self.mint)


def _no_dialogue() -> Dialogue[MintedToken | Failure]:
    raise AssertionError("the keeper is handed the mint as a function")


def token(number: int, *, fresh: bool) -> AccessToken:
    return AccessToken(Secret(f"token-{number}"), fresh)


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def all_asking(
    office: TokenOffice, count: int, refused: AccessToken | None = None
) -> list[asyncio.Task[AccessToken | Failure]]:
    """That many tasks that have asked and wait."""
    office.open.clear()
    tasks = [asyncio.create_task(office.ask(refused=refused)) for _ in range(count)]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


def test_a_token_is_minted_once_and_then_given_from_memory() -> None:
    async def story() -> None:
        office = TokenOffice()
        assert await office.ask() == token(1, fresh=True)
        assert await office.ask() == token(1, fresh=False)
        assert office.minted == 1

    run(story())


def test_all_who_ask_at_once_get_the_fresh_token_of_one_mint() -> None:
    async def story() -> None:
        office = TokenOffice()
        tasks = await all_asking(office, 20)
        office.open.set()
        assert await asyncio.gather(*tasks) == [token(1, fresh=True)] * 20
        assert office.minted == 1

    run(story())


def test_a_failed_mint_fails_all_who_waited_and_no_one_later() -> None:
    async def story() -> None:
        office = TokenOffice(failures=[REFUSED])
        tasks = await all_asking(office, 5)
        office.open.set()
        assert await asyncio.gather(*tasks) == [REFUSED] * 5
        assert office.minted == 1
        assert await office.ask() == token(2, fresh=True)

    run(story())


def test_keys_have_tokens_of_their_own() -> None:
    async def story() -> None:
        office = TokenOffice()
        assert await office.ask("one") == token(1, fresh=True)
        assert await office.ask("two") == token(2, fresh=True)
        assert await office.ask("one") == token(1, fresh=False)

    run(story())


def test_a_refused_token_is_thrown_away() -> None:
    async def story() -> None:
        office = TokenOffice()
        first = await office.ask()
        assert isinstance(first, AccessToken)
        assert await office.ask(refused=first) == token(2, fresh=True)
        assert await office.ask() == token(2, fresh=False)

    run(story())


def test_a_token_that_another_has_replaced_already_is_not_minted_again() -> None:
    async def story() -> None:
        office = TokenOffice()
        first = await office.ask()
        assert isinstance(first, AccessToken)
        await office.ask(refused=first)
        assert await office.ask(refused=first) == token(2, fresh=False)
        assert office.minted == 2

    run(story())


def test_two_who_were_refused_the_same_token_mint_once() -> None:
    async def story() -> None:
        office = TokenOffice()
        first = await office.ask()
        assert isinstance(first, AccessToken)
        tasks = await all_asking(office, 2, refused=first)
        office.open.set()
        assert await asyncio.gather(*tasks) == [token(2, fresh=True)] * 2
        assert office.minted == 2

    run(story())


@pytest.mark.parametrize(
    ("lifetime", "last_use"),
    [(3_600.0, 3_539.0), (100.0, 49.0), (61.0, 30.0)],
    ids=["hour", "short", "minute"],
)
def test_a_token_is_given_up_before_it_ends(lifetime: float, last_use: float) -> None:
    async def story() -> None:
        office = TokenOffice(lifetime=lifetime)
        await office.ask()
        office.now = last_use
        assert await office.ask() == token(1, fresh=False)
        office.now = last_use + 1.1
        assert await office.ask() == token(2, fresh=True)

    run(story())


@pytest.mark.parametrize("lifetime", [0.0, -5.0, float("nan")])
def test_a_token_without_a_life_is_used_once(lifetime: float) -> None:
    async def story() -> None:
        office = TokenOffice(lifetime=lifetime)
        assert await office.ask() == token(1, fresh=True)
        assert await office.ask() == token(2, fresh=True)

    run(story())


def test_time_spent_minting_is_off_the_tokens_life() -> None:
    async def story() -> None:
        office = TokenOffice(lifetime=100.0)
        (task,) = await all_asking(office, 1)
        office.now = 60.0
        office.open.set()
        await task
        assert await office.ask() == token(2, fresh=True)

    run(story())


def test_who_is_cancelled_while_minting_leaves_it_to_the_next() -> None:
    async def story() -> None:
        office = TokenOffice()
        first, second = await all_asking(office, 2)
        first.cancel()
        office.open.set()
        assert await second == token(2, fresh=True)
        assert first.cancelled()

    run(story())


def test_a_mint_that_raises_is_an_error_for_who_asked_and_leaves_nothing() -> None:
    async def story() -> None:
        office = TokenOffice(failures=[RuntimeError("a bug")])
        with pytest.raises(RuntimeError, match="a bug"):
            await office.ask()
        assert await office.ask() == token(2, fresh=True)

    run(story())


def test_a_keeper_shows_no_token() -> None:
    async def story() -> None:
        office = TokenOffice()
        await office.ask()
        assert "token-1" not in repr(office.keeper)

    run(story())


def test_a_token_of_an_earlier_lease_is_never_given_again() -> None:
    async def story() -> None:
        office = TokenOffice()
        wish = Access("app", _no_dialogue)
        first = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
        for since, number in ((first, 1), (first, 1), (first + timedelta(minutes=1), 2)):
            given = await office.keeper.token(wish, office.mint, since)
            assert isinstance(given, AccessToken)
            assert given.value == Secret(f"token-{number}")

    run(story())
