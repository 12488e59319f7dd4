"""The way from blocking code into a loop: what is called there is answered here, or refused, but
never waited for in vain."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from attrs import define, field

from evidence_courier import MisuseError
from evidence_courier.bootstrap.portal import Portal

NAME = "a-portal-of-the-tests"
MILLISECOND = 0.001


@define
class Room:
    """Something to be in. It says when it was entered and left, and in which thread; either can
    be made to fail."""

    trouble_entering: BaseException | None = None
    trouble_leaving: BaseException | None = None
    said: list[str] = field(factory=list)
    threads: set[str] = field(factory=set)

    @asynccontextmanager
    async def stay(self) -> AsyncIterator[None]:
        self._say("entered", self.trouble_entering)
        yield
        await asyncio.sleep(0)
        self._say("left", self.trouble_leaving)

    def _say(self, word: str, trouble: BaseException | None) -> None:
        self.said.append(word)
        self.threads.add(threading.current_thread().name)
        if trouble is not None:
            raise trouble


@contextmanager
def opened(room: Room) -> Iterator[Portal]:
    portal = Portal(room.stay(), NAME)
    portal.enter()
    try:
        yield portal
    finally:
        portal.leave()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(NAME)]


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def test_a_call_is_answered_by_the_loop_in_its_thread() -> None:
    async def name() -> str:
        return threading.current_thread().name

    room = Room()
    with opened(room) as portal:
        assert portal.call(name) == NAME
        assert room.said == ["entered"]
    assert room.said == ["entered", "left"]
    assert room.threads == {NAME}


def test_after_leaving_no_thread_is_left_and_leaving_again_is_nothing() -> None:
    with opened(Room()) as portal:
        portal.call(lambda: asyncio.to_thread(lambda: None))
    portal.leave()
    portal.tell_to_leave()
    assert NAME not in threads()


def test_what_fails_on_the_loop_is_raised_where_it_was_called_from() -> None:
    trouble = LookupError("what the loop says")

    async def fail() -> None:
        raise trouble

    with opened(Room()) as portal:
        with pytest.raises(LookupError) as caught:
            portal.call(fail)
        assert caught.value is trouble


@pytest.mark.parametrize("kind", [TypeError, MisuseError, KeyError, GeneratorExit, BaseException])
def test_what_fails_before_its_task_exists_is_raised_too(kind: type[BaseException]) -> None:
    def verb() -> Any:
        raise kind("wrong")

    with opened(Room()) as portal, pytest.raises(kind, match="wrong"):
        portal.call(verb, timeout=20)


def test_what_fails_at_the_door_is_raised_and_leaves_no_thread() -> None:
    trouble = OSError("no way in")
    portal = Portal(Room(trouble_entering=trouble).stay(), NAME)
    with pytest.raises(OSError, match="no way in") as caught:
        portal.enter()
    assert caught.value is trouble
    assert NAME not in threads()


def test_what_fails_on_the_way_out_is_raised_by_leave() -> None:
    portal = Portal(Room(trouble_leaving=OSError("no way out")).stay(), NAME)
    portal.enter()
    for _ in range(2):
        with pytest.raises(OSError, match="no way out"):
            portal.leave()
    assert NAME not in threads()


def test_a_call_has_its_time_and_is_cancelled_after_it() -> None:
    begun, ended = threading.Event(), threading.Event()

    async def wait() -> None:
        begun.set()
        try:
            await for_ever()
        finally:
            ended.set()

    with opened(Room()) as portal:
        while not begun.is_set():  # a busy loop may not have begun it within its time
            with pytest.raises(TimeoutError):
                portal.call(wait, timeout=MILLISECOND)
        assert ended.wait(30)


def test_a_ctrl_c_gets_through_at_once_and_cancels_the_call() -> None:
    ended = threading.Event()

    async def wait() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await for_ever()
        finally:
            ended.set()

    with opened(Room()) as portal:
        with pytest.raises(KeyboardInterrupt):
            portal.call(wait)
        assert ended.wait(30)
        portal.call(lambda: asyncio.sleep(0))


def test_a_ctrl_c_while_entering_leaves_nothing_running() -> None:
    room = Room()

    @asynccontextmanager
    async def slowly() -> AsyncIterator[None]:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(10 * MILLISECOND)
        async with room.stay():
            yield

    portal = Portal(slowly(), NAME)
    with pytest.raises(KeyboardInterrupt):
        portal.enter()
    portal.leave()
    assert room.said == ["entered", "left"]
    assert NAME not in threads()


def test_a_call_from_the_loops_own_thread_is_refused() -> None:
    with opened(Room()) as portal:

        async def call_in() -> None:
            portal.call(lambda: asyncio.sleep(0))

        async def leave() -> None:
            portal.leave()

        for attempt in (call_in, leave):
            with pytest.raises(MisuseError, match="a thread of your own"):
                portal.call(attempt)
        portal.call(lambda: asyncio.sleep(0))


def test_a_call_after_the_close_is_refused() -> None:
    with opened(Room()) as portal:
        pass
    with pytest.raises(MisuseError, match="closed"):
        portal.call(for_ever)


def test_a_call_that_waits_while_the_portal_is_left_raises() -> None:
    waiting = threading.Event()

    async def wait() -> None:
        waiting.set()
        await for_ever()

    with ThreadPoolExecutor(1) as pool:
        with opened(Room()) as portal:
            call = pool.submit(portal.call, wait)
            assert waiting.wait(30)
        with pytest.raises(MisuseError, match="closed"):
            call.result(30)


def test_what_is_to_come_first_comes_before_leaving() -> None:
    room = Room()

    async def first() -> None:
        await asyncio.sleep(0)
        room.said.append("first")

    portal = Portal(room.stay(), NAME)
    portal.enter()
    portal.leave(first)
    assert room.said == ["entered", "first", "left"]


def test_many_threads_may_call_at_once() -> None:
    seen: list[int] = []

    async def note(number: int) -> int:
        await asyncio.sleep(0)
        seen.append(number)
        return number

    def calls(portal: Portal, start: int) -> list[int]:
        return [portal.call(lambda number=start + n: note(number)) for n in range(50)]  # type: ignore[misc]

    with ThreadPoolExecutor(16) as pool, opened(Room()) as portal:
        answers: list[Any] = list(pool.map(lambda n: calls(portal, 50 * n), range(16)))
    assert [number for some in answers for number in some] == list(range(800))
    assert sorted(seen) == list(range(800))


def test_two_portals_have_two_loops() -> None:
    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    with opened(Room()) as one, opened(Room()) as other:
        assert one.call(loop) is not other.call(loop)
