"""Several couriers write to one database at once, as from several machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from typing import TypeVar

import psycopg
import pytest
from attrs import evolve
from psycopg.conninfo import make_conninfo

from evidence_courier.adapters.stores.postgres import PostgresStore
from evidence_courier.adapters.stores.postgres.address import address_of
from evidence_courier.adapters.stores.postgres.schema import ADDED_UP_AT_ONCE
from evidence_courier.adapters.stores.sql.gates import BUSY
from evidence_courier.domain.integration import Pace
from evidence_courier.domain.pacing.gate import Acquired, NotBefore
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.find import Find
from evidence_courier.domain.upload.status import ActionRow
from evidence_courier.domain.upload.upload import (
    UNKNOWN_PROVIDER,
    LookingUp,
    Status,
    Upload,
    with_look_up_due,
)
from evidence_courier.ports.gates import Acquire
from evidence_courier.ports.records import Added, Begun, Change, Conflict, Known, Start
from evidence_courier.testing.contracts.assertions import a
from evidence_courier.testing.contracts.store_notices import says
from evidence_courier.testing.contracts.stored import (
    AT,
    UNPACED,
    acquire,
    begin_each,
    deferred,
    entry,
    started,
)

T = TypeVar("T")

COURIERS = 4
PACED = evolve(UNPACED, pace=Pace(7, timedelta(minutes=1)))


@pytest.fixture
def stores(dsn: str) -> Iterator[list[PostgresStore]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(PostgresStore(dsn))) for _ in range(COURIERS)]


def at_once(stores: list[PostgresStore], work: Callable[[PostgresStore], T]) -> list[T]:
    with ThreadPoolExecutor(COURIERS) as threads:
        return list(threads.map(work, stores))


def test_an_evidence_is_recorded_once(stores: list[PostgresStore]) -> None:
    entries = [entry(f"ev-{number}") for number in range(50)]

    def add(store: PostgresStore) -> list[type]:
        given = entries if stores.index(store) % 2 else entries[::-1]
        return [type(answer) for answer in store.add(given)]

    answers = [answer for some in at_once(stores, add) for answer in some]
    assert answers.count(Added) == 50
    assert answers.count(Known) == 50 * (COURIERS - 1)


@pytest.mark.parametrize("provider", [UNKNOWN_PROVIDER, entry().upload.key.provider])
def test_an_evidence_of_no_known_provider_is_recorded_once(
    dsn: str, stores: list[PostgresStore], provider: str
) -> None:
    """One courier's file of the tenant is broken, another's is not: the other waits, and sees."""
    one, other, *_ = stores
    named = entry()
    first, second = entry(provider=UNKNOWN_PROVIDER), named
    if provider != UNKNOWN_PROVIDER:
        first, second = second, first
    with ThreadPoolExecutor(1) as threads:
        with one.transaction():
            assert one.add([first]) == [Added()]
            late = threads.submit(other.add, [second])
            wait_for_a_waiter(dsn)
        assert isinstance(late.result()[0], Known)
    assert len(one.find(Find(), AT).uploads) == 1
    assert one.get([named.upload.key])


def wait_for_a_waiter(dsn: str) -> None:
    """Until one session of this database waits for another."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with psycopg.connect(dsn, autocommit=True) as session:
        for _ in range(100_000):
            if session.execute(waiting).fetchone() != (0,):
                return
    raise AssertionError("no session waits")


def test_an_attempt_is_begun_by_one(stores: list[PostgresStore]) -> None:
    entries = [entry(f"ev-{number}") for number in range(50)]
    stores[0].add(entries)

    def begin(store: PostgresStore) -> list[type]:
        mine = stores.index(store)
        given = [started(one.upload, courier_id=mine) for one in entries]
        return [type(answer) for answer in begin_each(store, given)]

    answers = [answer for some in at_once(stores, begin) for answer in some]
    assert answers.count(Begun) == 50
    assert {*answers} <= {Begun, Conflict, NotBefore}  # it may be locked just then
    assert begin(stores[0]) == [Conflict] * 50


def test_notices_are_claimed_by_one(dsn: str, stores: list[PostgresStore]) -> None:
    one, other, *_ = stores
    soon = AT + timedelta(minutes=2)
    one.note(AT, ["one"], says("a", "b"), {})
    with ThreadPoolExecutor(1) as threads:
        with one.transaction():
            assert len(one.claim("one", AT, soon, 9)) == 2
            late = threads.submit(other.claim, "one", AT, soon, 9)
            wait_for_a_waiter(dsn)
        assert late.result() == []


