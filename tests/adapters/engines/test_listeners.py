"""What the host brings may stand still for good: the event loop never runs it, and another tenant's
upload goes on."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field
from store_fixtures import Desk, House, Keys, PaperProvider, evidence

from evidence_courier import AsyncCourier, Document, Evidence, UploadStatus
from evidence_courier.adapters.engines import aside, notify
from evidence_courier.adapters.engines.closing import closed_here
from evidence_courier.adapters.loggers.standard import NAME, StandardLogger
from evidence_courier.adapters.notices.on_notice import OnNotice
from evidence_courier.adapters.notices.teller import SinkTeller
from evidence_courier.bootstrap.fan_out import FanOut
from evidence_courier.delivery import notices
from evidence_courier.domain.notices import notice_of
from evidence_courier.domain.telling import WaitingNotice
from evidence_courier.ports.logger import (
    AttemptEnded,
    AttemptStarted,
    HookFailed,
    LogEvent,
    TenantUnknown,
    UploadEvent,
    UploadRecorded,
    UploadSettled,
)
from evidence_courier.testing import FakeClock, RecordingLogger


@define
class Hanging:
    """Stands still where it is called, until the test lets it go; in which threads it was."""

    let_go: threading.Event = field(factory=threading.Event)
    called: threading.Event = field(factory=threading.Event)
    threads: set[int] = field(factory=set)

    def __call__(self, *given: object) -> Any:
        self.threads.add(threading.get_ident())
        self.called.set()
        assert self.let_go.wait(60)


class HangingLogger:
    def __init__(self, hang: Hanging) -> None:
        self.hang = hang

    def log(self, event: LogEvent) -> None:
        self.hang(event)


class HangingChoice(HangingLogger):
    wants = HangingLogger.log

    def log(self, event: LogEvent) -> None: ...


class HangingHandler(logging.Handler):
    def __init__(self, hang: Hanging) -> None:
        super().__init__()
        self.hang = hang

    def emit(self, record: logging.LogRecord) -> None:
        self.hang(record)


class HangingLevel(logging.Logger):
    hang: Hanging

    def isEnabledFor(self, level: int) -> bool:
        return bool(self.hang(level))


def of_level(hang: Hanging) -> StandardLogger:
    own = HangingLevel(NAME)
    own.hang = hang
    return StandardLogger(own)


class HangingFilter(HangingHandler):
    def filter(self, record: logging.LogRecord) -> bool:
        self.hang(record)
        return False


class HangingKeys:
    """Its secrets come at once until it is told to hang."""

    def __init__(self, hang: Hanging) -> None:
        self.hang, self.hangs = hang, False

    def resolve(self, name: str) -> Any:
        return self.hang() if self.hangs else Keys().resolve(name)


class HangingSource:
    def __init__(self, hang: Hanging) -> None:
        self.hang = hang

    def read(self, tenant_id: str, key: str) -> bytes:
        self.hang()
        return b"late"


def over(handler: logging.Handler) -> StandardLogger:
    own = logging.Logger(NAME, logging.DEBUG)  # noqa: LOG001 - of this test alone
    own.addHandler(handler)
    return StandardLogger(own)


LISTENERS: Mapping[str, Callable[[Hanging], dict[str, Any]]] = {
    "a logger": lambda hang: {"logger": HangingLogger(hang)},
    "a logger's choice": lambda hang: {"logger": HangingChoice(hang)},
    "a handler of logging": lambda hang: {"logger": over(HangingHandler(hang))},
    "a level of logging": lambda hang: {"logger": of_level(hang)},
    "a filter of logging": lambda hang: {"logger": over(HangingFilter(hang))},
    "an exporter of metrics": lambda hang: {
        "logger": FanOut(RecordingLogger(), HangingLogger(hang))
    },
    "on_settled": lambda hang: {"on_settled": hang},
    "a sink of notices": lambda hang: {"notices": [OnNotice(hang)]},
}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    monkeypatch.setattr(aside, "LAST_CALLS", 0.05)
    hang = Hanging()
    yield hang
    hang.let_go.set()


async def goes_on(courier: AsyncCourier, name: str = "other") -> None:
    """Another tenant's upload is recorded and sent within the second of a real clock that a slow
    machine may take."""
    status = await courier.submit(evidence(name, "globex")).settled(timeout=5)
    assert status is not None and status.status == "succeeded"


async def reached(hang: Hanging, clock: FakeClock | None = None) -> None:
    async with asyncio.timeout(10):
        while not hang.called.is_set():
            await asyncio.sleep(0.001)
            if clock is not None:
                clock.advance(1)


@pytest.mark.parametrize("listener", LISTENERS)
def test_a_listener_that_hangs_stops_neither_the_loop_nor_a_close(
    house: House, hang: Hanging, listener: str
) -> None:
    async def story() -> None:
        async with asyncio.timeout(30):
            async with house.courier(**LISTENERS[listener](hang)) as courier:
                if listener == "a sink of notices":  # one block is news
                    house.server.answer = lambda name, _nth: 401 if name == "ev-1" else 200
                await courier.submit(evidence()).settled(timeout=5)
                await reached(hang, house.clock)
                for number in range(3):
                    await goes_on(courier, f"other-{number}")
                await courier.reload()
                assert (await courier.health()).counts["succeeded"] >= 3
        assert threading.get_ident() not in hang.threads

    asyncio.run(story())


def kept(name: str) -> Evidence:
    document = Document(
        source="key", sha256=sha256(b"x").hexdigest(), size=1, media_type="application/pdf"
    )
    return evolve(evidence(name), document=document)


def test_a_source_that_hangs_stops_no_other_tenant(house: House, hang: Hanging) -> None:
    async def story() -> None:
        async with house.courier(source=HangingSource(hang)) as courier:
            courier.submit(kept("ev-1"))
            await reached(hang)
            await goes_on(courier)
            hang.let_go.set()

    asyncio.run(story())


@pytest.mark.parametrize("what", ["a secret", "the tenants"])
def test_a_reload_that_hangs_stops_no_upload(house: House, hang: Hanging, what: str) -> None:
    keys, hangs = HangingKeys(hang), threading.Event()

    def tenants() -> Any:
        return hang() or house.tenants if hangs.is_set() else house.tenants

    async def story() -> None:
        options: Any = {"secrets": keys, "clock": house.clock, "transport": house.server}
        options["providers"] = {"paper": PaperProvider()}
        courier = AsyncCourier.from_mapping(tenants, house.database, **options)
        async with courier:
            keys.hangs = what == "a secret"
            if what == "the tenants":
                hangs.set()
            reloading = asyncio.ensure_future(courier.reload())
            await reached(hang)
            await goes_on(courier)
            hang.let_go.set()
            keys.hangs = False
            await asyncio.wait([reloading], timeout=10)

    asyncio.run(story())


@pytest.mark.parametrize("at", [UploadRecorded, AttemptStarted, AttemptEnded, UploadSettled])
def test_a_logger_that_hangs_holds_its_own_caller_alone_without_a_loop(
    house: House, hang: Hanging, at: type
) -> None:
    """Of a `BlockingCourier`: one call's logger stands still, and the others deliver."""

    class HangsOnce:
        def log(self, event: LogEvent) -> None:
            if isinstance(event, at) and not hang.called.is_set():
                hang(event)

    ends: list[object] = []
    with house.blocking_courier(logger=HangsOnce(), transport=Desk(house)) as courier:

        def deliver(name: str, tenant_id: str) -> threading.Thread:
            def call() -> None:
                ends.append(courier.deliver(evidence(name, tenant_id)).status)

            thread = threading.Thread(target=call, daemon=True)
            thread.start()
            return thread

        first = deliver("ev-1", "acme")
        assert hang.called.wait(10)
        other = deliver("other", "globex")
        other.join(10)
        assert len(ends) == 1
        hang.let_go.set()
        first.join()


