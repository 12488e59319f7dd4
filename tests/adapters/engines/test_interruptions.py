"""What is raised where it should not be: by plug-ins, sources, listeners, and by a close."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from store_fixtures import House, PaperProvider, evidence

from evidence_courier import BlockingCourier, Document, Evidence, UploadStatus
from evidence_courier.adapters.engines import notify
from evidence_courier.domain.integration import Route
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.domain.upload.verdict import Verdict
from evidence_courier.ports.dialogue import (
    Dialogue,
    HttpRequest,
    HttpResponse,
    TransportFailure,
    fetch,
)
from evidence_courier.ports.logger import HookFailed, LogEvent
from evidence_courier.ports.provider import Parcel
from evidence_courier.ports.transport import CutOff
from evidence_courier.testing import RecordingLogger, until_settled


class OddTimeout(BaseException):
    """As a framework raises it out of nowhere; no Exception."""


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


class Raising(PaperProvider):
    """Its dialogue raises what it is given, after a request or before."""

    def __init__(self, error: BaseException, after: bool = False) -> None:
        self.error, self.after = error, after

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        if self.after:
            yield from super().upload(parcel, settings, progress)
        raise self.error


def settled(house: House, *evidences: Evidence, **options: Any) -> list[UploadStatus | None]:
    async def story() -> list[UploadStatus | None]:
        async with house.courier(**options) as courier:
            tickets = [courier.submit(one) for one in evidences]
            return list(await until_settled(courier, house.clock, *tickets))

    return asyncio.run(story())


@pytest.mark.parametrize("error", [OddTimeout("late"), SystemExit(7), GeneratorExit()], ids=repr)
@pytest.mark.parametrize(
    ("after", "kind"), [(False, "provider_broken"), (True, "unrecognised_reply")]
)
def test_what_a_plug_in_raises_is_a_verdict_whatever_its_class(
    house: House, error: BaseException, after: bool, kind: str
) -> None:
    (status,) = settled(house, evidence(), providers={"paper": Raising(error, after)})
    assert status is not None and status.error is not None
    assert (status.status, status.error.kind) == ("failed", kind)


@pytest.mark.parametrize("error", [OddTimeout("late"), SystemExit(7)], ids=repr)
def test_what_a_source_raises_is_a_verdict_whatever_its_class(
    house: House, error: BaseException
) -> None:
    class Source:
        def read(self, tenant_id: str, key: str) -> bytes:
            raise error

    document = Document(source="doc-1", sha256="0" * 64, size=3, media_type="application/pdf")
    kept = evidence()
    one = Evidence(
        tenant_id=kept.tenant_id,
        evidence_id="ev-2",
        session_id=kept.session_id,
        subject=kept.subject,
        outcome="passed",
        recorded_at=kept.recorded_at,
        document=document,
    )
    (status,) = settled(house, one, source=Source())
    assert status is not None and status.error is not None
    assert (status.status, status.error.kind) == ("failed", "source_unavailable")


def test_a_worker_hears_what_a_plug_in_raised_once_it_is_recorded(tmp_path: Path) -> None:
    house = House(tmp_path / "courier.db")
    options: Any = {"providers": {"paper": Raising(SystemExit(7))}, "transport": Unused()}
    with house.blocking_courier(**options) as courier:
        with pytest.raises(SystemExit):
            courier.deliver(evidence())
        (status,) = courier.statuses("acme", ["ev-1"]).values()
    assert (status.status, status.attempts) == ("retrying", 1)


class Unused:
    def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        raise AssertionError

    def close(self) -> None: ...


class Struck(Exception):
    """What the host's signal handler raises, whatever runs."""


class StruckOnce(PaperProvider):
    """Is struck by a signal during its first dialogue."""

    def __init__(self) -> None:
        self.struck = False

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        if not self.struck:
            self.struck = True
            signal.raise_signal(signal.SIGUSR1)
        return (yield from super().upload(parcel, settings, progress))


