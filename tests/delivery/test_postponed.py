"""What a postponed upload costs, and that each is read again once, in time."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from weakref import ref

from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.delivery.destinations import Destination
from evidence_courier.delivery.postponed import SPAN, Postponed
from evidence_courier.domain.upload.status import UploadStatus
from evidence_courier.domain.upload.upload import UploadKey

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
BYTES = 220


class OneWhoWaits:
    """A waiter that hears nothing."""

    def mark_settled(self, status: UploadStatus | None) -> None: ...

    def mark_lost(self, error: Exception) -> None: ...

    def loosely(self, dropped: Callable[[], object]) -> Callable[[], OneWhoWaits | None]:
        return ref(self, lambda _: dropped())


@frozen
class Quota:
    address: str


@frozen(eq=False)
class Home:
    """All that is read of a destination. `looks`: how often it was looked at."""

    quota_of_it: Quota = Quota("address")
    tenant_id: str = "acme"
    provider: str = "paper"
    looks: list[str] = field(factory=list)

    @property
    def integration(self) -> Home:
        return self

    @property
    def quota(self) -> Quota:
        self.looks.append(self.tenant_id)
        return self.quota_of_it


def home(address: str = "address", tenant_id: str = "acme") -> Destination:
    return cast(Destination, Home(Quota(address), tenant_id))


def key(name: object, tenant_id: str = "acme") -> UploadKey:
    return UploadKey(tenant_id, str(name), "paper")


def put(postponed: Postponed, waits: Iterable[float], to: Destination) -> None:
    for number, seconds in enumerate(waits):
        postponed.put(key(number), to, NOW + timedelta(seconds=seconds), ())


def test_a_postponed_upload_costs_less_than_220_bytes() -> None:
    for tenants in (1, 200):
        homes = [home() for _ in range(tenants)]
        postponed = Postponed()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(20_000):
            postponed.put(
                UploadKey(f"tenant-{number % tenants}", f"5f0c6a52-5d2b-{number:021d}", "paper"),
                homes[number % tenants],
                NOW + timedelta(seconds=number * 7_919 % 21_600),
                [OneWhoWaits()],
            )
        gc.collect()
        cost = (tracemalloc.get_traced_memory()[0] - before) / 20_000
        tracemalloc.stop()
        assert len(postponed) == 20_000
        assert cost <= BYTES, tenants


@given(st.lists(st.integers(0, 600)), st.integers(0, 600))
def test_what_is_due_soon_is_named_once_and_what_is_not_stays(waits: list[int], until: int) -> None:
    postponed, to = Postponed(), home()
    put(postponed, waits, to)
    soon = {each.evidence_id for each in postponed.soon(NOW + timedelta(seconds=until))}
    named = {str(number) for number, wait in enumerate(waits) if wait <= until}
    near = {str(number) for number, wait in enumerate(waits) if wait <= until + SPAN}
    assert named <= soon <= near
    rest = [wait for number, wait in enumerate(waits) if str(number) not in soon]
    due = postponed.next_due()
    assert due == (NOW + timedelta(seconds=min(rest)) if rest else None)
    assert len(postponed) == len(waits)
    assert not [*postponed.soon(NOW + timedelta(seconds=until))]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30), st.booleans())))
def test_nothing_is_left_of_what_was_taken_back(steps: list[tuple[int, int, bool]]) -> None:
    postponed, homes = Postponed(), [home("a"), home("b")]
    expected: dict[UploadKey, Destination] = {}
    for name, wait, first in steps:
        one = key(name)
        postponed.take_back(one)
        expected.pop(one, None)
        if wait < 25:
            to = expected[one] = homes[first]
            postponed.put(one, to, NOW + timedelta(seconds=wait), ())
        assert len(postponed) == len(expected)
    for each in map(key, range(4)):
        assert postponed.destination_of(each) is expected.get(each)
        assert (each in postponed) == (each in expected)
    assert {*postponed} == expected.keys()
    assert {*postponed.at(home("a"))} == {each for each, to in expected.items() if to is homes[0]}
    for each in expected:
        postponed.take_back(each)
    assert not len(postponed)
    assert postponed.next_due() is None
    assert not [*postponed, *postponed.at(home("a"))]


def test_what_is_in_no_span_any_more_takes_nothing_from_a_new_span() -> None:
    postponed, to = Postponed(), home()
    put(postponed, (1, 1), to)
    assert [*postponed.soon(NOW + timedelta(seconds=1))] == [key(0), key(1)]
    postponed.put(key(2), to, NOW + timedelta(seconds=2), ())
    assert not postponed.take_back(key(0))
    assert [*postponed.soon(NOW + timedelta(seconds=2))] == [key(2)]
    assert {*postponed} == {key(1), key(2)}


def test_of_a_destination_no_other_tenant_is_looked_through() -> None:
    postponed, homes = Postponed(), [home(tenant_id=f"tenant-{n}") for n in range(100)]
    for number, to in enumerate(homes):
        postponed.put(key(1, f"tenant-{number}"), to, NOW, ())
    assert [*postponed.at(homes[7])] == [key(1, "tenant-7")]
    looked_at = [name for to in homes for name in cast(Any, to).looks]
    assert {*looked_at} == {"tenant-7"}


def test_what_is_postponed_again_and_again_takes_the_memory_of_one() -> None:
    postponed, to = Postponed(), home()
    put(postponed, (1, 1), to)

    def again() -> None:
        for _ in range(2_000):
            postponed.take_back(key(1))
            postponed.put(key(1), to, NOW + timedelta(seconds=1), ())

    tracemalloc.start()
    again()  # what the interpreter keeps of small tuples is there from now on
    before = tracemalloc.get_traced_memory()[0]
    again()
    cost = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert cost < 10 * BYTES
    assert [*postponed.soon(NOW + timedelta(seconds=1))] == [key(0), key(1)]


def test_waiters_come_back_if_they_still_wait() -> None:
    postponed, stays, goes = Postponed(), OneWhoWaits(), OneWhoWaits()
    postponed.put(key(1), home(), NOW, [goes, stays])
    postponed.put(key(2), home(), NOW, [OneWhoWaits()])
    del goes
    assert [*postponed.waiters()] == [(key(1), stays)]
    assert [*postponed.take_back(key(1))] == [stays]
    assert [*postponed.take_back(key(1))] == [*postponed.take_back(key(2))] == []
