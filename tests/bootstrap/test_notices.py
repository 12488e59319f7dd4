"""What a person must know is told at least once, by one of several couriers, whatever a sink
does."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from attrs import define, evolve
from store_fixtures import Desk, House, evidence, tenant

from evidence_courier import AsyncCourier, Mail, MisuseError, Notice, OnNotice
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.bootstrap.notices import options_in
from evidence_courier.delivery import notices as delivery_notices
from evidence_courier.domain.integration import Route
from evidence_courier.domain.notices import News, Standing, notice_of
from evidence_courier.domain.telling import SEEMS_DOWN
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.ports.logger import NoticeNotTaken

SECRET = "a-secret-that-no-one-may-see"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


async def looked(courier: AsyncCourier, house: House, times: int = 5) -> None:
    """What a courier does in the next minute."""
    for _ in range(times):
        house.clock.advance(12)
        for _ in range(4):
            await asyncio.sleep(0.02)
            await courier.quiet()


async def fails(courier: AsyncCourier, house: House, number: int, start: int = 0) -> None:
    house.server.answer = lambda name, nth: 400
    tickets = [courier.submit(evidence(f"ev-{start + n}")) for n in range(number)]
    for ticket in tickets:
        await ticket.settled()


def test_a_burst_is_one_notice_and_a_raising_sink_delays_no_other(house: House) -> None:
    taken: list[Notice] = []
    broken: list[Notice] = []

    def raises(notice: Notice) -> None:
        broken.append(notice)
        raise RuntimeError(SECRET)

    async def story() -> None:
        sinks = [OnNotice(raises, name="broken"), OnNotice(taken.append)]
        async with house.courier(notices=sinks) as courier:
            await looked(courier, house, 1)
            await fails(courier, house, 50)
            await looked(courier, house)

    asyncio.run(story())
    assert [(one.kind, one.tenant_id, one.number) for one in taken] == [("failed", "acme", 50)]
    assert len(broken) >= 2
    assert {one.id for one in broken} == {taken[0].id}
    (*_, event) = [one for one in house.logger.events if isinstance(one, NoticeNotTaken)]
    assert (event.sink, event.reason) == ("broken", "RuntimeError")


def test_what_was_paused_is_not_late_once_it_is_resumed(house: House) -> None:
    """It is once it has waited for long, without the pause."""
    taken: list[Notice] = []
    house.tenants = {"acme": tenant(retry={"max_attempts": 100, "initial_delay": "1m"})}
    house.server.answer = lambda name, nth: 503

    async def story() -> None:
        watched = house.courier(notices=[OnNotice(taken.append)], late_after=timedelta(hours=1))
        async with watched as courier:
            await courier.pause("acme", by="asha", reason="an audit")
            await courier.submit(evidence("ev-1")).recorded()
            house.clock.advance(36_000)
            await looked(courier, house, 1)
            await courier.resume("acme", by="asha", reason="it is over")
            await looked(courier, house)
            assert taken == []
            house.clock.advance(3_600)
            await looked(courier, house, 2)

    asyncio.run(story())
    assert [one.kind for one in taken] == ["late"]


def test_a_sink_that_hangs_delays_nothing_and_another_courier_tells_it(house: House) -> None:
    going_on, taken, other = threading.Event(), list[Notice](), list[Notice]()

    async def story() -> None:
        hangs = OnNotice(lambda notice: going_on.wait(60), name="mine")
        async with house.courier(notices=[hangs, OnNotice(taken.append)]) as courier:
            await looked(courier, house, 1)
            await fails(courier, house, 3)
            await looked(courier, house)
            assert [one.number for one in taken] == [3]
            house.server.answer = lambda name, nth: 200
            status = await courier.submit(evidence("ev-good")).settled()
            assert status is not None
            assert status.status == "succeeded"
        house.clock.advance(600)
        async with house.courier(notices=[OnNotice(other.append, name="mine")]) as courier:
            await looked(courier, house, 2)
        going_on.set()

    asyncio.run(story())
    assert [one.id for one in other] == [taken[0].id]


def test_a_record_that_cannot_be_read_keeps_back_no_notice(house: House) -> None:
    taken: list[Notice] = []

    async def story() -> None:
        async with house.courier(notices=[OnNotice(taken.append, subjects=True)]) as courier:
            await looked(courier, house, 1)
            await fails(courier, house, 2)
            with closing(sqlite3.connect(house.database)) as connection, connection:
                connection.execute(
                    "UPDATE uploads SET recorded_at = '?' WHERE evidence_id = 'ev-1'"
                )
            await looked(courier, house)

    asyncio.run(story())
    assert [(one.kind, one.number, one.subjects) for one in taken] == [("failed", 2, ("emp-7",))]


def test_of_two_couriers_one_tells(house: House) -> None:
    taken: list[Notice] = []

    async def story() -> None:
        sinks = [OnNotice(taken.append)]
        async with house.courier(notices=sinks) as one, house.courier(notices=sinks) as other:
            await looked(one, house, 1)
            await fails(one, house, 5)
            for _ in range(4):
                await looked(one, house, 1)
                await looked(other, house, 1)

    asyncio.run(story())
    assert [one.number for one in taken] == [5]


def test_a_notice_that_was_not_taken_is_sent_by_the_next_courier(house: House) -> None:
    taken: list[Notice] = []

    def down(notice: Notice) -> None:
        raise OSError

    async def story() -> None:
        async with house.courier(notices=[OnNotice(down)]) as courier:
            await looked(courier, house, 1)
            await fails(courier, house, 2)
            await looked(courier, house)
        house.clock.advance(3_600)
        async with house.courier(notices=[OnNotice(taken.append)]) as courier:
            await looked(courier, house, 1)

    asyncio.run(story())
    assert [one.number for one in taken] == [2]


def test_a_block_and_its_end_and_an_unknown_tenant_make_notices(house: House) -> None:
    taken: list[Notice] = []

    async def story() -> None:
        sinks = [OnNotice(taken.append)]
        async with house.courier(notices=sinks) as courier:
            house.server.answer = lambda name, nth: 401
            courier.submit(evidence("ev-1"))
            courier.submit(evidence("ev-1", "nobody"))
            await looked(courier, house)
            house.server.answer = lambda name, nth: 200
            await courier.release("acme", "ev-1", by="asha", reason="a new key")
            await looked(courier, house)

    asyncio.run(story())
    kinds = [one.kind for one in taken]
    assert {"blocked", "tenant_unknown", "open_again"} <= set(kinds)
    assert kinds.index("blocked") < kinds.index("open_again")
    assert all(house.keys.values[name] not in one.to_json() for name in ("KEY",) for one in taken)


def test_a_sink_that_takes_again_gets_all_that_it_refused(house: House) -> None:
    refused, taken, down = list[str](), list[str](), [True]

    def down_at_first(notice: Notice) -> None:
        (refused if down else taken).append(notice.kind)
        if down:
            raise OSError

    async def story() -> None:
        async with house.courier(notices=[OnNotice(down_at_first)]) as courier:
            house.server.answer = lambda name, nth: 401
            courier.submit(evidence("ev-1"))
            await looked(courier, house, 15)
            house.server.answer = lambda name, nth: 200
            await courier.release("acme", "ev-1", by="asha", reason="a new key")
            await looked(courier, house, 15)  # the next try is minutes away
            down.clear()
            await looked(courier, house, 30)

    asyncio.run(story())
    assert 2 <= len(refused) <= 12  # two notices
    assert [kind for kind in taken if kind != "failed"] == ["blocked", "open_again"]


def test_a_sink_that_is_down_is_tried_once_for_all_that_waits(house: House) -> None:
    tried, taken, down = list[datetime](), list[str](), [True]

    def down_at_first(notice: Notice) -> None:
        tried.append(house.clock.now())
        if down:
            raise OSError
        taken.append(notice.provider or "")

    waiting(house, 200)
    with house.blocking_courier(notices=[OnNotice(down_at_first)]) as courier:
        for _ in range(360):
            courier.recover()
            house.clock.advance(10)
        assert 8 <= len(tried) < 12 + SEEMS_DOWN
        down.clear()
        for _ in range(80):
            courier.recover()
            house.clock.advance(10)
    assert sorted(taken) == sorted(f"p{n}" for n in range(200))


def test_a_late_notice_of_failures_says_how_many_are_still_failed(house: House) -> None:
    taken, down = list[Notice](), [True]

    def down_at_first(notice: Notice) -> None:
        if down:
            raise OSError
        taken.append(notice)

    async def story() -> None:
        async with house.courier(notices=[OnNotice(down_at_first)]) as courier:
            await looked(courier, house, 1)
            await fails(courier, house, 2)
            await looked(courier, house)
            house.server.answer = lambda name, nth: 200
            for number in range(2):
                await courier.retry("acme", f"ev-{number}", by="asha", reason="mended")
            await looked(courier, house, 15)
            down.clear()
            await looked(courier, house, 50)

    asyncio.run(story())
    ((one, *_),) = [taken]
    assert (one.kind, one.number, one.present) == ("failed", 2, 0)
    assert (
        "2 uploads have failed: bad_request; by now none is failed (this notice is of" in one.text
    )
    assert '"present": 0' in one.to_json()


def test_a_blocking_courier_tells_in_its_calls(house: House) -> None:
    taken: list[Notice] = []
    sinks = [OnNotice(taken.append)]
    with house.blocking_courier(transport=Desk(house), notices=sinks) as courier:
        courier.deliver(evidence("ev-1", "nobody"))
        for _ in range(4):
            house.clock.advance(12)
            courier.recover()
    assert [one.kind for one in taken] == ["tenant_unknown"]


@pytest.mark.parametrize("call", ["deliver_due", "recover", None])
def test_a_script_tells_at_its_end_what_has_failed_in_each_run(
    house: House, call: str | None
) -> None:
    """In the first run on a new database, too; and not only in the next, which may be tomorrow."""
    taken, told = list[Notice](), call == "deliver_due"
    for run in range(1, 4):
        sinks = [OnNotice(taken.append)]
        with house.blocking_courier(transport=Refusing(house), notices=sinks) as courier:
            courier.deliver_many([evidence(f"ev-{run}-{number}") for number in range(run)])
            if call is not None:
                getattr(courier, call)()
            courier.deliver(evidence(f"ev-{run}-last"))
        house.clock.advance(86_400)
        numbers = [
            number for one in range(1, run + 1) for number in ((one, 1) if told else (one + 1,))
        ]
        assert [(one.kind, one.number) for one in taken] == [("failed", one) for one in numbers]


def test_what_fails_again_at_once_after_a_retry_makes_another_notice(house: House) -> None:
    """As many have failed as before."""
    taken: list[Notice] = []
    for run in range(3):
        sinks = [OnNotice(taken.append)]
        with house.blocking_courier(transport=Refusing(house), notices=sinks) as courier:
            if run:
                courier.retry("acme", "ev-1", by="asha", reason="the file is mended")
            courier.deliver(evidence("ev-1"))
        house.clock.advance(3_600)
    assert [(one.kind, one.number) for one in taken] == [("failed", 1)] * 3


def test_a_courier_for_each_upload_tells_one_cause_once_a_minute(house: House) -> None:
    taken: list[Notice] = []
    for second in range(62):
        sinks = [OnNotice(taken.append)]
        with house.blocking_courier(transport=Refusing(house), notices=sinks) as courier:
            courier.deliver(evidence(f"ev-{second}"))
        house.clock.advance(1)
    assert [one.number for one in taken] == [1, 60]


def test_what_failed_before_the_first_courier_with_sinks_is_no_notice(house: House) -> None:
    taken: list[Notice] = []
    for number, notices in enumerate(([], [], [OnNotice(taken.append)])):
        with house.blocking_courier(transport=Refusing(house), notices=notices) as courier:
            courier.deliver(evidence(f"ev-{number}"))
    assert [(one.kind, one.number) for one in taken] == [("failed", 1)]


@pytest.mark.parametrize("background", [True, False])
def test_what_fails_at_once_on_a_new_database_makes_a_notice(
    house: House, background: bool
) -> None:
    taken: list[Notice] = []
    house.server.answer = lambda name, nth: 400

    async def story() -> None:
        sinks = [OnNotice(taken.append)]
        async with house.courier(notices=sinks, background=background) as courier:
            await courier.submit(evidence("ev-1")).recorded()
            await (looked(courier, house) if background else courier.deliver_due())

    asyncio.run(story())
    assert [(one.kind, one.number) for one in taken] == [("failed", 1)]


def test_a_worker_that_only_calls_deliver_due_tells_in_its_calls(house: House) -> None:
    taken: list[Notice] = []
    sinks = [OnNotice(taken.append)]
    courier = house.blocking_courier(transport=Refusing(house), notices=sinks)  # it is not closed
    for second in range(90):
        due(house, 1, second)
        courier.deliver_due(1.0)
        house.clock.advance(1)
        assert sum(one.number for one in taken) == (1 if second < 60 else 61)
    house.clock.advance(60)
    courier.deliver_due(1.0)
    assert [one.number for one in taken] == [1, 60, 29]
    courier.close()


def test_an_async_worker_tells_at_the_end_of_a_call(house: House) -> None:
    taken: list[Notice] = []
    house.server.answer = lambda name, nth: 400

    async def story() -> None:
        sinks = [OnNotice(taken.append)]
        courier = house.courier(notices=sinks, background=False)  # it is never closed meanwhile
        due(house, 3)
        await courier.deliver_due()
        assert [(one.kind, one.number) for one in taken] == [("failed", 3)]
        await courier.close()

    asyncio.run(story())
    assert len(taken) == 1


@pytest.mark.parametrize("until", [0.0, 20.0])
def test_a_sink_that_hangs_comes_after_the_uploads_of_a_call(
    house: House, monkeypatch: pytest.MonkeyPatch, until: float
) -> None:
    """And without time left it is not waited for."""
    monkeypatch.setattr(delivery_notices, "WAITED_FOR", 0.0 if until else 60.0)
    going_on, order = threading.Event(), list[str]()

    def hangs(notice: Notice) -> None:
        order.append("told")
        going_on.wait(60)
        order.append("taken")

    desk = Ordered(house, order)
    due(house, 1)
    waiting(house, 1)
    courier = house.blocking_courier(transport=desk, notices=[OnNotice(hangs)])
    done, found = courier.deliver_due(until), [*order]
    assert (done.taken, done.more) == ((1, False) if until else (0, True))
    going_on.set()
    courier.close()
    assert found == (["sent", "told"] if until else ["told"])


def test_an_async_call_waits_for_no_sink_beyond_its_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_notices, "WAITED_FOR", 30.0)
    begun, going_on, order = threading.Event(), threading.Event(), list[str]()

    def hangs(notice: Notice) -> None:
        begun.set()
        going_on.wait(60)
        order.append("taken")

    async def story() -> None:
        courier = house.courier(notices=[OnNotice(hangs)], background=False)
        call = asyncio.create_task(courier.deliver_due(0.5))
        await asyncio.to_thread(begun.wait, 10)
        house.clock.advance(0.5)
        await call
        order.append("ended")
        going_on.set()
        await courier.close()

    waiting(house, 1)
    asyncio.run(story())
    assert order == ["ended", "taken"]


def test_a_worker_whose_tasks_go_well_pays_for_no_look_at_its_end(house: House) -> None:
    """Such as one that makes a courier for each task."""
    store = Looked(str(house.database))
    for number in range(3):
        sinks = [OnNotice(print)]
        with house.blocking_courier(store=store, transport=Desk(house), notices=sinks) as courier:
            courier.deliver(evidence(f"ev-{number}"))
    assert store.looks == 1  # the first on the database
    store.close()


def test_a_notice_that_is_never_taken_buries_no_other(house: House) -> None:
    taken: list[str] = []

    def picky(notice: Notice) -> None:
        if notice.provider == "p0":
            raise ValueError
        taken.append(notice.provider or "")

    waiting(house, 3)
    with house.blocking_courier(notices=[OnNotice(picky)]) as courier:
        for _ in range(20):
            house.clock.advance(300)
            courier.recover()
    assert taken == ["p1", "p2"]


def test_a_blocking_courier_waits_at_its_end_for_a_slow_sink(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_notices, "WAITED_FOR", 0.0)
    going_on, taken = threading.Event(), list[str]()

    def slow(notice: Notice) -> None:
        going_on.wait(10)
        taken.append(notice.provider or "")

    waiting(house, 1)
    for _ in range(3):
        with house.blocking_courier(notices=[OnNotice(slow)]) as courier:
            courier.recover()
            going_on.set()
        house.clock.advance(600)
    assert taken == ["p0"]


@pytest.mark.parametrize("background", [True, False])
def test_a_courier_that_is_closed_waits_for_a_slow_sink(
    house: House, monkeypatch: pytest.MonkeyPatch, background: bool
) -> None:
    monkeypatch.setattr(delivery_notices, "WAITED_FOR", 0.0)
    going_on, taken = threading.Event(), list[str]()

    def slow(notice: Notice) -> None:
        going_on.wait(10)
        taken.append(notice.provider or "")

    async def run() -> None:
        async with house.courier(notices=[OnNotice(slow)], background=background) as courier:
            await (looked(courier, house, 1) if background else courier.deliver_due())
            going_on.set()

    waiting(house, 1)
    for _ in range(3):
        asyncio.run(run())
        house.clock.advance(600)
    assert taken == ["p0"]


def test_a_sink_that_hung_gets_its_notices_from_the_same_courier_again(house: House) -> None:
    going_on, taken = threading.Event(), list[str]()

    def hangs_once(notice: Notice) -> None:
        taken.append(notice.provider or "")
        if len(taken) == 1:
            going_on.wait(60)

    async def story() -> None:
        async with house.courier(notices=[OnNotice(hangs_once)]) as courier:
            await looked(courier, house, 20)
        going_on.set()

    waiting(house, 2)
    asyncio.run(story())
    assert sorted(taken) == ["p0", "p0", "p1"]
    (event,) = [one for one in house.logger.events if isinstance(one, NoticeNotTaken)]
    assert (event.number, event.reason.split(":")[0]) == (1, "it hangs")


def test_a_subject_is_named_by_setting_only(house: House) -> None:
    named: list[Notice] = []
    taken: list[Notice] = []

    async def story() -> None:
        sinks = [OnNotice(named.append, name="named", subjects=True), OnNotice(taken.append)]
        async with house.courier(notices=sinks) as courier:
            await looked(courier, house, 1)
            await fails(courier, house, 12)
            await looked(courier, house)

    asyncio.run(story())
    (one,), (other,) = named, taken
    assert (one.id, other.subjects) == (other.id, ())
    assert one.subjects == ("emp-7",)
    assert one.text == f"{other.text}; of emp-7 and 11 more"
    assert "emp-7" not in other.to_json()
    files = b"".join(file.read_bytes() for file in house.database.parent.glob("courier.db*"))
    assert b"; of emp-7" not in files
    assert not [event for event in house.logger.events if "emp-7" in repr(event)]


def test_each_address_of_a_mail_is_a_sink_of_its_own(house: House) -> None:
    def mail(*to: str) -> Mail:
        return Mail(host="127.0.0.1", port=1, tls=False, sender="courier@example.com", to=to)

    sinks = [mail("ops@example.com", "asha@example.com", "ops@example.com")]
    with house.blocking_courier(transport=Desk(house), notices=sinks) as courier:
        courier.deliver(evidence("ev-1", "nobody"))
        courier.recover()
        house.clock.advance(12)
        courier.recover()
        waits = courier.health().notices
    names = sorted([mail("ops@example.com").name, mail("asha@example.com").name])
    assert [(one.sink, one.number, one.tries) for one in waits] == [(name, 1, 1) for name in names]
    refused = [one for one in house.logger.events if isinstance(one, NoticeNotTaken)]
    assert {one.sink for one in refused} == {*names}
    assert not [one for one in refused if "@" in repr(one)]


class Refusing(Desk):
    """A server that takes nothing."""

    def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        return evolve(super().send(request, route), status=400)


@define
class Ordered(Desk):
    """Notes when something is sent."""

    order: list[str]

    def send(self, request: HttpRequest, route: Route) -> HttpResponse:
        self.order.append("sent")
        return super().send(request, route)


class Looked(SqliteStore):
    """Counts the looks for notices."""

    looks = 0

    def standing(self, now: datetime) -> tuple[Standing, Mapping[str, str]]:
        self.looks += 1
        return super().standing(now)


def due(house: House, number: int, start: int = 0) -> None:
    """So many uploads are recorded and due."""
    with house.blocking_courier() as courier:
        courier.recover()
        with closing(sqlite3.connect(house.database)) as connection, connection:
            for each in range(start, start + number):
                courier.submit(evidence(f"due-{each}"), connection=connection)


def waiting(house: House, number: int) -> None:
    """So many notices wait for a sink."""
    notices = [
        notice_of("blocked", house.clock.now(), "text", "acme", f"p{n}", "r") for n in range(number)
    ]
    store = SqliteStore(str(house.database))
    store.note(house.clock.now(), ["on_notice"], News(notices, {}), {})
    store.close()


def test_a_courier_without_sinks_writes_no_notice(house: House) -> None:
    async def story() -> None:
        async with house.courier() as courier:
            await looked(courier, house, 1)
            await fails(courier, house, 2)
            await looked(courier, house)

    asyncio.run(story())
    store = SqliteStore(str(house.database))
    try:
        assert store.claim("on_notice", house.clock.now(), house.clock.now(), 9) == []
    finally:
        store.close()


def test_two_sinks_of_one_name_are_refused(house: House) -> None:
    with pytest.raises(MisuseError, match="two sinks have the name 'on_notice'"):
        house.courier(notices=[OnNotice(print), OnNotice(repr)])
    with pytest.raises(MisuseError, match="each of notices must be a sink"):
        house.courier(notices=[print])


def test_the_environment_names_sinks() -> None:
    assert options_in({}) == {}
    options = options_in(
        {
            "EVIDENCE_COURIER_WEBHOOK": "https://hooks.example.com/x",
            "EVIDENCE_COURIER_WEBHOOK_SECRET": SECRET,
            "EVIDENCE_COURIER_MAIL": f"smtp://u:{SECRET}@mx.example.com/?from=a@b.c&to=d@e.f,g@h.i",
            "EVIDENCE_COURIER_LATE_AFTER": "2h",
        }
    )
    webhook, mail = options["notices"]
    assert (webhook.secret, options["late_after"].total_seconds()) == (SECRET, 7_200)
    assert (mail.host, mail.port, mail.username) == ("mx.example.com", 587, "u")
    assert (mail.sender, mail.to) == ("a@b.c", ["d@e.f", "g@h.i"])


def test_mail_by_the_environment_reaches_a_server_without_tls() -> None:
    def mail(url: str) -> Mail:
        (sink,) = options_in({"EVIDENCE_COURIER_MAIL": url})["notices"]
        assert isinstance(sink, Mail)
        return sink

    plain = mail("smtp://127.0.0.1:25/?from=a@b.c&to=d@e.f&tls=no")
    assert (plain.port, plain.tls) == (25, False)
    assert mail("smtp://127.0.0.1:25/?from=a@b.c&to=d@e.f&tls=yes").tls
    assert mail("smtp://127.0.0.1:25/?from=a@b.c&to=d@e.f").tls


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("smtp://mx/?from=a@b.c", "Mail needs `to`"),
        ("smtp://mx/?from=a@b.c&to=", "Mail needs `to`"),
        ("smtp://mx/?frm=a@b.c&to=d@e.f", "takes no `frm` behind its ?: did you mean `from`?"),
        ("smtp://mx/?from=a@b.c&To=d@e.f", "takes no `To` behind its ?: did you mean `to`?"),
        ("smtp://mx/?to=d@e.f", "must be written as smtp://"),
        ("smtp://mx/?from=&to=d@e.f", "must be written as smtp://"),
        ("smtp://mx/?from=a@b.c&to=d@e.f&tls=false", "`tls` must be yes or no"),
        ("smtp://mx/?from=a@b.c&to=d@e.f&tls=", "`tls` must be yes or no"),
        ("smtp://mx/?from=a@b.c&to=d@e.f&tls=no&tls=yes", "`tls` must be yes or no"),
        ("smtps://mx/?from=a@b.c&to=d@e.f&tls=no", "yes with smtps"),
        (f"smtp://mx/?from=a@b.c&to=d@e.f&{SECRET}", "takes `from`, `to` and `tls`"),
        (f"smtp://mx/?from=a@b.c&to=d@e.f&starttls={SECRET}", "takes `from`, `to` and `tls`"),
        (f"smtp://u:{SECRET}@mx/?from=a@b.c&to=d@e.f&tls=no", "sends no password without TLS"),
    ],
)
def test_what_mail_by_the_environment_cannot_be_is_refused(url: str, words: str) -> None:
    with pytest.raises(MisuseError) as refused:
        options_in({"EVIDENCE_COURIER_MAIL": url})
    said = str(refused.value)
    assert said.startswith("EVIDENCE_COURIER_MAIL")
    assert words in said
    assert not [one for one in (SECRET, "a@b.c", "d@e.f") if one in said]


@pytest.mark.parametrize(
    ("name", "value"),
    [("EVIDENCE_COURIER_WEBHOOK_SECRET", SECRET), ("EVIDENCE_COURIER_LATE_AFTER", "1h")],
)
def test_what_is_set_in_the_environment_without_a_sink_is_refused(name: str, value: str) -> None:
    with pytest.raises(MisuseError, match=f"{name} is set.* EVIDENCE_COURIER_WEBHOOK") as refused:
        options_in({name: value})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "name",
    ["EVIDENCE_COURIER_MAIL", "EVIDENCE_COURIER_LATE_AFTER", "EVIDENCE_COURIER_WEBHOOK"],
)
def test_what_the_environment_has_wrong_is_named_and_not_quoted(name: str) -> None:
    with pytest.raises(MisuseError, match=name) as refused:
        options_in({name: f"smtp://{SECRET}"})
    assert SECRET not in str(refused.value)
