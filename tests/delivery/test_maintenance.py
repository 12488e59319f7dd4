"""What a courier does in the background after its clock was set back: with what is postponed, and
with what was written in the future."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from attrs import define, field
from in_hand import NOW, home, in_hand, waiting

from evidence_courier.delivery import maintenance as passes
from evidence_courier.delivery.active import ActiveUpload, ActiveUploads
from evidence_courier.delivery.effects import Notify, Read, Turn
from evidence_courier.delivery.maintenance import POSTPONED_AT_ONCE, Maintenance
from evidence_courier.delivery.turn_context import TurnContext
from evidence_courier.domain.errors import StoreError
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.domain.upload.upload import UploadKey, Waiting
from evidence_courier.ports.logger import StoreTrouble
from evidence_courier.ports.records import Entry
from evidence_courier.testing import FakeClock

NUMBER = 2_000
APART = 6.0
BACK = timedelta(hours=1)

HOME = home()


@define
class Store:
    """All that is read of a store. The nth page is refused while `refused` is n."""

    uploads: dict[UploadKey, Entry] = field(factory=dict)
    read: Counter[UploadKey] = field(factory=Counter)
    pages: int = 0
    refused: int = 0
    line: Sequence[UploadKey] = ()
    looks: int = 0

    def get(self, keys: Sequence[UploadKey]) -> Mapping[UploadKey, Entry]:
        self.pages += 1
        if self.pages == self.refused:
            raise StoreError("the database is locked")
        self.read.update(keys)
        assert self.read.total() <= 2 * NUMBER, "it goes on for ever"
        return {key: self.uploads[key] for key in keys}

    def due(
        self, before: datetime, limit: int, *, written_after: datetime
    ) -> Mapping[str, Sequence[UploadKey]]:
        self.looks += 1
        return {"credential": self.line[:limit]} if self.line else {}


def run(turn: Turn[None], store: Store) -> None:
    answer: Any = None
    with suppress(StopIteration):
        while True:
            effect = turn.send(answer)
            answer = effect.verb(cast(Any, store)) if isinstance(effect, Read) else None


def uploads_of(clock: FakeClock, store: Store) -> Iterator[ActiveUpload]:
    """Uploads of which each failed long ago, and is due a little later than the one before."""
    written_at = clock.now() - 2 * BACK
    for number in range(NUMBER):
        due = clock.now() + timedelta(seconds=120 + APART * number)
        active = waiting(f"ev-{number}", HOME, due, written_at)
        store.uploads[active.upload.key] = Entry(active.upload, active.dossier)
        yield active


World = tuple[FakeClock, Store, ActiveUploads, Maintenance]


@pytest.fixture
def world() -> World:
    clock, store = FakeClock(NOW), Store()
    active = in_hand(clock)
    active.destinations = {"acme": HOME}
    maintenance = Maintenance(active, TurnContext(1, clock, lambda: 0.5, lambda _: None))
    run(maintenance.notice_clock_change(clock.now()), store)
    for one in uploads_of(clock, store):
        active.add(one)
    assert len(active.postponed) == NUMBER
    return clock, store, active, maintenance


def assert_all_postponed(active: ActiveUploads, store: Store) -> None:
    assert len(active.postponed) == NUMBER
    for entry in store.uploads.values():
        assert isinstance(entry.upload.state, Waiting)
        assert active.postponed.due_of(entry.upload.key) == entry.upload.state.due


def test_a_clock_set_back_has_each_read_once_and_postponed_again(world: World) -> None:
    clock, store, active, maintenance = world
    clock.jump(-BACK.total_seconds())
    run(maintenance.notice_clock_change(clock.now()), store)
    assert store.read == dict.fromkeys(store.uploads, 1)
    assert_all_postponed(active, store)
    soon = [*active.postponed.soon(clock.now() + timedelta(days=1))]
    assert Counter(soon) == dict.fromkeys(store.uploads, 1)


def test_others_go_on_between_pages_that_find_no_room(world: World) -> None:
    clock, store, active, maintenance = world
    for _ in range(active.backlog.share):
        active.backlog.add(HOME.quota.credential)
    clock.advance(120 + APART * NUMBER)
    turn = maintenance.adopt_more()
    effects = [next(turn)]
    while len(effects) < NUMBER / POSTPONED_AT_ONCE:
        effects.append(turn.send({}))
    turn.close()
    assert all(isinstance(effect, Read) for effect in effects)
    assert not store.read
    assert not [*active.postponed.soon(clock.now())]


def test_what_the_store_refuses_then_is_read_at_the_next_pass(world: World) -> None:
    clock, store, active, maintenance = world
    clock.jump(-BACK.total_seconds())
    store.refused = 2
    with pytest.raises(StoreError):
        run(maintenance.notice_clock_change(clock.now()), store)
    run(maintenance.notice_clock_change(clock.now()), store)
    assert store.read.keys() == store.uploads.keys()
    assert_all_postponed(active, store)


# --- what was written in the future --------------------------------------------------------------

LOOKED_THROUGH = 10


def pass_until_no_look(world: World) -> None:
    clock, store, _, maintenance = world
    clock.jump(-BACK.total_seconds())
    looks = -1
    while looks < store.looks:
        looks = store.looks
        run(maintenance.notice_clock_change(clock.now()), store)
        assert store.looks < 20, "it looks for ever"


@pytest.fixture
def small_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "LOOKED_THROUGH", LOOKED_THROUGH)


def test_what_lies_behind_all_that_is_in_hand_is_taken_up(world: World, small_looks: None) -> None:
    clock, store, active, _ = world
    store.line = [*store.uploads]
    for number in range(3 * LOOKED_THROUGH):
        more = waiting(f"more-{number}", HOME, clock.now() + BACK, clock.now())
        store.uploads[more.upload.key] = Entry(more.upload, more.dossier)
        store.line.append(more.upload.key)
    pass_until_no_look(world)
    assert all(key in active for key in store.line)


def test_what_lies_behind_tenants_unknown_here_is_taken_up(world: World, small_looks: None) -> None:
    clock, store, active, _ = world
    store.line = [UploadKey("stranger", f"ev-{n}", "paper") for n in range(3 * LOOKED_THROUGH)]
    one = waiting("last", HOME, clock.now() + BACK, clock.now())
    store.uploads[one.upload.key] = Entry(one.upload, one.dossier)
    store.line.append(one.upload.key)
    pass_until_no_look(world)
    assert one.upload.key in active
    assert store.read[one.upload.key] == 1


def test_what_is_parked_is_not_looked_at_for_ever(world: World, small_looks: None) -> None:
    clock, store, active, _ = world
    store.line = []
    for number in range(3 * LOOKED_THROUGH):
        due, kind = clock.now() + BACK, FailureKind.CHECK_IN_REVIEW
        parked = waiting(f"parked-{number}", HOME, due, clock.now(), kind)
        store.uploads[parked.upload.key] = Entry(parked.upload, parked.dossier)
        store.line.append(parked.upload.key)
    pass_until_no_look(world)
    assert not any(key in active for key in store.line)


class Refusing:
    """A store that refuses all that is asked, for a reason; without one it has nothing."""

    def __init__(self) -> None:
        self.reason = ""

    def __getattr__(self, verb: str) -> Callable[..., Mapping[str, object]]:
        def answer(*_: object, **__: object) -> Mapping[str, object]:
            if self.reason:
                raise StoreError(self.reason)
            return {}

        return answer


def logged_by(turn: Turn[None], store: Refusing) -> list[str]:
    """The reasons of the database that a turn logs."""
    found = list[str]()
    with suppress(StopIteration):
        effect = next(turn)
        while True:
            answer: Any = None
            if isinstance(effect, Notify) and isinstance(effect.event, StoreTrouble):
                found.append(effect.event.reason)
            elif isinstance(effect, Read):
                try:
                    answer = effect.verb(cast(Any, store))
                except StoreError as error:
                    effect = turn.throw(error)
                    continue
            effect = turn.send(answer)
    return found


def test_what_the_database_refuses_is_logged_once_until_it_changes() -> None:
    """A round of five reads logged the same five times, and did so again every five seconds."""
    clock, store = FakeClock(NOW), Refusing()
    context = TurnContext(1, clock, lambda: 0.5, lambda _: None)
    maintenance = Maintenance(in_hand(clock), context)
    logged = []
    for reason in ("gone", "gone", "locked"):
        store.reason = reason
        logged.append(logged_by(maintenance.run_once(), store))
    assert logged == [["gone"], [], ["locked"]]


def test_what_the_database_refuses_again_after_it_worked_is_logged_again() -> None:
    clock, store = FakeClock(NOW), Refusing()
    context = TurnContext(1, clock, lambda: 0.5, lambda _: None)
    maintenance = Maintenance(in_hand(clock), context)
    logged = []
    for reason in ("gone", "gone", "", "gone"):
        store.reason = reason
        logged.append(logged_by(maintenance.adopt(), store))
    assert logged == [["gone"], [], [], ["gone"]]
