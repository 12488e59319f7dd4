"""What every store owes to couriers that share it and look up what is in doubt: each look-up is
made by one of them."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import evolve

from ...domain.integration import Pace
from ...domain.pacing.gate import Acquired, Blocked, GateChange, NotBefore, Quota
from ...domain.pacing.paused import Paused, Resumed, Scope
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.upload import LookingUp, Upload, with_look_up_due
from ...ports.gates import Acquire, AcquireAnswer
from ...ports.records import Change, Conflict
from ...ports.store import UploadStore
from .assertions import a, must, same, some
from .store_gates import GateRules
from .stored import AT, begin_each, entry, started

MINUTE = timedelta(minutes=1)
PACED = Quota("credential", "address", Pace(1, MINUTE))
LOST = Failure(FailureKind.CONNECTION_LOST, "the reply was lost")


class LookUpRules(GateRules):
    """The rules for the beginning of a look-up."""

    def test_a_look_up_is_made_by_one_courier_at_a_time(self) -> None:
        with self._store() as store:
            upload = _in_doubt(store)
            mine = with_look_up_due(upload, AT + 5 * MINUTE, AT + MINUTE)
            theirs = with_look_up_due(upload, AT + 6 * MINUTE, AT + MINUTE)
            must(a(Acquired, _look_up(store, mine)).slot is not None, "a look-up has no slot")
            same(_look_up(store, theirs, courier_id=2), Conflict(mine))
            same(_stored(store, upload), mine, "the upload while it is looked up")
            for minutes, due in ((4, []), (5, [upload.key])):
                (keys,) = store.due(AT + minutes * MINUTE, 9).values() or ([],)
                same([*keys], due, f"what is due {minutes} minutes after the doubt")
            again = with_look_up_due(mine, AT + 9 * MINUTE, AT + 5 * MINUTE)
            a(Acquired, _look_up(store, again, AT + 5 * MINUTE, courier_id=2))

    def test_a_look_up_that_another_courier_makes_costs_no_slot(self) -> None:
        with self._store() as store:
            upload = _in_doubt(store)
            stale = evolve(with_look_up_due(upload, AT + MINUTE, AT), version=upload.version)
            same(_look_up(store, stale), Conflict(upload))
            a(Acquired, _look_up(store, with_look_up_due(upload, AT + MINUTE, AT)))

    def test_a_look_up_that_may_not_begin_is_not_written(self) -> None:
        with self._store() as store:
            upload, other = _in_doubt(store), _in_doubt(store, "ev-2")
            held = a(Acquired, _look_up(store, with_look_up_due(other, AT + 5 * MINUTE, AT)))
            look_up = with_look_up_due(upload, AT + 5 * MINUTE, AT)
            a(NotBefore, _look_up(store, look_up))
            same(_stored(store, upload), upload, "an upload for whose look-up there is no slot")
            # A slot that has ended counts from then on, whatever the answer is.
            stale, ended = evolve(look_up, version=9), (some(held.slot),)
            request = Acquire(PACED, AT + MINUTE, 1, ended=ended, look_up=stale)
            same(store.acquire([request]), [Conflict(upload)])
            same(_look_up(store, look_up, AT + MINUTE), NotBefore(AT + 2 * MINUTE))
            block = GateChange(PACED, AT + MINUTE, block=Failure(FailureKind.UNAUTHORIZED, "no"))
            store.save([Change(evolve(other, version=other.version + 2), gate=block)])
            a(Blocked, _look_up(store, look_up, AT + 2 * MINUTE))
            same(_stored(store, upload), upload, "an upload whose integration is blocked")

    def test_nothing_that_is_paused_is_looked_up(self) -> None:
        with self._store() as store:
            upload = _in_doubt(store)
            look_up = with_look_up_due(upload, AT + 5 * MINUTE, AT)
            pause = Paused(Scope("acme"), AT, "asha", "an audit")
            store.save([pause, Paused(Scope("globex"), AT, "asha", "another audit")])
            same(_look_up(store, look_up), Blocked(pause.failure))
            same(_stored(store, upload), upload, "an upload that is paused")
            store.save([Resumed(pause.scope, AT, "bo", "it is over")])
            a(Acquired, _look_up(store, look_up))


def _in_doubt(store: UploadStore, evidence_id: str = "ev-1") -> Upload:
    """An upload whose attempt may have been taken."""
    new = entry(evidence_id)
    store.add([new])
    start = started(new.upload)
    begin_each(store, [start])
    looking_up = LookingUp(1, AT, AT, LOST)
    upload = evolve(start.upload, version=start.upload.version + 1, state=looking_up)
    store.save([Change(upload)])
    return upload


def _look_up(
    store: UploadStore, look_up: Upload, at: datetime = AT, *, courier_id: int = 1
) -> AcquireAnswer:
    request = Acquire(PACED, at, courier_id, key=look_up.key, look_up=look_up)
    (answer,) = store.acquire([request])
    return answer


def _stored(store: UploadStore, upload: Upload) -> Upload:
    return store.get([upload.key])[upload.key].upload