def test_what_a_signal_handler_raises_in_a_plug_in_goes_on_to_the_host(house: House) -> None:
    told: list[BaseException | None] = []

    def strike(number: int, frame: object) -> None:
        raise Struck

    async def story() -> UploadStatus | None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: told.append(context.get("exception")))
        async with house.courier(providers={"paper": StruckOnce()}) as courier:
            (status,) = await until_settled(courier, house.clock, courier.submit(evidence()))
            return status

    before = signal.signal(signal.SIGUSR1, strike)
    try:
        status = asyncio.run(story())
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert status is not None
    assert (status.status, status.attempts) == ("succeeded", 2)
    assert list(map(type, told)) == [Struck]


def test_a_dialogue_without_an_end_fails_its_own_upload(tmp_path: Path) -> None:
    class Endless(PaperProvider):
        def upload(
            self, parcel: Parcel, settings: object, progress: str | None
        ) -> Dialogue[Verdict]:
            while True:
                yield from super().upload(parcel, settings, progress)

    house = House(tmp_path / "courier.db")
    endless = {"paper": Endless()}
    (status,) = settled(house, evidence(), providers=endless)
    assert status is not None and status.error is not None
    assert (status.status, status.error.kind) == ("failed", "unrecognised_reply")
    assert "more than 250 steps" in status.error.message


# --- listeners -----------------------------------------------------------------------------------


class RaisingLogger(RecordingLogger):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def log(self, event: LogEvent) -> None:
        super().log(event)
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("full"), OddTimeout("late"), SystemExit(7)])
def test_a_logger_that_raises_changes_nothing_and_is_counted(
    house: House, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> tuple[UploadStatus | None, int]:
        async with house.courier(logger=RaisingLogger(error)) as courier:
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
            (status,) = await until_settled(courier, house.clock, courier.submit(evidence()))
            return status, (await courier.health()).listener_failures

    status, failures = asyncio.run(story())
    assert status is not None
    assert (status.status, status.attempts) == ("succeeded", 1)
    assert failures >= 3


def raising(error: BaseException) -> Callable[[UploadStatus], object]:
    def hook(status: UploadStatus) -> object:
        raise error

    return hook


@pytest.mark.parametrize("error", [RuntimeError("full"), OddTimeout("late"), SystemExit(7)])
def test_a_hook_that_raises_changes_nothing_and_is_counted(
    house: House, error: BaseException
) -> None:
    async def story() -> int:
        async with house.courier(on_settled=raising(error)) as courier:
            for name in ("ev-1", "ev-2"):
                ticket = courier.submit(evidence(name))
                (status,) = await until_settled(courier, house.clock, ticket)
                assert status is not None and status.status == "succeeded"
            async with asyncio.timeout(10):
                while (failures := (await courier.health()).listener_failures) < 2:
                    await asyncio.sleep(0)
            return failures

    assert asyncio.run(story()) == 2
    assert len(house.logger.of(HookFailed)) == 2


async def cancels_itself(status: UploadStatus) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def has_a_group_that_fails(status: UploadStatus) -> None:
    async def fails() -> None:
        raise RuntimeError("full")

    async with asyncio.TaskGroup() as group:
        group.create_task(fails())


@pytest.mark.parametrize("hook", [cancels_itself, has_a_group_that_fails])
def test_so_is_one_that_is_cancelled_and_not_by_a_close(
    house: House, hook: Callable[[UploadStatus], object]
) -> None:
    async def story() -> None:
        async with house.courier(on_settled=hook) as courier:
            await until_settled(courier, house.clock, courier.submit(evidence()))
            async with asyncio.timeout(10):
                while not (await courier.health()).listener_failures:
                    await asyncio.sleep(0)

    asyncio.run(story())
    assert len(house.logger.of(HookFailed)) == 1


def test_one_that_does_not_let_itself_be_cancelled_is_not_waited_for_long(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "LAST_CALLS", 0.05)

    async def story() -> None:
        let_go, ended = asyncio.Event(), asyncio.Event()

        async def hook(status: UploadStatus) -> None:
            while not let_go.is_set():
                with suppress(asyncio.CancelledError):
                    await let_go.wait()
            ended.set()

        courier = house.courier(on_settled=hook)
        await courier.start()
        await courier.submit(evidence()).settled()
        async with asyncio.timeout(20):
            await courier.close(grace=0)
        assert not ended.is_set()
        let_go.set()
        await ended.wait()

    asyncio.run(story())
    assert house.logger.of(HookFailed) == []


def test_a_hook_that_hangs_is_ended_and_the_calls_at_once_are_bounded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "HOOK_TIMEOUT", 0.05)
    monkeypatch.setattr(notify, "HOOKS_AT_ONCE", 2)

    async def story() -> None:
        async def hangs(status: UploadStatus) -> None:
            await asyncio.get_running_loop().create_future()

        async with house.courier(on_settled=hangs) as courier:
            tickets = [courier.submit(evidence(f"ev-{n}")) for n in range(3)]
            await until_settled(courier, house.clock, *tickets)
            reasons = [event.reason for event in house.logger.of(HookFailed)]
            assert reasons == ["not called: 2 calls before it have not ended"]
            while len(house.logger.of(HookFailed)) < 3:
                await asyncio.sleep(0.01)
            assert (await courier.health()).listener_failures == 3

    asyncio.run(story())