def test_they_keep_one_pace_together(stores: list[PostgresStore]) -> None:
    entries = {one: [entry(f"{one}-{number}") for number in range(10)] for one in range(COURIERS)}
    for some in entries.values():
        stores[0].add(some)

    def begin(store: PostgresStore) -> int:
        begun, left = 0, [one.upload for one in entries[stores.index(store)]]
        while left:
            (answer,) = begin_each(store, [started(left[-1], quota=PACED)])
            if isinstance(answer, NotBefore) and answer.at == AT + BUSY:
                continue  # another courier had the gate just then
            begun += isinstance(answer, Begun)
            left.pop()
        return begun

    assert sum(at_once(stores, begin)) == 7


def test_no_courier_waits_for_a_gate_that_another_has_locked(stores: list[PostgresStore]) -> None:
    """It may stand still in its transaction. The longer it does, the less often it is asked for."""
    one, other, *_ = stores
    entries = [entry("ev-1"), entry("ev-2")]
    one.add(entries)
    first, second = (started(each.upload, quota=PACED) for each in entries)
    free = evolve(PACED, credential="another")
    acquire(one, PACED)
    with one.transaction():
        assert isinstance(begin_each(one, [first])[0], Begun)
        busy = a(NotBefore, acquire(other, PACED, turn=7))
        assert (busy, busy.turn) == (NotBefore(AT + BUSY), 7)
        assert isinstance(acquire(other, free), Acquired)
        for seconds, wait in [(1, 0.5), (60, 1.0)]:
            late = AT + timedelta(seconds=seconds)
            again = NotBefore(late + timedelta(seconds=wait))
            assert acquire(other, PACED, late) == again
            assert begin_each(other, [evolve(second, upload=began_at(second, late))]) == [again]
    assert isinstance(acquire(other, PACED), Acquired)
    with one.transaction():
        acquire(one, PACED)
        assert acquire(other, PACED) == NotBefore(AT + BUSY)


def test_no_courier_waits_for_an_upload_that_another_begins_just_then(
    stores: list[PostgresStore],
) -> None:
    """What travels together waits together, but for what is known to be another's."""
    one, other, *_ = stores
    entries = [entry(f"ev-{n}") for n in range(5)]
    one.add(entries)
    begun, locked, free, travels, alone = (started(each.upload) for each in entries)
    begin_each(one, [begun])
    soon = NotBefore(AT + BUSY)
    with one.transaction():
        assert isinstance(begin_each(one, [locked])[0], Begun)
        answers = other.begin([[locked], [begun, travels, locked], [alone]])
        assert [list(turn) for turn in answers[:2]] == [
            [soon],
            [Conflict(begun.upload), soon, soon],
        ]
        assert isinstance(answers[2][0], Begun)
        assert begin_each(other, [locked, free]) == [soon, Begun(b"a document")]
    assert begin_each(other, [locked]) == [Conflict(locked.upload)]
    assert isinstance(begin_each(other, [travels])[0], Begun)


def test_no_courier_waits_for_an_upload_that_another_looks_up_just_then(
    stores: list[PostgresStore],
) -> None:
    one, other, *_ = stores
    (upload,) = [entry().upload]
    one.add([entry()])
    lost = Failure(FailureKind.CONNECTION_LOST, "the reply was lost")
    doubt = evolve(upload, version=2, state=LookingUp(1, AT, AT, lost))
    one.save([Change(doubt)])
    look_up = with_look_up_due(doubt, AT + timedelta(minutes=2), AT)
    request = Acquire(PACED, AT, 1, look_up=look_up)
    with one.transaction():
        assert isinstance(one.acquire([request])[0], Acquired)
        assert other.acquire([request]) == [NotBefore(AT + BUSY)]
    assert other.acquire([request]) == [Conflict(look_up)]


def began_at(start: Start, at: datetime) -> Upload:
    return evolve(start.upload, updated_at=at)


def test_a_courier_that_stands_still_in_a_transaction_soon_loses_it(dsn: str) -> None:
    with closing(address_of(dsn).connect()) as session:
        row = session.execute("SHOW idle_in_transaction_session_timeout").fetchone()
    assert row == {"idle_in_transaction_session_timeout": "10s"}