# --- a listener that closes its courier ----------------------------------------------------------


class ClosesOnce:
    """A listener, of any kind, that closes the courier in which it is told of the first thing."""

    def __init__(self, after: threading.Event) -> None:
        self.after, self.closed, self.called = after, threading.Event(), threading.Event()
        self.close: Callable[[], object] = lambda: None

    def log(self, event: LogEvent) -> None:
        if isinstance(event, AttemptEnded):
            self(event)

    def __call__(self, told: object) -> None:
        if not self.called.is_set():
            self.called.set()
            assert self.after.wait(30)
            self.close()
            self.closed.set()


CLOSING: Mapping[str, Callable[[ClosesOnce], dict[str, Any]]] = {
    "a logger": lambda one: {"logger": one},
    "on_settled": lambda one: {"on_settled": one},
    "a sink of notices": lambda one: {"notices": [OnNotice(one)]},
}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a close gives its listeners is more than these tests have."""
    monkeypatch.setattr(aside, "LAST_CALLS", 60)
    monkeypatch.setattr(notices, "LAST_WAIT", 60)


async def until_called(closes: ClosesOnce, house: House) -> None:
    async with asyncio.timeout(30):
        while not closes.called.is_set():
            await asyncio.sleep(0.001)
            house.clock.advance(1)


@pytest.mark.parametrize("is_closed", [False, True], ids=["first", "during a close"])
@pytest.mark.parametrize("listener", CLOSING)
def test_a_listener_in_a_thread_may_close_the_courier(
    house: House, patient: None, listener: str, is_closed: bool
) -> None:
    house.server.answer = lambda *_: 401 if listener == "a sink of notices" else 200
    closing = threading.Event()
    closes = ClosesOnce(closing)
    courier = house.sync_courier(**CLOSING[listener](closes))
    closes.close = partial(courier.close, grace=60)
    courier.start()
    courier.submit(evidence()).settled(timeout=30)
    asyncio.run(until_called(closes, house))
    closer = threading.Thread(target=partial(courier.close, grace=60), daemon=True)
    if is_closed:
        closer.start()
        time.sleep(0.05)  # it waits for the listener by then, or will soon
    closing.set()
    assert closes.closed.wait(30)
    if is_closed:
        closer.join(30)
        assert not closer.is_alive()


@pytest.mark.parametrize("is_closed", [False, True], ids=["first", "during a close"])
def test_an_on_settled_that_is_awaited_may_close_the_courier(house: House, is_closed: bool) -> None:
    closed, called = asyncio.Event(), asyncio.Event()

    async def story() -> None:
        async def hook(status: UploadStatus) -> None:
            called.set()
            if is_closed:
                await closing.wait()
            await asyncio.wait_for(courier.close(grace=60), 60)  # in a task of its own
            closed.set()

        closing = asyncio.Event()
        courier = house.courier(on_settled=hook)
        await courier.start()
        await courier.submit(evidence()).settled(timeout=30)
        async with asyncio.timeout(30):
            await called.wait()
            if is_closed:
                closer = asyncio.ensure_future(courier.close(grace=60))
                await asyncio.sleep(0.05)
                closing.set()
                await closer
            await closed.wait()

    asyncio.run(story())


def test_what_waits_behind_a_call_that_closes_is_called_after_the_close(house: House) -> None:
    closing, told = threading.Event(), list[str]()
    closes = ClosesOnce(closing)

    def hook(status: UploadStatus) -> None:
        told.append(status.evidence_id)
        closes(status)

    courier = house.sync_courier(on_settled=hook)
    closes.close = courier.close
    courier.start()
    tickets = [courier.submit(evidence(f"ev-{number}")) for number in range(3)]
    for ticket in tickets:
        ticket.settled(timeout=30)
    closing.set()
    assert closes.closed.wait(30)
    until = time.monotonic() + 30
    while len(told) < 3 and time.monotonic() < until:
        time.sleep(0.001)
    assert sorted(told) == ["ev-0", "ev-1", "ev-2"]


def test_so_is_what_waits_behind_a_call_that_begins_a_close_and_goes_on(
    house: House, patient: None
) -> None:
    """Whether it will wait for the close cannot be known."""
    go, begun, closed, last = (threading.Event() for _ in range(4))
    told = list[str]()

    async def story() -> None:
        loop = asyncio.get_running_loop()

        def hook(status: UploadStatus) -> None:
            told.append(status.evidence_id)
            if len(told) == 1:
                assert go.wait(30)
                asyncio.run_coroutine_threadsafe(courier.close(), loop)
                begun.set()
                assert closed.wait(30)
            if len(told) == 3:
                last.set()

        courier = house.courier(on_settled=hook)
        await courier.start()
        for ticket in [courier.submit(evidence(f"ev-{number}")) for number in range(3)]:
            await ticket.settled(timeout=30)
        go.set()
        assert await asyncio.to_thread(begun.wait, 30)
        async with asyncio.timeout(30):
            await courier.close()
        assert len(told) == 1
        closed.set()
        assert await asyncio.to_thread(last.wait, 30)

    asyncio.run(story())
    assert sorted(told) == ["ev-0", "ev-1", "ev-2"]


AT = datetime(2026, 2, 21, 10, tzinfo=UTC)


class BeginsClose:
    """A listener of which the first call begins a task that closes the courier once the call has
    returned; it does not wait for that. `told` counts its calls."""

    def __init__(self) -> None:
        self.told, self.second, self.go_on = 0, threading.Event(), threading.Event()
        self.begun = copy_context()

    def __call__(self, given: object) -> None:
        self.told += 1
        if self.told == 1:
            self.begun = copy_context()
        else:
            self.second.set()
            assert self.go_on.wait(30)

    def close(self) -> None:
        """What that task does, while the second call goes on."""
        assert self.second.wait(30)
        self.begun.run(closed_here)
        threading.Timer(0.05, self.go_on.set).start()


def test_a_close_that_a_call_only_begins_waits_for_the_other_calls(patient: None) -> None:
    begins = BeginsClose()
    calls = aside.Aside(begins, 10)
    for number in range(8):
        assert calls.put(number)
    begins.close()
    asyncio.run(calls.emptied())
    assert begins.told == 8


@pytest.mark.parametrize("at_once", [True, False], ids=["in one thread", "in two"])
def test_a_close_that_a_sink_only_begins_waits_for_its_next_notice(at_once: bool) -> None:
    begins = BeginsClose()
    teller = SinkTeller(OnNotice(begins))
    notice = notice_of("blocked", AT, "it does not work", "acme", "paper", "x", 1)
    first, second = (WaitingNotice(number, notice) for number in (1, 2))
    if not at_once:
        teller.tell([first])
        teller.wait(30)
    teller.tell([first, second] if at_once else [second])
    teller.wait(0.01)
    begins.close()
    teller.end(30)
    assert dict(teller.results()) == {1: None, 2: None}


# --- what a logger in a thread hears -------------------------------------------------------------


class Plain:
    """Keeps what it is told, in the thread in which it is told; it is not `Prompt`."""

    def __init__(self, wait: Callable[[], object] = lambda: None) -> None:
        self.events: list[LogEvent] = []
        self.wait = wait

    def log(self, event: LogEvent) -> None:
        self.wait()
        self.events.append(event)


def test_it_hears_all_in_order_by_the_end_of_the_close(house: House) -> None:
    logger = Plain()

    async def story() -> None:
        async with house.courier(logger=logger) as courier:
            for name in ("ev-1", "ev-2"):
                await courier.submit(evidence(name)).settled(timeout=30)

    asyncio.run(story())
    told = [type(one) for one in logger.events if isinstance(one, UploadEvent | UploadSettled)]
    assert told == [UploadRecorded, AttemptStarted, AttemptEnded, UploadSettled] * 2


def test_one_that_only_takes_note_hears_at_once(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            courier.submit(evidence(tenant_id="nameless"))
            assert house.logger.of(TenantUnknown)

    asyncio.run(story())


def test_it_is_called_in_the_context_of_what_happened(house: House) -> None:
    request: ContextVar[str] = ContextVar("request", default="none")
    heard: list[str] = []
    logger = Plain(lambda: heard.append(request.get()))

    async def story() -> None:
        async with house.courier(logger=logger) as courier:
            request.set("of a user")
            courier.submit(evidence(tenant_id="nameless"))

    asyncio.run(story())
    told = dict(zip(map(type, logger.events), heard, strict=True))
    assert told[TenantUnknown] == "of a user"


def test_what_a_logger_raises_and_cannot_take_is_counted(
    house: House, hang: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "EVENTS", 2)

    class Raising(HangingLogger):
        def log(self, event: LogEvent) -> None:
            super().log(event)
            raise SystemExit

    async def story() -> None:
        async with house.courier(logger=Raising(hang)) as courier:
            for name in ("ev-1", "ev-2"):
                await goes_on(courier, name)
            left_out = (await courier.health()).listener_failures
            assert left_out > 0
            hang.let_go.set()
            async with asyncio.timeout(10):
                while (await courier.health()).listener_failures < left_out + 2:
                    await asyncio.sleep(0.001)

    asyncio.run(story())


def test_a_thread_that_had_nothing_to_do_ends_and_another_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aside, "_IDLE", 0.01)
    heard: list[int] = []
    called: aside.Aside[int] = aside.Aside(heard.append, 10)

    async def story() -> None:
        for number in range(3):
            assert called.put(number)
            async with asyncio.timeout(10):
                while called._works:  # pyright: ignore[reportPrivateUsage]
                    await asyncio.sleep(0.001)
        called.put(3)
        await called.emptied()

    asyncio.run(story())
    assert heard == [0, 1, 2, 3]


def test_a_close_does_not_wait_on_the_loop_for_what_comes_meanwhile() -> None:
    goes_on = [True]

    def again(number: int) -> None:
        if goes_on:  # something waits at any time
            called.put(number + 1)

    called = aside.Aside[int](again, 10)

    async def story() -> None:
        called.put(0)
        before = asyncio.get_running_loop().time()
        await called.emptied()
        assert asyncio.get_running_loop().time() - before < aside.LAST_CALLS / 2

    try:
        asyncio.run(story())
    finally:
        goes_on.clear()


# --- on_settled ----------------------------------------------------------------------------------


def test_what_a_slow_hook_misses_is_counted(
    house: House, hang: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "EVENTS", 2)
    told: list[str] = []

    def hook(status: UploadStatus) -> None:
        told.append(status.evidence_id)
        hang()
        raise SystemExit

    async def story() -> None:
        async with house.courier(on_settled=hook) as courier:
            for number in range(6):
                await goes_on(courier, f"ev-{number}")
            left_out = (await courier.health()).listener_failures
            assert left_out == 3 + (len(told) == 0)
            hang.let_go.set()
            async with asyncio.timeout(10):
                while (await courier.health()).listener_failures < 6:
                    await asyncio.sleep(0.001)

    asyncio.run(story())
    raised = [event.reason for event in house.logger.of(HookFailed) if "Exit" in event.reason]
    assert len(raised) == len(told) >= 2


def test_no_password_is_logged_that_on_settled_tells(house: House) -> None:
    def hook(status: UploadStatus) -> None:
        raise OSError("no queue at amqp://app:hunter2@mq/")

    async def story() -> None:
        async with house.courier(on_settled=hook) as courier:
            await goes_on(courier, "ev-1")

    asyncio.run(story())
    [failed] = house.logger.of(HookFailed)
    assert failed.reason == "OSError: no queue at amqp://***@mq/"


def test_a_plain_function_hears_of_all_that_ends_at_once(house: House) -> None:
    names, told = [f"ev-{number}" for number in range(1_000)], list[str]()

    def hook(status: UploadStatus) -> None:
        time.sleep(0.001)  # as a database takes
        told.append(status.evidence_id)

    async def story() -> None:
        async with house.courier(on_settled=hook) as courier:
            await courier.pause("acme", by="ana", reason="they asked")
            for ticket in [courier.submit(evidence(name)) for name in names]:
                status = await ticket.settled(60)
                assert status is not None and status.status == "held"

    asyncio.run(story())
    assert sorted(told) == sorted(names)


def test_of_what_a_plain_function_returns_only_so_much_is_awaited(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "HOOKS_AT_ONCE", 2)

    async def hangs() -> None:
        await asyncio.get_running_loop().create_future()

    async def story() -> None:
        async with house.courier(on_settled=lambda status: hangs()) as courier:
            for number in range(3):
                await goes_on(courier, f"ev-{number}")
            async with asyncio.timeout(10):
                while not house.logger.of(HookFailed):
                    await asyncio.sleep(0.001)
            await courier.close(grace=0)

    asyncio.run(story())
    (left_out,) = house.logger.of(HookFailed)
    assert left_out.reason == "not awaited: 2 calls before it have not ended"


def test_what_a_plain_function_returns_is_awaited_on_the_loop(house: House) -> None:
    loops: list[object] = []

    async def of(status: UploadStatus, more: int) -> None:
        loops.append(asyncio.get_running_loop())

    async def story() -> None:
        async with house.courier(on_settled=lambda status: of(status, 1)) as courier:
            await goes_on(courier)
        assert loops == [asyncio.get_running_loop()]

    asyncio.run(story())


class Called:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.threads: set[int] = set()

    async def __call__(self, status: UploadStatus) -> None:
        self.told.append(status.evidence_id)
        self.threads.add(threading.get_ident())


@pytest.mark.parametrize("of", [lambda hook: hook, lambda hook: partial(hook.__call__)])
def test_a_coroutine_function_of_any_kind_is_called_on_the_loop(
    house: House, of: Callable[[Called], Any]
) -> None:
    hook = Called()

    async def story() -> None:
        async with house.courier(on_settled=of(hook)) as courier:
            await goes_on(courier)

    asyncio.run(story())
    assert (hook.told, hook.threads) == (["other"], {threading.get_ident()})
