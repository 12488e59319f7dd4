"""The rate limit in both windows, on a clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

import pytest

from evidence_courier.testing.sandboxes import RateLimit, SprintoSandbox, parse_pace
from evidence_courier.testing.sandboxes.rates import RateMeter

Send = Callable[..., Awaitable[tuple[int, Mapping[str, str], bytes]]]


class HandClock:
    """Monotonic seconds, moved by hand."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


def test_a_fixed_window_fills_and_empties_as_a_whole() -> None:
    clock = HandClock(50.0)
    meter = RateMeter(RateLimit(2, 60.0, window="fixed"), clock)
    assert [meter.ask(), meter.ask()] == [0.0, 0.0]
    assert meter.ask() == 10.0  # the window ends at 60, whenever the requests came
    clock.seconds = 59.0
    assert meter.ask() == 1.0
    clock.seconds = 60.0
    assert [meter.ask(), meter.ask(), meter.ask()] == [0.0, 0.0, 60.0]


def test_a_fixed_window_lets_twice_the_limit_through_around_its_edge() -> None:
    clock = HandClock(59.0)
    meter = RateMeter(RateLimit(2, 60.0, window="fixed"), clock)
    before = [meter.ask(), meter.ask()]
    clock.seconds = 61.0
    assert [*before, meter.ask(), meter.ask()] == [0.0, 0.0, 0.0, 0.0]


def test_a_sliding_window_frees_each_place_one_period_after_it_was_taken() -> None:
    clock = HandClock(50.0)
    meter = RateMeter(RateLimit(2, 60.0, window="sliding"), clock)
    assert meter.ask() == 0.0
    clock.seconds = 70.0
    assert meter.ask() == 0.0
    assert meter.ask() == 40.0
    clock.seconds = 110.0
    assert meter.ask() == 0.0
    assert meter.ask() == 20.0


def test_a_refused_request_takes_no_place() -> None:
    clock = HandClock()
    meter = RateMeter(RateLimit(1, 10.0, window="sliding"), clock)
    assert meter.ask() == 0.0
    clock.seconds = 9.0
    assert meter.ask() == 1.0
    clock.seconds = 10.0
    assert meter.ask() == 0.0


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("10/min", RateLimit(10, 60.0)),
        ("3/s", RateLimit(3, 1.0)),
        ("500/h", RateLimit(500, 3600.0)),
        ("10/min:sliding", RateLimit(10, 60.0, window="sliding")),
        ("10/min:fixed:graphql", RateLimit(10, 60.0, window="fixed", refusal="graphql")),
        ("10/min:graphql", RateLimit(10, 60.0, refusal="graphql")),
        (" 10/min ", RateLimit(10, 60.0)),
    ],
)
def test_a_pace_is_read(text: str, limit: RateLimit) -> None:
    assert parse_pace(text) == limit


@pytest.mark.parametrize(
    "text", ["", "10", "0/min", "-1/min", "10/day", "10/min:rolling", "ten/min", "10 /min"]
)
def test_a_pace_without_sense_is_refused_with_advice(text: str) -> None:
    with pytest.raises(ValueError, match="write N/s, N/min or N/h"):
        parse_pace(text)


@pytest.mark.parametrize(("limit", "period"), [(0, 60.0), (10, 0.0)])
def test_a_limit_without_room_is_refused(limit: int, period: float) -> None:
    with pytest.raises(ValueError, match="must be >"):
        RateLimit(limit, period)


def test_the_sandbox_answers_429_and_says_when_to_come_back(upload: Send) -> None:
    async def scene() -> None:
        clock = HandClock(29.5)
        async with SprintoSandbox(pace="2/min", monotonic=clock) as sandbox:
            assert [(await upload(sandbox.url))[0] for _ in range(2)] == [200, 200]
            status, headers, body = await upload(sandbox.url)
            # 30.5 s, in whole seconds that suffice
            assert (status, headers["Retry-After"]) == (429, "31")
            assert "Rate limit" in json.loads(body)["error"]
            assert (len(sandbox.received), sandbox.requests) == (2, 3)
            clock.seconds += 31.0
            assert (await upload(sandbox.url))[0] == 200

    asyncio.run(scene())


def test_the_sandbox_may_speak_of_its_limit_in_graphql(upload: Send) -> None:
    async def scene() -> None:
        async with SprintoSandbox(pace="1/min:sliding:graphql", monotonic=HandClock()) as sandbox:
            await upload(sandbox.url)
            status, headers, body = await upload(sandbox.url)
            assert status == 200
            assert "Retry-After" not in headers
            [error] = json.loads(body)["errors"]
            assert error["message"] == "Rate limit exceeded. Try again in 60 seconds."
            assert error["extensions"] == {"code": "RATE_LIMITED"}

    asyncio.run(scene())


def test_a_request_over_the_limit_uses_up_no_fault(upload: Send) -> None:
    async def scene() -> None:
        clock = HandClock()
        async with SprintoSandbox(pace="1/s", monotonic=clock, faults=["status:503=x1"]) as sandbox:
            sandbox.use_faults(["status:503=x2"])
            statuses = [(await upload(sandbox.url))[0] for _ in range(3)]
            clock.seconds = 1.0
            statuses.append((await upload(sandbox.url))[0])
            clock.seconds = 2.0
            statuses.append((await upload(sandbox.url))[0])
            assert statuses == [503, 429, 429, 503, 200]

    asyncio.run(scene())