def test_a_pace_holds_whatever_isolation_the_server_has(dsn: str) -> None:
    """What a courier has begun is seen by one whose transaction is older."""
    pace = evolve(UNPACED, pace=Pace(1, timedelta(minutes=1)))
    odd = make_conninfo(dsn, options=r"-c default_transaction_isolation=repeatable\ read")
    with closing(PostgresStore(odd)) as one, closing(PostgresStore(odd)) as other:
        first, second = entry("ev-1"), entry("ev-2")
        one.add([first, second])
        with other.transaction():
            (begun,) = begin_each(one, [started(first.upload, quota=pace)])
            (late,) = begin_each(other, [started(second.upload, quota=pace)])
    assert isinstance(begun, Begun)
    assert isinstance(late, NotBefore)


def test_counts_that_an_open_transaction_holds_are_added_up_later(dsn: str) -> None:
    """No heartbeat waits for it, even for one that was prepared and is forgotten."""
    kept = "SELECT count(*) FROM evidence_courier.counts WHERE session <> 0"
    with closing(PostgresStore(dsn)) as gone:
        gone.add([entry()])
    with closing(PostgresStore(dsn)) as store, psycopg.connect(dsn) as open_:
        wait_until_ended(dsn)
        open_.execute("UPDATE evidence_courier.counts SET number = number WHERE session <> 0")
        courier = store.heartbeat(None, AT)
        assert open_.execute(kept).fetchone() == (1,)
        open_.rollback()
        store.heartbeat(courier, AT)
        assert open_.execute(kept).fetchone() == (0,)
        assert store.counts([Status.PENDING]) == {Status.PENDING: 1}


def test_a_couriers_own_counts_are_added_up_and_a_hosts_when_it_ends(dsn: str) -> None:
    kept = "SELECT count(*) FROM evidence_courier.tallies WHERE session <> 0"
    many = [entry(f"ev-{n}", tenant_id=f"tenant {n}") for n in range(ADDED_UP_AT_ONCE + 5)]
    with closing(PostgresStore(dsn)) as store, psycopg.connect(dsn, autocommit=True) as look:
        with closing(PostgresStore(dsn)) as host:
            host.add([entry()])
            store.add(many)
            courier = store.heartbeat(None, AT)
            assert look.execute(kept).fetchone() == (1,)
        wait_until_ended(dsn)
        store.heartbeat(courier, AT)
        assert look.execute(kept).fetchone() == (0,)
        assert store.counts([Status.PENDING]) == {Status.PENDING: len(many) + 1}
        assert sum(one.number for one in store.counted(Find())) == len(many) + 1


def wait_until_ended(dsn: str) -> None:
    """Until the server has let go of each session that has counts."""
    ending = (
        "SELECT count(*) FROM evidence_courier.counts"
        " WHERE session IN (SELECT pid FROM pg_stat_activity)"
    )
    with psycopg.connect(dsn, autocommit=True) as session:
        for _ in range(100_000):
            if session.execute(ending).fetchone() == (0,):
                return
    raise AssertionError("a session does not end")


def test_an_action_is_seen_by_who_has_seen_a_later_one(stores: list[PostgresStore]) -> None:
    """Numbers of actions become visible in their order."""
    first, second = entry("ev-1"), entry("ev-2")
    one, other, watcher, _ = stores
    one.add([first, second])
    row = ActionRow(at=AT, action="retry", by="ann", reason="why")
    begins = [started(each.upload) for each in (first, second)]
    begin_each(one, begins)
    changes = [evolve(deferred(begin.upload), action=row) for begin in begins]
    mark = watcher.acted_on(None).mark
    with ThreadPoolExecutor(1) as threads:
        with one.transaction():
            one.save([changes[0]])
            later = threads.submit(other.save, [changes[1]])
            told = watcher.acted_on(mark)
            assert not told.keys
        later.result()
    keys = {first.upload.key, second.upload.key}
    assert set(watcher.acted_on(mark).keys) == keys


def test_a_change_waits_for_another_and_is_late(stores: list[PostgresStore]) -> None:
    new = entry()
    one, other, *_ = stores
    one.add([new])
    begin = started(new.upload)
    begin_each(one, [begin])
    change: Change = deferred(begin.upload)
    with ThreadPoolExecutor(1) as threads:
        with one.transaction():
            one.save([change])
            late = threads.submit(other.save, [change])
        assert late.result() == [Conflict(change.upload)]