# --- a close -------------------------------------------------------------------------------------


class Steps(PaperProvider):
    """Requests with these methods, one after the other."""

    def __init__(self, *methods: str) -> None:
        self.methods = methods

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        for method in self.methods:
            yield from fetch(HttpRequest(method, "https://paper.test/"))
        return (yield from super().upload(parcel, settings, progress))


class HangingAt:
    """Answers so many requests, and hangs at the next one; a cancellation there is said to be due
    to `cut`."""

    def __init__(self, answered: int, cut: CutOff | None = None) -> None:
        self.answered, self.hangs, self.cut = answered, asyncio.Event(), cut

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        if self.answered == 0:
            self.hangs.set()
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError as error:
                raise error from self.cut
        self.answered -= 1
        return HttpResponse(200, (), b"", House(Path()).clock.now())

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("methods", "answered", "got", "verdict", "spent"),
    [
        (["POST"], 0, None, "unclear", 1),
        (["POST"], 0, FailureKind.CONNECTION_LOST, "unclear", 1),
        (["POST"], 0, FailureKind.NOT_SENT, "deferred", 0),
        (["POST"], 0, FailureKind.NO_CONNECTION, "deferred", 0),
        (["GET"], 0, None, "deferred", 0),
        (["HEAD"], 0, None, "deferred", 0),
        (["POST", "GET"], 1, None, "deferred", 0),
    ],
)
def test_a_close_is_unclear_only_while_a_request_may_be_taken(
    house: House,
    methods: list[str],
    answered: int,
    got: FailureKind | None,
    verdict: str,
    spent: int,
) -> None:
    async def story() -> None:
        cut = None if got is None else CutOff(TransportFailure(got, "cut off"))
        transport = HangingAt(answered, cut)
        providers = {"paper": Steps(*methods)}
        courier = house.courier(transport=transport, providers=providers)
        await courier.start()
        courier.submit(evidence())
        await transport.hangs.wait()
        await courier.close(grace=0)

    asyncio.run(story())
    with BlockingCourier.from_mapping(
        {}, house.database, transport=Unused(), providers={"paper": PaperProvider()}
    ) as reader:
        details = reader.show("acme", "ev-1")
    assert details is not None
    assert [row.verdict for row in details.history] == [verdict]
    assert spent_in(house.database) == spent


def spent_in(database: Path) -> int:
    import sqlite3

    with sqlite3.connect(database) as connection:
        (spent,) = connection.execute("SELECT spent FROM uploads").fetchone()
    connection.close()
    return int(spent)


def test_closing_again_and_again_before_anything_is_sent_costs_no_attempt(house: House) -> None:
    async def story() -> None:
        for _ in range(7):  # more than the budget
            transport = HangingAt(0)
            courier = house.courier(transport=transport, providers={"paper": Steps("GET")})
            await courier.start()
            courier.submit(evidence())
            await transport.hangs.wait()
            await courier.close(grace=0)

    asyncio.run(story())
    (status,) = settled(house, evidence())
    assert status is not None
    assert (status.status, status.attempts, status.possible_duplicate) == ("succeeded", 8, False)
