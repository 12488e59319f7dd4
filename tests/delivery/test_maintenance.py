"""What a courier does in the background with what is postponed, after its clock was set back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import pytest
from attrs import define, field
from in_hand import NOW, home, in_hand, waiting

from evidence_courier.delivery.active import ActiveUpload, ActiveUploads
from evidence_courier.delivery.effects import Notify, Read, Turn
from evidence_courier.delivery.maintenance import POSTPONED_AT_ONCE, Maintenance
from evidence_courier.delivery.turn_context import TurnContext
from evidence_courier.domain.errors import StoreError
from evidence_courier.domain.upload.upload import UploadKey, Waiting
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

    def get(self, keys: Sequence[UploadKey]) -> Mapping[UploadKey, Entry]:
        self.pages += 1
        if self.pages == self.refused:
            raise StoreError("the database is locked")
        self.read.update(keys)
        assert self.read.total() <= 2 * NUMBER, "it goes on for ever"
        return {key: self.uploads[key] for key in keys}

    def due(self, *_args: object, **_more: object) -> Mapping[str, Sequence[UploadKey]]:
        return {}


def run(turn: Turn[None], store: Store) -> None:
    effect = next(turn)
    while True:
        try:
            match effect:
                case Read(verb=verb):
                    effect = turn.send(verb(cast(Any, store)))
                case Notify():
                    effect = turn.send(None)
        except StopIteration:
            return


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


def test_others_go_on_between_pages_for_which_there_is_no_room(world: World) -> None:
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
